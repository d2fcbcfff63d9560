"""The arms of a study: what is trained or judged, and the claims that compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from winsome.study.transplants import (
    Transplant,
    plant_absorbed_signs,
    plant_mask,
    plant_phi,
    plant_random_mask,
    plant_signs,
)
from winsome.while_training import WhileTraining, plain


@dataclass(frozen=True)
class Dense:
    """The dense network, trained from the same fresh starts as the planted ones."""

    name: str = "dense"
    label: str = "dense"
    explanation: str = "The dense network trained from scratch: what tickets are measured against."
    search: None = None
    while_training: WhileTraining = plain  # a context around its training


@dataclass(frozen=True)
class FoundNetwork:
    """The trained network of a search itself, judged as it is or with psi set back to psi_init."""

    name: str
    label: str
    explanation: str
    search: str  # name of the search in the study
    reset_norms: bool = False


@dataclass(frozen=True)
class Planted:
    """A transplant from a search to a fresh start, trained from scratch.

    An arm of another `order` sees the data in another order, from the same start: together with the arm that it repeats it
    shows SGD noise. A `repeat` is run at the deepest level only, and its accuracy is not reported by itself.
    """

    name: str
    label: str
    explanation: str
    search: str  # name of the search in the study
    transplant: Transplant = plant_signs
    order: int = 0  # which data order: 0 is the one that all other arms of a start share
    repeat: bool = False
    while_training: WhileTraining = plain  # a context around its training
    signs_of: tuple[str, int] | None = None  # the search, and its level, whose trained network a transplant may take signs of

    @property
    def needed(self) -> tuple[str, ...]:
        """The searches that it needs."""
        return (self.search,) if self.signs_of is None else (self.search, self.signs_of[0])


Arm = Dense | FoundNetwork | Planted
Kind = Literal["dense", "network", "planted"]


def kind_of(arm: Arm) -> Kind:
    """What an arm is, for results, figures and reports."""
    match arm:
        case Dense():
            return "dense"
        case FoundNetwork():
            return "network"
        case Planted():
            return "planted"


def is_reported(arm: Arm) -> bool:
    """Whether the arm's accuracy is reported: all but repeats."""
    return not (isinstance(arm, Planted) and arm.repeat)


@dataclass(frozen=True)
class Claim:
    """A statement about arms: a contrast of their accuracies that should be positive.

    Attributes:
        text: the claim, a sentence.
        source: where it is made.
        contrast: coefficient of each arm's accuracy; the claim says that the sum is above 0.
        meaning: what the contrast is in words, for "meaning: +2.5 points".
    """

    text: str
    source: str
    contrast: Mapping[str, float] = field(hash=False)
    meaning: str


PAPER_A_ARMS: tuple[Arm, ...] = (
    Dense(),
    FoundNetwork("network_lrr", "LRR network", "The sparse network at the end of the LRR search.", "lrr"),
    FoundNetwork("network_aws", "AWS network", "The sparse network at the end of the AWS search.", "aws"),
    FoundNetwork("network_lrr_psi", "LRR network, ψ := ψ_init", "The LRR network, γ = 1 and β = 0 put back.", "lrr", True),
    FoundNetwork("network_aws_psi", "AWS network, ψ := ψ_init", "The AWS network, γ = 1 and β = 0 put back.", "aws", True),
    Planted("planted_aws", "|θ₀|·s_AWS", "AWS's signed mask on a fresh start, trained from scratch.", "aws"),
    Planted("planted_lrr", "|θ₀|·s_LRR", "LRR's signed mask on a fresh start, trained from scratch.", "lrr"),
    Planted("mask_only", "θ₀·m (mask only)", "AWS's mask with the fresh start's own signs.", "aws", plant_mask),
    Planted("random_mask", "random mask", "Random places with AWS's layer densities, own signs.", "aws", plant_random_mask),
)
FURTHER_ARMS: tuple[Arm, ...] = (
    Planted("planted_frozen", "|θ₀|·s_frozen", "The signed mask of LRR with ψ frozen at ψ_init: AWS's control.", "frozen"),
    Planted(
        "planted_lrr_absorbed",
        "|θ₀|·s_LRR, sign(γ) absorbed",
        "LRR's signed mask read after negative γ were absorbed into the weights.",
        "lrr",
        plant_absorbed_signs,
    ),
    Planted("planted_lrr_phi", "|θ₀|·s_LRR, ψ kept", "LRR's signed mask and trained ψ on a fresh start.", "lrr", plant_phi),
    Planted("planted_aws_phi", "|θ₀|·s_AWS, ψ kept", "AWS's signed mask and trained ψ on a fresh start.", "aws", plant_phi),
    Planted("mask_only_lrr", "θ₀·m_LRR (mask only)", "LRR's mask with the fresh start's own signs.", "lrr", plant_mask),
)
REPEATS: tuple[Arm, ...] = tuple(
    Planted(
        f"planted_{name}_reordered",
        f"|θ₀|·s_{name.upper()}, another data order",
        f"The same start as planted_{name}, trained on the data in another order: SGD noise.",
        name,
        order=1,
        repeat=True,
    )
    for name in ("aws", "lrr")
)


def arms_of_search(search: str, label: str) -> dict[str, Arm]:
    """Every arm that judges one search, by name: its network, and what of its tickets is planted on fresh starts.

    Args:
        search: its name in the study.
        label: what figures and tables call it: "LRR".
    """
    found = FoundNetwork(
        f"network_{search}", f"{label} network", f"The sparse network at the end of the {label} search.", search
    )
    fresh_norms = FoundNetwork(
        f"network_{search}_psi",
        f"{label} network, ψ := ψ_init",
        f"The {label} network, γ = 1 and β = 0 put back.",
        search,
        reset_norms=True,
    )
    arms: tuple[Arm, ...] = (found, fresh_norms, *_planted_arms(search, label))
    return {arm.name: arm for arm in arms}


def _planted_arms(search: str, label: str) -> tuple[Planted, ...]:
    return (
        Planted(
            f"planted_{search}", f"|θ₀|·s_{label}", f"{label}'s signed mask on a fresh start, trained from scratch.", search
        ),
        Planted(
            f"mask_only_{search}",
            f"θ₀·m_{label} (mask only)",
            f"{label}'s mask with the fresh start's own signs.",
            search,
            plant_mask,
        ),
        Planted(
            f"random_mask_{search}",
            f"random mask, densities of {label}",
            f"Random places with {label}'s layer densities, own signs.",
            search,
            plant_random_mask,
        ),
        Planted(
            f"planted_{search}_phi",
            f"|θ₀|·s_{label}, ψ kept",
            f"{label}'s signed mask and trained ψ on a fresh start.",
            search,
            plant_phi,
        ),
        Planted(
            f"planted_{search}_absorbed",
            f"|θ₀|·s_{label}, sign(γ) absorbed",
            f"{label}'s signed mask read after negative γ were absorbed into the weights.",
            search,
            plant_absorbed_signs,
        ),
        Planted(
            f"planted_{search}_reordered",
            f"|θ₀|·s_{label}, another data order",
            f"The same start as planted_{search}, trained on the data in another order: SGD noise.",
            search,
            order=1,
            repeat=True,
        ),
    )


ARMS: dict[str, Arm] = {arm.name: arm for arm in (*PAPER_A_ARMS, *FURTHER_ARMS, *REPEATS)}

_A = "arXiv:2504.05357"
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "AWS's signed mask trains better from a fresh start than LRR's.",
        _A,
        {"planted_aws": 1, "planted_lrr": -1},
        "|θ₀|·s_AWS minus |θ₀|·s_LRR",
    ),
    Claim(
        "The signs carry it: AWS's signed mask trains better than its mask alone.",
        _A,
        {"planted_aws": 1, "mask_only": -1},
        "|θ₀|·s_AWS minus mask only",
    ),
    Claim(
        "A found mask trains better than a random mask of the same layer densities.",
        _A,
        {"mask_only": 1, "random_mask": -1},
        "mask only minus random mask",
    ),
    Claim(
        "AWS's signed mask comes close to the dense network: it closes more than half of the gap that the mask alone leaves.",
        _A,
        {"planted_aws": 1, "mask_only": -0.5, "dense": -0.5},
        "|θ₀|·s_AWS minus the middle between mask only and dense",
    ),
    Claim(
        "LRR's network leans on its normalisation parameters: with ψ set back to ψ_init it is worse.",
        _A,
        {"network_lrr": 1, "network_lrr_psi": -1},
        "LRR network minus the same with ψ_init",
    ),
    Claim(
        "AWS removes that dependence: setting ψ back costs its network less.",
        _A,
        {"network_lrr": 1, "network_lrr_psi": -1, "network_aws": -1, "network_aws_psi": 1},
        "what ψ_init costs LRR's network minus what it costs AWS's",
    ),
    Claim(
        "Interpolating ψ finds better signs than freezing ψ at ψ_init during the search (a control that the paper lacks).",
        "control of this project",
        {"planted_aws": 1, "planted_frozen": -1},
        "|θ₀|·s_AWS minus |θ₀|·s_frozen",
    ),
    Claim(
        "Absorbing sign(γ) into the weights before reading LRR's signs makes them train better.",
        "control of this project",
        {"planted_lrr_absorbed": 1, "planted_lrr": -1},
        "|θ₀|·s_LRR with sign(γ) absorbed minus without",
    ),
)
