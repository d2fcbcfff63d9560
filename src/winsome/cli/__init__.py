"""The command line: the only place where a string chooses code.

Exit codes: 0 done, 1 failure (a training diverged, a worker or a rank died), 2 wrong use or a disk that cannot be written,
130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from winsome import distributed
from winsome.cli.barrier import barrier
from winsome.cli.cite import cite
from winsome.cli.find import find
from winsome.cli.help import run
from winsome.cli.neuron import neuron
from winsome.cli.plant import plant
from winsome.cli.report import report
from winsome.cli.reproduce import reproduce
from winsome.cli.signs import signs
from winsome.cli.study import study
from winsome.cli.sweep import sweep
from winsome.cli.ticket import TICKET_COMMANDS
from winsome.errors import Diverged, RankLost, WinsomeError, unknown

DESCRIPTION = "Winsome: win with some of the weights. Find, plant and study winning lottery tickets."


def ticket() -> None:
    """Look into ticket files, compare, convert and exchange them."""


COMMANDS: dict[str, Callable[..., Any]] = {
    "study": study,
    "find": find,
    "plant": plant,
    "barrier": barrier,
    "ticket": ticket,
    "reproduce": reproduce,
    "signs": signs,
    "neuron": neuron,
    "sweep": sweep,
    "report": report,
    "cite": cite,
}


TOGETHER = ("study", "find", "plant")  # what several ranks that torchrun started do together


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, and end the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    rank = distributed.launched_rank()
    errors = Console(stderr=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=errors, show_path=False)])
    logging.getLogger("winsome").setLevel(logging.ERROR if rank else logging.INFO)
    try:
        with _only_rank_0_speaks(rank), _ended_as_by_ctrl_c():
            _run(words, loud=rank == 0)
    except WinsomeError as error:
        if rank == 0 or distributed.ALIKE not in getattr(error, "__notes__", ()):
            errors.print(f"{_name(rank)} {_plain(error)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except (Diverged, BrokenProcessPool) as error:
        if rank == 0:
            errors.print(f"{_name(rank)} training failed: {_plain(error)}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
    except RankLost as error:
        name_of_remedy = "what is finished is kept: run the same command again"
        errors.print(f"{_name(rank)} {_plain(error)}; {name_of_remedy}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
    except BrokenPipeError:  # `winsome ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        command = shlex.join(["winsome", *words])
        if rank == 0:
            errors.print(f"\nstopped; what is finished is kept. To continue:\n  {command}", highlight=False, soft_wrap=True)
        raise SystemExit(130) from None


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, with which schedulers end a job, ends this process as Ctrl-C does: its workers too, and it says how to go on.

    Left alone where it is not Python's own: under torchrun, whose ranks end at once, and outside of the main thread.
    """
    mine = threading.current_thread() is threading.main_thread() and not distributed.launched()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(words: list[str], *, loud: bool) -> None:
    if distributed.launched() and words[:1] and words[0] not in TOGETHER:
        raise WinsomeError(f"several ranks run {', '.join(TOGETHER)} together; start `winsome {words[0]}` without torchrun")
    if words == ["--version"]:
        print(f"winsome {version('winsome')}")
        return
    prog, commands, about = "winsome", COMMANDS, DESCRIPTION
    if words[:1] == ["ticket"]:
        prog, commands, about = "winsome ticket", TICKET_COMMANDS, inspect.getdoc(ticket) or ""
        words = words[1:]
    if words in ([], ["-h"], ["--help"]):
        _print_commands(prog, commands, about)
        return
    if words[0] not in commands:
        group = prog.removeprefix("winsome").strip()
        raise unknown("command", f"{group} {words[0]}".strip(), [f"{group} {name}".strip() for name in commands])
    with distributed.joined():
        run(commands[words[0]], words[1:], prog=f"{prog} {words[0]}", loud=loud)


def _print_commands(prog: str, commands: Mapping[str, Callable[..., Any]], about: str) -> None:
    """Every command with its first sentence: what all of their help together would bury."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, command in commands.items():
        table.add_row(f"[bold]{name}[/]", (inspect.getdoc(command) or "").partition("\n")[0])
    console = Console(highlight=False)
    console.print(f"{about}\n\nusage: {prog} COMMAND [options]\n       {prog} COMMAND --help\n", markup=False)
    console.print(table)


@contextlib.contextmanager
def _only_rank_0_speaks(rank: int) -> Iterator[None]:
    """What a command prints is printed once; errors of any rank are still said."""
    if rank == 0:
        yield
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _name(rank: int) -> str:
    return f"[bold red]winsome{f' (rank {rank})' if rank else ''}:[/]"


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
