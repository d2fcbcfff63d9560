"""What stands in state_dicts beside plain tensors, in files without pickle: extra state of modules, and rare number formats.

`get_extra_state` (quantisers, FP8 layers, metrics) and the states of schedulers and samplers may hold dicts, lists, sets,
numbers, strings, bytes, None, numpy arrays, number formats, devices, tensors among them. They become JSON: bytes in base64,
tensors as the bytes of a safetensors file. Number formats that safetensors has no name for become bytes, with their format
beside them.
"""

from __future__ import annotations

import base64
import io
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from winsome.errors import WinsomeError
from winsome.strict_json import text_of, value_of

if TYPE_CHECKING:  # who reads or writes JSON alone waits for neither
    import numpy as np
    from torch import Tensor

KEY = "odd"  # in the metadata of a safetensors file
_PLAIN = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")


def plain_tensors(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], str | None]:
    """What safetensors holds of a state, and the rest as text; None where there is no rest.

    Raises:
        WinsomeError: a value that no file keeps safely; it is named.
    """
    from torch import Tensor

    tensors: dict[str, Tensor] = {}
    formats: dict[str, dict[str, Any]] = {}
    others: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, Tensor):
            others[name] = written(value, f"{name!r} (get_extra_state)")
            continue
        _refuse_unstored(value, name)
        value = value.detach().to("cpu").contiguous().clone()
        kind = str(value.dtype).removeprefix("torch.")
        if kind not in _PLAIN:
            formats[name] = {"format": kind, "shape": list(value.shape)}
            value = _as_bytes(value)
        tensors[name] = value
    order = list(values) if others else []
    return tensors, text_of({"formats": formats, "others": others, "order": order}) if formats or others else None


def with_odd_values(tensors: Mapping[str, Tensor], text: str | None) -> dict[str, Tensor]:
    """The state that was taken apart, in its order."""
    import torch

    state: dict[str, Any] = dict(tensors)
    if text is None:
        return state
    record = value_of(text)
    for name, how in record["formats"].items():
        kind = getattr(torch, how["format"])
        data = state[name].clone()  # in a file it may begin at any byte
        if kind.is_complex:
            state[name] = torch.view_as_complex(data.view(kind.to_real()).view(*how["shape"], 2))
        else:
            state[name] = data.view(kind).view(how["shape"])
    state |= {name: read(value) for name, value in record["others"].items()}
    return {name: state[name] for name in record["order"] or state}


def _refuse_unstored(value: Tensor, name: str) -> None:
    import torch

    if value.layout is torch.strided and not value.is_quantized and not value.is_meta:
        return
    kind = "has no values yet" if value.is_meta else "is quantised" if value.is_quantized else f"is {value.layout}"
    raise WinsomeError(
        f"{name!r} {kind.replace('torch.', '')}, which no file keeps: register it with persistent=False, or search without "
        "save_to"
    )


def _as_bytes(value: Tensor) -> Tensor:
    import torch

    flat = (torch.view_as_real(value) if value.is_complex() else value).contiguous().flatten()
    return flat.view(torch.uint8)


def written(value: Any, name: str, otherwise: str = "search without save_to") -> Any:
    """JSON for a value; what JSON has no word for is a dict whose first key begins with "!".

    Raises:
        WinsomeError: no file keeps it safely; names what it stands in.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    import numpy as np
    import torch
    from torch import Tensor

    if isinstance(value, torch.dtype | torch.device):
        return {f"!{type(value).__name__}": str(value).removeprefix("torch.")}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        return {"!numpy": _text(value.tobytes()), "type": value.dtype.str, "shape": _shape(value)}
    if isinstance(value, complex):
        return {"!complex": [value.real, value.imag]}
    if isinstance(value, int | float | str):  # of a subclass, such as the members of an enumeration
        return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))
    if isinstance(value, bytes | bytearray):
        return {"!bytes": _text(bytes(value))}
    if isinstance(value, io.BytesIO):
        return {"!file": _text(value.getvalue())}
    if isinstance(value, Tensor):
        from safetensors.torch import save

        tensors, text = plain_tensors({"value": value})
        return {"!tensor": _text(save(tensors)), "odd": text}
    if isinstance(value, Mapping):
        kind = "!counter" if isinstance(value, Counter) else "!items"
        return {kind: [[written(key, name, otherwise), written(entry, name, otherwise)] for key, entry in value.items()]}
    for kind, made in _SEQUENCES.items():
        if isinstance(value, made):  # type: ignore[arg-type]
            entries = [written(entry, name, otherwise) for entry in value]
            return entries if kind == "list" else {f"!{kind}": entries} | _length(value)
    raise WinsomeError(
        f"{name} holds a {type(value).__name__}, which no file keeps safely: keep tensors, numbers, strings, bytes, lists "
        f"and dicts of them there, or {otherwise}"
    )


def _torch() -> Any:
    import torch

    return torch


_SEQUENCES: dict[str, Callable[..., Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
_MADE: dict[str, Callable[[Any], Any]] = {
    "!items": lambda items: {read(key): read(entry) for key, entry in items},
    "!counter": lambda items: Counter({read(key): read(entry) for key, entry in items}),
    "!bytes": base64.b64decode,
    "!complex": lambda parts: complex(*parts),
    "!dtype": lambda name: getattr(_torch(), name),
    "!device": lambda name: _torch().device(name),
    "!file": lambda text: io.BytesIO(base64.b64decode(text)),
}


def read(value: Any) -> Any:
    """The value that `written` made JSON of."""
    if isinstance(value, list):
        return [read(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    if kind == "!tensor":
        from safetensors.torch import load

        return with_odd_values(load(base64.b64decode(content)), value["odd"])["value"]
    if kind == "!numpy":
        import numpy as np

        array = np.frombuffer(base64.b64decode(content), value["type"])
        return array[0] if value["shape"] is None else array.reshape(value["shape"]).copy()
    if kind in _MADE:
        return _MADE[kind](content)
    made = _SEQUENCES[kind.removeprefix("!")](map(read, content))
    return deque(made, value["length"]) if isinstance(made, deque) else made


def _shape(value: np.ndarray[Any, Any] | np.generic) -> list[int] | None:
    import numpy as np

    return list(value.shape) if isinstance(value, np.ndarray) else None


def _length(value: Any) -> dict[str, Any]:
    return {"length": value.maxlen} if isinstance(value, deque) else {}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
