"""The words that a reader of a report needs, each explained in a sentence."""

from __future__ import annotations

from winsome.evidence.results import Results


def glossary(results: Results) -> list[tuple[str, str]]:
    """What stands for what; search methods as they describe themselves, and only where they were used."""
    searches = {search["label"]: search["sentence"] for search in results["study"]["searches"] if search["sentence"]}
    return [
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
        *searches.items(),
    ]
