"""The words under the figures of a study: what is drawn, and what every bar, band and ± is."""

from __future__ import annotations

from winsome.evidence.results import Results, densities_of
from winsome.wording import counted, percent


def accuracy(results: Results) -> str:
    """Under the headline figure."""
    dense = any(arm["kind"] == "dense" for arm in results["study"]["arms"])
    band = " The line with the grey band is the dense network." if dense else ""
    if len(densities_of(results)) == 1:
        text = f"Test accuracy of every arm at {percent(densities_of(results)[0])} of the weights"
        if _seeds(results) < 2:
            return f"{text}, from one search seed.{band}"
        return (
            f"{text}: large marks are means over search seeds, bars and ± one standard deviation. Small dots are the seeds, "
            f"each a mean over its fresh starts.{band}"
        )
    spread = "one search seed"
    if _seeds(results) > 1:
        spread = "means over search seeds, bars or shades one standard deviation"
    return f"Test accuracy as weights are removed, fewer to the right: {spread}.{band} Each panel has its own scale."


def differences(results: Results) -> str:
    """Under the paired differences."""
    if _seeds(results) < 2:
        return "Differences between arms at one search seed: there is no spread to judge them by."
    return (
        "Accuracy of one arm minus another's, as named, paired by search seed. Small dots are search seeds, each a mean over "
        "its fresh starts; large marks are means, bars, shades and brackets their 95\u00a0% confidence interval (Student's t). "
        f"{uncorrected(len(results['comparisons']))}"
    )


def uncorrected(comparisons: int) -> str:
    """How far so many intervals can be trusted together."""
    if comparisons < 2:
        return "An interval that excludes zero is a difference."
    return (
        f"Each of the {counted(comparisons, 'interval')} is judged by itself, without a correction for their number: were no "
        f"two arms different, about {0.05 * comparisons:.2g} of them would still exclude zero."
    )


def curves(results: Results) -> str:
    """Under the learning curves."""
    some = " Three of the densities are drawn." if len(densities_of(results)) > 3 else ""
    return (
        "Test accuracy over the epochs of training from scratch: mean over all runs of an arm; where at most six arms are "
        f"drawn, one standard deviation over the runs is shaded.{some}"
    )


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


def _seeds(results: Results) -> int:
    return len(results["study"]["search_seeds"])
