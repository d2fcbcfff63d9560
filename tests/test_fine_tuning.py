"""docs/fine-tuning.md runs whole: with few steps, and as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import winsome

PAGE = (Path(__file__).parents[1] / "docs" / "fine-tuning.md").read_text(encoding="utf-8")
SIZES = "PRETRAINING, STEPS, LEVELS, STARTS = 300, 120, 4, (1, 2)"


def ran(code: str) -> tuple[dict[str, Any], list[str]]:
    """What names the page's code leaves, and what it prints."""
    pytest.importorskip("transformers", reason="needs winsome[transformers]")
    printed: list[str] = []
    names: dict[str, Any] = {"__name__": "page", "print": lambda *values: printed.append(" ".join(map(str, values)))}
    exec(compile(code, "docs/fine-tuning.md", "exec"), names)
    return names, printed


def code() -> str:
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S))
    assert text.count(SIZES) == 1
    return text


def test_the_page_runs_with_few_steps() -> None:
    names, printed = ran(code().replace(SIZES, "PRETRAINING, STEPS, LEVELS, STARTS = 3, 2, 2, (1,)"))
    ticket, body = names["level"].ticket, names["pretrained"].vit.state_dict()
    assert ticket.density == pytest.approx(0.25, abs=0.01)
    assert "pos" not in " ".join(ticket.mask)
    assert list(names["found"]) == [(start, what) for start in ("pretrained", "random") for what in ("signs", "mask", "dense")]
    assert len(printed) == 1 + 1 + 3 + 6
    # IMP rewinds to the pretrained network, whose body a planted one has as well.
    model = names["network"](1, start="pretrained")
    winsome.plant(ticket, model, keep=names["mask_only"])
    for name in ticket.mask:
        assert torch.equal(model.state_dict()[name], body[name.removeprefix("vit.")] * ticket.mask.kept(name))


@pytest.mark.slow
def test_the_page_shows_what_it_says() -> None:
    names, _ = ran(code())
    found = {key: sum(values) / len(values) for key, values in names["found"].items()}
    assert found["pretrained", "dense"] > 0.85
    assert found["pretrained", "signs"] > found["random", "mask"]
