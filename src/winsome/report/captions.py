"""The words under the figures and the glossary: what a reader needs to judge what they see."""

from __future__ import annotations

from collections.abc import Callable

from winsome.evidence.results import Results, densities_of, percent


def accuracy(results: Results) -> str:
    """Under the headline figure."""
    dense = any(arm["kind"] == "dense" for arm in results["study"]["arms"])
    band = " The line with the grey band is the dense network." if dense else ""
    if len(densities_of(results)) == 1:
        text = f"Test accuracy of every arm at {percent(densities_of(results)[0])} of the weights"
        if _seeds(results) < 2:
            return f"{text}, from one search seed.{band}"
        return (
            f"{text}: mean and standard deviation over search seeds. Small dots are the seeds, each a mean over its "
            f"fresh starts.{band}"
        )
    spread = "mean and standard deviation over search seeds" if _seeds(results) > 1 else "one search seed"
    return f"Test accuracy as weights are removed, fewer to the right: {spread}.{band} Each panel has its own scale."


def differences(results: Results) -> str:
    """Under the paired differences."""
    if _seeds(results) < 2:
        return "Differences between arms at one search seed: there is no spread to judge them by."
    return (
        "Accuracy of one arm minus another's, paired by search seed. Small dots are search seeds, each a mean over its fresh "
        "starts; diamonds are means with their 95\u00a0% confidence interval. An interval that excludes zero is a difference."
    )


def curves(results: Results) -> str:
    """Under the learning curves."""
    some = " Three of the densities are drawn." if len(densities_of(results)) > 3 else ""
    return f"Test accuracy over the epochs of training from scratch, mean over all runs of an arm.{some}"


def searches(results: Results) -> str:
    """Under the progress of the searches."""
    stored = [level["stored_accuracy"] for search in results["searches"] for level in search["levels"]]
    text = (
        "Accuracy of the network each search works on, level by level: mean over search seeds, shaded from the lowest seed "
        "to the highest."
    )
    if not any(accuracy is not None for accuracy in stored):
        return text
    return (
        f"{text} The lower panel shows why BatchNorm statistics are re-estimated before a network is evaluated: those stored "
        "while a method draws its normalisation parameters at random (AWS) average over the draws, and belong to no network."
    )


def layers(results: Results) -> str:
    """Under the layer densities."""
    some = " Three of the densities are drawn." if len(densities_of(results)) > 3 else ""
    return (
        "Remaining weights of each layer in the tickets, mean over search seeds; thin lines or shades reach from the lowest "
        "seed to the highest. The dashed line is the density of the whole ticket; a cross is a layer that lost all weights."
        f"{some}"
    )


def glossary(results: Results) -> list[tuple[str, str]]:
    """The words a reader needs, each explained in a sentence; search methods only where they were used."""
    methods = {search["method"] for search in results["searches"]}
    words = [
        ("Remaining weights", "The fraction of prunable weights that a network keeps (its density); sparsity is the rest."),
        ("Ticket", "A signed mask s: for every prunable weight −1, 0 or +1, pruned where 0, its sign otherwise."),
        ("|θ₀|·s", "A ticket planted in a fresh random start θ₀: the start's magnitudes, the ticket's mask and signs."),
        ("Mask only", "The fresh start's own signs under a found mask, θ₀·m: what the mask is worth without its signs."),
        ("φ, ψ", "ψ are the normalisation layers' parameters (γ, β), φ all others; ψ reset means γ = 1 and β = 0."),
        ("Search seed", "One independent search for a ticket: the unit of all intervals and paired differences here."),
        (
            "Fresh start",
            "One new initialisation a ticket is planted in. Starts of one ticket are not independent of each other.",
        ),
        (
            "±",
            "Standard deviation over search seeds, each a mean over its fresh starts; [a, b]: a 95\u00a0% confidence interval.",
        ),
    ]
    if methods & {"lrr", "learning_rate_rewinding"}:
        words.append(
            ("LRR", "Learning-rate rewinding: train, prune the smallest weights, keep the rest, restart the schedule.")
        )
    if "aws" in methods:
        words.append(
            ("AWS", "LRR in which every training step uses ψ drawn at random between the trained and the initial one.")
        )
    if methods & {"frozen", "lrr_with_frozen_norms"}:
        words.append(("Frozen norms", "LRR with ψ held at γ = 1, β = 0 through the whole search: the control for AWS."))
    if methods & {"imp", "weight_rewinding"}:
        words.append(("IMP, WR", "Train, prune the smallest weights, set the rest back to an early state, train again."))
    return words


def _seeds(results: Results) -> int:
    return len(results["study"]["search_seeds"])


CAPTIONS: dict[str, Callable[[Results], str]] = {
    "accuracy_over_density": accuracy,
    "paired_differences": differences,
    "learning_curves": curves,
    "search_progress": searches,
    "layer_densities": layers,
}
