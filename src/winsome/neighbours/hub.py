"""Tickets on the Hugging Face Hub: a repository with the ticket file and a model card made from its provenance."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from winsome import ticket_file
from winsome.citation import CITATIONS, bibtex
from winsome.errors import WinsomeError
from winsome.signed_mask import LayerCount
from winsome.ticket import Ticket

CARD = "README.md"


def push(path: str | os.PathLike[str], repo: str, *, private: bool = False) -> str:
    """Upload a ticket file to a model repository of the Hub, which is made if it is not there, in one commit.

    A model card goes along unless the repository has one already, which stays as it is.

    Args:
        path: the ticket file; it is read first, so that nothing broken is uploaded.
        repo: the repository, `user/name`.
        private: make a new repository private; one that exists keeps what it is.

    Returns:
        The address of the commit.

    Raises:
        WinsomeError: the file is no ticket, `huggingface_hub` is missing, or the Hub refuses.
    """
    path = Path(path)
    ticket = ticket_file.read(path)
    hub = _hub()
    api = hub.HfApi()
    with _refusals(repo, "write to"):
        api.create_repo(repo_id=repo, private=private, exist_ok=True)
        operations = [hub.CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path)]
        if CARD not in api.list_repo_files(repo_id=repo):
            card = model_card(ticket, path.name, repo=repo).encode()
            operations.append(hub.CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=card))
        return str(api.create_commit(repo_id=repo, operations=operations, commit_message=f"Add {path.name}").commit_url)


def pull(
    repo: str,
    folder: str | os.PathLike[str] = ".",
    *,
    name: str | None = None,
    revision: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Download a ticket file from a repository of the Hub; it is checked before it is put in its place.

    Args:
        repo: the repository, `user/name`.
        folder: where to put the file.
        name: which file of the repository; may be left out where it has only one ticket.
        revision: branch, tag or commit; the default branch if not given. A commit's hash pins the exact file.
        overwrite: replace another file of that name.

    Returns:
        The path of the file.

    Raises:
        WinsomeError: there is no such ticket, several to choose from, another file in the way, or the Hub refuses.
    """
    api = _hub().HfApi()
    with _refusals(repo, "read"):
        if name is None:
            name = _only_ticket(repo, api.list_repo_files(repo_id=repo, revision=revision))
        downloaded = api.hf_hub_download(repo_id=repo, filename=name, revision=revision)
    ticket = ticket_file.read(downloaded)
    target = Path(folder) / PurePosixPath(name).name
    if target.exists() and not overwrite:
        if target.read_bytes() == Path(downloaded).read_bytes():
            return target
        raise WinsomeError(f"{target} is there already and is another file; choose another folder or overwrite it")
    ticket_file.write(ticket, target)
    return target


def model_card(ticket: Ticket, file_name: str, *, repo: str | None = None) -> str:
    """The model card of a ticket in Markdown: what it is, its layers, how to plant it, provenance and citations."""
    mask = ticket.mask
    layers = mask.layers()
    positive = sum(count.positive for count in layers.values()) / max(mask.n_kept, 1)
    rows = "\n".join(_row(name, count) for name, count in layers.items())
    network = ticket.provenance.get("network")
    named = network.get("name") if isinstance(network, dict) else network
    fetch = f"winsome ticket pull {repo}\n" if repo else ""
    return f"""---
library_name: winsome
tags:
- winsome
- lottery-ticket
- pruning
- sparsity
---

# A winning ticket{f" for {_cell(str(named))}" if named else ""}

`{_cell(file_name)}` holds a *signed mask*: which {mask.n_kept:,} of {mask.n_weights:,} weights to keep (density
{mask.density:.4g}), and which sign each must have ({positive:.1%} are positive). Any random initialisation of the network
that is given this signed mask trains from scratch as a sparse network. The file holds no weights{_norms_clause(ticket)}.

```
pip install winsome
{fetch}winsome ticket show {_cell(file_name)}
winsome plant {_cell(file_name)}
```

```python
import winsome

ticket = winsome.read("{_cell(file_name)}")
with winsome.plant(ticket, model).enforced_on(model):  # a freshly initialised model of the same architecture
    train(model)
```

## Layers

| parameter | weights | kept | density | positive |
|---|---|---|---|---|
{rows}

## Where it comes from

```json
{json.dumps(dict(ticket.provenance), indent=2, ensure_ascii=False)}
```
{_citation_part(ticket)}"""


def _citation_part(ticket: Ticket) -> str:
    keys = ticket.provenance.get("citations")
    known = [key for key in keys if key in CITATIONS or str(key).startswith("@")] if isinstance(keys, list) else []
    return f"\n## Citation\n\n```bibtex\n{bibtex(known)}\n```\n" if known else ""


def _row(name: str, count: LayerCount) -> str:
    positive = count.positive / max(count.kept, 1)
    return f"| `{_cell(name)}` | {count.total:,} | {count.kept:,} | {count.density:.4f} | {positive:.3f} |"


def _norms_clause(ticket: Ticket) -> str:
    return f", but {len(ticket.norms)} trained normalisation parameters" if ticket.norms else ""


def _cell(text: str) -> str:
    """Text that breaks neither a table nor a code span."""
    return text.replace("|", "\\|").replace("`", "'").replace("\n", " ")


def _only_ticket(repo: str, files: list[str]) -> str:
    tickets = [name for name in files if name.endswith(".ticket")]
    if len(tickets) == 1:
        return tickets[0]
    if tickets:
        raise WinsomeError(f"{repo} has several tickets; choose one by name: {', '.join(tickets)}")
    raise WinsomeError(f"{repo} has no ticket file (*.ticket)")


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise WinsomeError("the Hub needs huggingface_hub; install it: pip install huggingface-hub") from error


@contextmanager
def _refusals(repo: str, what: str) -> Iterator[None]:
    """Whatever the Hub's client complains of, as a sentence."""
    try:
        yield
    except WinsomeError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WinsomeError(
            f"cannot {what} {repo!r} on the Hub: {reason}; check the name (user/name), the connection, and `hf auth login`"
        ) from error
