"""Run the commands that a page of the docs shows, in order, and bring the output below them up to date.

    uv run python benchmarks/documented.py docs/hand-a-ticket.md

A line of shown output stands for the next line of real output that differs from it in numbers only; `...` stands for what is
left out, lines or the end of one. A test runs the same comparison: a page whose commands print something else fails it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"[0-9a-f]{64}|\d[\d,]*(\.\d+)?")


@dataclass(frozen=True)
class Shown:
    """What a page shows of a command's output."""

    command: str
    start: int  # its first line in the page, from 0
    lines: tuple[str, ...]  # without indentation; none where nothing is shown


def shown(page: str) -> list[Shown]:
    """Every `winsome` command of a page's indented blocks, the last one of a block with the block that follows it."""
    found: list[Shown] = []
    waiting: str | None = None  # a command whose output may follow
    for start, block in _indented(page.splitlines()):
        if not block[0].startswith("winsome "):
            if waiting is not None:
                found[-1] = Shown(waiting, start, tuple(block))
            waiting = None
            continue
        for line in block:
            waiting = line.split("  #")[0].strip()
            found.append(Shown(waiting, start, ()))
    return found


def _indented(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    for number, line in enumerate([*lines, ""]):
        if line.startswith("    "):
            block.append(line[4:])
        elif block:
            yield number - len(block), block
            block = []


def without_numbers(line: str) -> str:
    """A line with every number and digest replaced, and blanks by one."""
    return re.sub(r"\s+", " ", _NUMBER.sub("#", line)).strip()


def refreshed(lines: Sequence[str], printed: Sequence[str]) -> list[str | None]:
    """For every shown line what is printed now in its place; None where nothing like it is printed."""
    left = list(printed)
    result: list[str | None] = []
    for line in lines:
        if line == "...":
            result.append(line)
            continue
        whole = [_in_place_of(line, now) for now in left]
        place = next((place for place, now in enumerate(whole) if now is not None), None)
        result.append(None if place is None else whole[place])
        left = left if place is None else left[place + 1 :]
    return result


def _in_place_of(line: str, now: str) -> str | None:
    """The line as it is printed now, cut where the shown one is; None where it is another one."""
    wanted = without_numbers(line.removesuffix(" ..."))
    if line.endswith(" ...") and without_numbers(now).startswith(wanted):
        return " ".join(now.split()[: wanted.count(" ") + 1]) + " ..."
    return now.rstrip() if without_numbers(now) == wanted else None


def run_page(
    page: str, folder: Path, *, before: Callable[[str], None] = lambda _: None
) -> list[tuple[Shown, list[str | None]]]:
    """Run a page's commands in a folder, but those that talk to the Hub; what each prints in place of what is shown.

    Args:
        page: its text.
        folder: where they run.
        before: hears every command before it runs: to bring what comes from elsewhere.
    """
    result = []
    for one in shown(page):
        if one.command.startswith(("winsome ticket push", "winsome ticket pull")):
            continue
        before(one.command)
        words = [sys.executable, "-m", "winsome", *shlex.split(one.command)[1:]]
        environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # whole lines, as into a pipe
        printed = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
        result.append((one, refreshed(one.lines, printed.splitlines())))
    return result


def mail(folder: Path) -> Callable[[str], None]:
    """Puts a ticket that a search left beside the other commands, as a colleague gets it."""

    def before(command: str) -> None:
        for word in shlex.split(command):
            if word.endswith(".ticket") and not (folder / word).exists():
                (folder / word).write_bytes(next(folder.rglob(word)).read_bytes())

    return before


def main(path: Path) -> None:
    """Rewrite a page with what its commands print now."""
    text = path.read_text()
    lines = text.splitlines()
    with tempfile.TemporaryDirectory() as name:
        for one, now in run_page(text, Path(name), before=mail(Path(name))):
            for place, line in enumerate(now):
                if line is None:
                    print(f"{path}, line {one.start + place + 1}: `{one.command}` prints nothing like: {one.lines[place]}")
                else:
                    lines[one.start + place] = f"    {line}"
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        main(Path(given))
