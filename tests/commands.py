"""Commands that end in an error, as a user meets them."""

from __future__ import annotations

import pytest

from winsome.cli import main


def said(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """What a command that ends with this exit code says."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out = capsys.readouterr()
    assert ended.value.code == code, out
    assert "Traceback" not in out.out + out.err
    return " ".join((out.out + out.err).split())
