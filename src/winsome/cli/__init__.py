"""The command line: the only place where a string chooses code.

Exit codes: 0 done, 1 failure (a training diverged, a worker died), 2 wrong use or a disk that cannot be written,
130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from tyro.extras import subcommand_cli_from_dict

from winsome.cli.barrier import barrier
from winsome.cli.cite import cite
from winsome.cli.find import find
from winsome.cli.neuron import neuron
from winsome.cli.plant import plant
from winsome.cli.report import report
from winsome.cli.reproduce import reproduce
from winsome.cli.signs import signs
from winsome.cli.study import study
from winsome.cli.sweep import sweep
from winsome.cli.ticket import TICKET_COMMANDS
from winsome.errors import Diverged, WinsomeError

DESCRIPTION = "Winsome: win with some of the weights. Find, plant and study winning lottery tickets."


def ticket() -> None:
    """Look into ticket files: `winsome ticket show FILE`, and more; see `winsome ticket --help`."""


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, and end the process with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    errors = Console(stderr=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=errors, show_path=False)])
    logging.getLogger("winsome").setLevel(logging.INFO)
    try:
        if words[:1] == ["ticket"]:
            subcommand_cli_from_dict(TICKET_COMMANDS, prog="winsome ticket", args=words[1:] or ["--help"])
        else:
            subcommand_cli_from_dict(COMMANDS, prog="winsome", description=DESCRIPTION, args=words or ["--help"])
    except WinsomeError as error:
        errors.print(f"[bold red]winsome:[/] {_plain(error)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except (Diverged, BrokenProcessPool) as error:
        errors.print(f"[bold red]winsome:[/] training failed: {_plain(error)}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
    except BrokenPipeError:  # `winsome ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        command = shlex.join(["winsome", *words])
        errors.print(f"\nstopped; what is finished is kept. To continue:\n  {command}", highlight=False, soft_wrap=True)
        raise SystemExit(130) from None


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
