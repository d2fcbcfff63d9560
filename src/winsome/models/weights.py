"""Weights of a file that a network starts from: a pretrained network in the place of a random one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError

_SHOWN = 6  # names in a sentence


@dataclass(frozen=True)
class Weights:
    """A file of weights that a network starts from, known by what is in it.

    Attributes:
        file: a .safetensors file with the names of the network's state_dict.
        digest: of the file.
        fresh: globs of names that are not taken from it and start as the network's seed has them: a head for other classes.
    """

    file: str
    digest: str
    fresh: tuple[str, ...] = ()

    @classmethod
    def of(cls, file: Path, fresh: Iterable[str] = ()) -> Weights:
        """The weights of a file as it is now.

        Raises:
            WinsomeError: there is no such file, or it is no safetensors file.
        """
        if file.suffix != ".safetensors":
            raise WinsomeError(f"weights to start from are a .safetensors file, and {file} is none; convert it first")
        return cls(str(file), _digest(file), tuple(fresh))

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"file": self.file, "digest": self.digest, "fresh": list(self.fresh)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Weights:
        """What `record()` has written."""
        return cls(record["file"], record["digest"], tuple(record["fresh"]))

    @torch.no_grad()
    def put_into(self, network: nn.Module) -> None:
        """Give a network the weights, and all else that its state_dict has, but for what starts fresh.

        Raises:
            WinsomeError: the file is gone, or another; it lacks names, has others, or other shapes: they are named.
        """
        if _digest(Path(self.file)) != self.digest:
            raise WinsomeError(f"the weights in {self.file} are others than they were: restore the file, or begin a new run")
        given, own = _read(Path(self.file)), network.state_dict(keep_vars=True)
        wanted = {name: value for name, value in own.items() if not self._is_fresh(name)}
        given = {name: value for name, value in given.items() if not self._is_fresh(name)}
        there = {id(own[name]) for name in given if name in own}  # of tied weights a file holds one
        problems = [
            *_named("lacks", [name for name, value in wanted.items() if name not in given and id(value) not in there]),
            *_named("has beside them", [name for name in given if name not in own]),
            *_named("has in other shapes", [_shapes(name, given, own) for name in given if _differs(name, given, own)]),
        ]
        if problems:
            raise WinsomeError(
                f"{self.file} does not fit the network: of its names it {'; it '.join(problems)}. What is to start fresh "
                "is named by --fresh, as in --fresh 'head.*'"
            )
        if not given:
            raise WinsomeError(f"nothing is taken from {self.file}: {' '.join(self.fresh)} names all of it")
        for name, value in given.items():
            own[name].copy_(value)

    def _is_fresh(self, name: str) -> bool:
        return any(fnmatchcase(name, glob) for glob in self.fresh)


def _digest(file: Path) -> str:
    try:
        with file.expanduser().open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise WinsomeError(f"the weights in {file} cannot be read: {error.strerror}") from error


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file.expanduser())
    except SafetensorError as error:
        raise WinsomeError(
            f"{file} is no safetensors file, or damaged ({error}); give one with a network's state_dict"
        ) from error


def _differs(name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return name in own and given[name].shape != own[name].shape


def _shapes(name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    return f"{name} ({list(given[name].shape)}, the network's is {list(own[name].shape)})"


def _named(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what} {', '.join(names[:_SHOWN])}{more}"] if names else []
