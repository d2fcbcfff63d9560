"""Load what `winsome ticket export` wrote, whatever its form."""

from __future__ import annotations

import os

from torch import nn

from winsome.errors import WinsomeError
from winsome.exports import csr, semi_structured, shrinking, small
from winsome.exports.container import head_of, network_for, read
from winsome.exports.resizing import resize


def load(path: str | os.PathLike[str], model: nn.Module | None = None) -> nn.Module:
    """The network of a file that `winsome ticket export` wrote, in evaluation mode, ready to be called.

    Args:
        path: the file.
        model: the network that it was made from, with any weights; it is changed. None: the file, or its ticket, says which.

    Raises:
        WinsomeError: the file is no export, damaged, or made from another network.
    """
    form = (head_of(path) or {}).get("form")
    if form == small.FORM:
        ticket, state = small.read_small(path)
        network = network_for(ticket.provenance, model, path)
        resize(network, state)
        return network.eval()
    readers = {
        shrinking.FORM: shrinking.read_shrunk,
        csr.FORM: csr.read_compressed,
        semi_structured.FORM: semi_structured.read_packed,
    }
    if form not in readers:
        read(path, *readers, small.FORM)  # says what is wrong with it
        raise WinsomeError(f"{path} is no export of Winsome")
    return readers[form](path, model)
