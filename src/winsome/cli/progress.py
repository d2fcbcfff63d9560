"""Bars, times left and counts, as every command that takes long shows them."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(console: Console, *, disable: bool = False) -> Progress:
    """What is done, its share, the time that it took and the time left (a field of the task)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        disable=disable,
    )


def time_left(gained: float, spent: float, left: float) -> str:
    """How long what is left takes, from what the seconds spent have gained; empty where that says too little."""
    if spent < 3 or gained <= 0:
        return ""
    seconds = left * spent / gained
    if seconds < 1:
        return ""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h left"
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
