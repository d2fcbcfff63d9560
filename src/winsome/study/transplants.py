"""What an arm puts on a fresh network: a search's mask, its signs, its normalisation, or a random mask of its densities."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.prunable import prunable
from winsome.psi import norm_parameters
from winsome.raised import noting
from winsome.ranking import keep_highest
from winsome.signed_mask import SignedMask, matching_parameters
from winsome.state import State
from winsome.ticket import Ticket, ticket_of
from winsome.transfer import absorb_norm_signs, mask_only, plant, shuffled, signs_and_norms


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found at one level: the ticket, the trained network's state, and another one's to take signs of."""

    ticket: Ticket
    state: State
    signs_of: State | None = None


# Plants on a fresh network, in place; the generator is for transplants that draw. Returns the mask to train under.
Transplant = Callable[[Found, nn.Module, torch.Generator], SignedMask]


@described("signs planted", "A search's mask and signs on a fresh start: |θ₀|·s.", citations=("oh2025sign",))
def plant_signs(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """|theta_0| * s: mask and signs of the search, the classifier's and biases' signs too."""
    del random
    return plant(found.ticket, network)


@described("mask planted", "A search's mask with the fresh start's own signs.", citations=("oh2025sign",))
def plant_mask(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """theta_0 * m: the search's mask with the initialisation's own signs."""
    del random
    return plant(found.ticket, network, keep=mask_only)


@described("random mask", "Random places with a search's layer densities.", citations=("oh2025sign",))
def plant_random_mask(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """A random mask of the search's layer densities, with the initialisation's own signs."""
    return plant(replace(found.ticket, mask=shuffled(found.ticket.mask, random)), network, keep=mask_only)


@described("signs, ψ planted", "A search's mask, signs and trained normalisation on a fresh start.", citations=("oh2025sign",))
def plant_phi(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """|theta_0| * s with the search's trained normalisation parameters: only phi is drawn anew."""
    del random
    norms = {name: found.state[name] for name in norm_parameters(network)}
    return plant(found.ticket.with_norms(norms), network, keep=signs_and_norms)


@described("found signs planted", "A search's mask on a fresh start, with the signs of another trained network: |θ₀|·m·s.")
def plant_found_signs(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """|theta_0| * s with the places of one search and the signs of another network, such as the dense one that was trained.

    Raises:
        WinsomeError: the arm names no network to take signs of.
    """
    del random
    trained = _signs_of(found, "plant_found_signs")
    kept = {name: found.ticket.mask.kept(name) for name in found.ticket.mask}
    return plant(ticket_of(network, list(kept), kept, trained), network)


def _signs_of(found: Found, who: str) -> State:
    if found.signs_of is None:
        raise WinsomeError(
            f"{who} takes the signs of another trained network: say which search and level it is of, "
            "Planted(..., signs_of=('lrr', 0))"
        )
    return found.signs_of


@described("largest weights planted", "Places and signs of the largest weights of another trained network: |θ₀|·s.")
def plant_largest(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """|theta_0| * s of another trained network's largest weights, as many as the ticket keeps: pruned once, trained no more.

    Raises:
        WinsomeError: the arm names no network to take them of.
    """
    del random
    trained = _signs_of(found, "plant_largest")
    weights = {name: trained[name] for name in found.ticket.mask}
    everything = {name: torch.ones(weight.shape, dtype=torch.bool, device="cpu") for name, weight in weights.items()}
    kept = keep_highest({name: weight.abs() for name, weight in weights.items()}, everything, found.ticket.mask.n_kept)
    return plant(ticket_of(network, list(kept), kept, trained), network)


@described("absorbed signs planted", "Signs read after negative γ were absorbed into the weights.", citations=("oh2025sign",))
def plant_absorbed_signs(found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """|theta_0| * s with the signs read after negative gammas were absorbed into the weights that feed them."""
    del random
    trained = copy.deepcopy(network)
    trained.load_state_dict(found.state)
    absorb_norm_signs(trained)
    kept = {name: found.ticket.mask.kept(name) for name in found.ticket.mask}
    return plant(ticket_of(trained, list(kept), kept), network)


def transplanted(transplant: Transplant, found: Found, network: nn.Module, random: torch.Generator) -> SignedMask:
    """What a transplant does to a fresh network, checked; an error of its own names it.

    Raises:
        WinsomeError: it returned no signed mask, or one of other weights.
    """
    with noting(f"{name_of(transplant)!r} (transplant)"):
        mask: object = transplant(found, network, random)
    return checked_mask(mask, network, transplant)


def checked_mask(mask: object, network: nn.Module, transplant: Transplant) -> SignedMask:
    """What a transplant returned, if a network can be trained under it.

    Raises:
        WinsomeError: it is no signed mask, or one of other weights; names the transplant.
    """
    who = f"{name_of(transplant)!r} (transplant)"
    if not isinstance(mask, SignedMask):
        raise WinsomeError(f"{who} returned a {type(mask).__name__} and no SignedMask: return the mask to train under")
    try:
        matching_parameters(mask, network)
    except WinsomeError as error:
        raise WinsomeError(f"{who} returned a mask of other weights: {error}") from error
    return mask


def nothing_pruned(network: nn.Module) -> SignedMask:
    """The mask of a dense network: all of its weights, with their own signs."""
    parameters = dict(network.named_parameters())
    names = prunable(network)
    weights = {name: parameters[name] for name in names}
    return SignedMask.of(weights, {name: torch.ones(w.shape, dtype=torch.bool, device="cpu") for name, w in weights.items()})
