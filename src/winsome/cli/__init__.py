"""The command line: the only place where a string chooses code.

Exit codes: 0 done, 1 failure (a training diverged, a worker or a rank died, the disk is full), 2 wrong use or a folder that
cannot be written to, 130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path

from winsome.cli.console import log_to_stderr, open_console, replace_what_cannot_be_encoded, say, styled
from winsome.errors import DiskFull, Diverged, RankLost, WinsomeError, unknown
from winsome.launcher import ALIKE, launched, launched_rank

DESCRIPTION = "Winsome: win with some of the weights. Find, plant and study winning lottery tickets."


# Every command and its first sentence. `winsome study` is the function `study` of winsome.cli.study, which is imported when it
# is called: each imports what it needs inside, so that help, and what is said of a misspelt option, wait for no torch.
COMMANDS: dict[str, str] = {
    "study": "Find winning tickets, plant them on fresh starts, and report which claims of the paper show.",
    "find": "Search for tickets: train, prune the smallest weights, restart, level by level.",
    "plant": "Plant a ticket on fresh random initialisations and train them from scratch.",
    "barrier": "Measure error and loss along the straight line between two networks: is there a barrier between them?",
    "ticket": "Look into ticket files, compare, convert and exchange them.",
    "reproduce": "Reproduce the papers' figures and tables by name.",
    "signs": "Show how the signs of weights change over searches: flips, when signs settle, their balance, and agreement.",
    "neuron": "Simulate the theory of learning-rate rewinding: a relu(w.x) learns relu(x_1) (arXiv:2402.19262).",
    "sweep": "Run all studies of a grid: what they share is done once, and one that fails does not stop the others.",
    "report": "Write report.html for a study's folder, or one page for all studies below a folder.",
    "cite": "Print the BibTeX entries of Winsome, and of the papers behind a run's folder or a ticket file.",
}
TICKET_COMMANDS: dict[str, str] = {
    "show": "Show what a ticket file holds: density, layers, signs, provenance, and its size against the least possible.",
    "diff": "Compare two tickets of one network: shared weights against chance, agreement of signs, and where they come from.",
    "convert": "Turn another tool's checkpoint into a ticket, or a ticket and its network's weights into another tool's file.",
    "export": "Write a ticket's network in a form that is smaller or faster, or say why it does not pay.",
    "push": "Upload a ticket to the Hugging Face Hub, with a model card made from its provenance.",
    "pull": "Download a ticket from the Hugging Face Hub; it is checked before it is put in place.",
}
GROUPS = {"ticket": TICKET_COMMANDS}  # commands that have commands of their own, all in the group's module
TOGETHER = ("study", "find", "plant")  # what several ranks that torchrun started do together


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, and end the process with its exit code.

    Raises:
        SystemExit: with the exit code of what went wrong; 0 where help was asked for.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    rank = launched_rank()
    replace_what_cannot_be_encoded()
    try:
        with _only_rank_0_speaks(rank), _ended_as_by_ctrl_c():
            _run(words, rank)
    except WinsomeError as error:
        if rank == 0 or ALIKE not in getattr(error, "__notes__", ()):
            _say(rank, str(error))
        raise SystemExit(1 if isinstance(error, DiskFull) else 2) from None
    except (Diverged, BrokenExecutor) as error:
        if rank == 0:
            _say(rank, f"training failed: {error}")
        raise SystemExit(1) from None
    except RankLost as error:
        _say(rank, f"{error}; what is finished is kept: run the same command again")
        raise SystemExit(1) from None
    except BrokenPipeError:  # `winsome ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _end_if_users(error, rank)
            raise
        _say(rank, f"{error}; free space, then run the same command again: what is finished is kept")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        command = shlex.join(["winsome", *words])
        if rank == 0:
            open_console(stderr=True).print(f"\nstopped; what is finished is kept. To continue:\n  {command}")
        raise SystemExit(130) from None
    except Exception as error:
        _end_if_users(error, rank)
        raise


def _end_if_users(error: Exception, rank: int) -> None:
    """End the process where code of the user's raised an error: with its name and lines, not those that led to it."""
    from winsome.raised import raised_by
    from winsome.user_code import note_named

    note_named(error)
    if (said := raised_by(error)) is not None:
        _say(rank, f"{type(error).__name__}: {error}\n{said}")
        raise SystemExit(1) from None


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, with which schedulers end a job, ends this process as Ctrl-C does: its workers too, and it says how to go on.

    Left alone where it is not Python's own: under torchrun, whose ranks end at once, and outside of the main thread.
    """
    mine = threading.current_thread() is threading.main_thread() and not launched()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(words: list[str], rank: int) -> None:
    if launched() and words[:1] and words[0] not in TOGETHER:
        raise WinsomeError(f"several ranks run {', '.join(TOGETHER)} together; start `winsome {words[0]}` without torchrun")
    if words == ["--version"]:
        from winsome.version import __version__

        print(f"winsome {__version__}")
        return
    if words[:1] == ["--print-completion"]:
        from winsome.cli.completion import completion

        print(completion(words[1] if len(words) > 1 else ""), end="")
        return
    group, commands, about = "", COMMANDS, DESCRIPTION
    if words and words[0] in GROUPS:
        group, commands, about = words[0], GROUPS[words[0]], COMMANDS[words[0]]
        words = words[1:]
    if words in ([], ["-h"], ["--help"]):
        _print_commands(f"winsome {group}".strip(), commands, about)
        return
    name = f"{group} {words[0]}".strip()
    if words[0] not in commands:
        raise unknown("command", name, [f"{group} {known}".strip() for known in commands])
    from winsome.cli import help as command_help

    if {"-h", "--help"}.isdisjoint(words):
        log_to_stderr(rank)
    with _in_its_process_group():
        command_help.run(command_of(name), words[1:], prog=f"winsome {name}", loud=rank == 0)


def command_of(name: str) -> Callable[..., None]:
    """The function of a command, such as "find" or "ticket show"."""
    module, *_ = names = name.split()
    command: Callable[..., None] = getattr(importlib.import_module(f"winsome.cli.{module}"), names[-1])
    return command


def _print_commands(prog: str, commands: Mapping[str, str], about: str) -> None:
    """Every command with its first sentence: what all of their help together would bury."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, sentence in commands.items():
        table.add_row(styled((name, "bold")), sentence)
    console = open_console()
    usage = f"{about}\n\nusage: {prog} COMMAND [options]\n       {prog} COMMAND --help\n"
    if prog == "winsome":
        usage += "       winsome --version\n       winsome --print-completion bash|zsh|fish\n"
    console.print(usage)
    console.print(table, soft_wrap=False)


@contextlib.contextmanager
def _in_its_process_group() -> Iterator[None]:
    if not launched():
        yield
        return
    from winsome import distributed

    with distributed.joined():
        yield


@contextlib.contextmanager
def _only_rank_0_speaks(rank: int) -> Iterator[None]:
    """What a command prints is printed once; errors of any rank are still said."""
    if rank == 0:
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _say(rank: int, sentence: str) -> None:
    """A sentence of why a command ended, to stderr."""
    name = f"winsome (rank {rank}):" if rank else "winsome:"
    say(open_console(stderr=True), (name, "bold red"), f" {sentence}")
