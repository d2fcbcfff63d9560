"""JSON that every reader takes: NaN and infinities are written as the strings "NaN", "Infinity" and "-Infinity".

JSON has no numbers for them (RFC 8259). A string that is one of these words itself is written behind a backslash, and one that
then looks so behind one more: everything is read back as it was.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LIKE_A_WORD = re.compile(r"\\*(NaN|-?Infinity)")


def text_of(value: Any, **options: Any) -> str:
    """A value as JSON text; `options` are those of `json.dumps`."""
    return json.dumps(_spelt(value), allow_nan=False, **options)


def value_of(text: str | bytes) -> Any:
    """The value in a JSON text.

    Raises:
        ValueError: it is no JSON.
    """
    return _read(json.loads(text))


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):
        return f"\\{value}" if _LIKE_A_WORD.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: _spelt(entry) for key, entry in value.items()}
    return [_spelt(entry) for entry in value] if isinstance(value, list | tuple) else value


def _read(value: Any) -> Any:
    if isinstance(value, str):
        word = _WORDS.get(value, value)
        return word[1:] if isinstance(word, str) and _LIKE_A_WORD.fullmatch(word) else word
    if isinstance(value, dict):
        return {key: _read(entry) for key, entry in value.items()}
    return [_read(entry) for entry in value] if isinstance(value, list) else value
