"""The searches of a study, each in its own folder: those of one method side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from winsome.prunable import prunable
from winsome.search import Search
from winsome.searchable import looks_at_probe
from winsome.seeding import stream_seed
from winsome.signed_mask import SignedMask
from winsome.study.conditions import fresh_network
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.training.conditions import Conditions
from winsome.training.loop import OnFraction
from winsome.training.searches import search_together


def search_of(
    study: Study,
    conditions: Conditions,
    place: Path,
    name: str,
    seed: int,
    *,
    masks: Sequence[SignedMask] = (),
    classifier: Sequence[str] = (),
) -> Search:
    """The search of one name and seed, in its own folder. Every search of a seed starts from the same network.

    `masks` are those that it borrows, one for each level, where its spec says so; `classifier` names the output layers where
    they are not what is found.
    """
    network = fresh_network(study, conditions, seed=stream_seed(seed, "search network"))
    spec = study.search_specs[name]
    method = spec.method if spec.masks_of is None else spec.borrow(spec.method, masks, stream_seed(seed, "borrowed masks"))
    training = spec.training or study.search_training
    config = {
        "method_name": name,
        "network": study.network.of_images(conditions.data.image_shape, conditions.data.n_classes).record(),
        "data": study.data.record() | {"digest": conditions.data.digest()},
        **study.data.place(),
        "training": study.search_record(training) | ({"level_epochs": list(spec.epochs)} if spec.epochs else {}),
        "precision": conditions.precision.label,
    }
    names = prunable(network, prune_classifier=study.prune_classifier, classifier=classifier or None)
    probe = study.probe.of(conditions, seed=seed) if looks_at_probe(method) else None
    return Search(network, method, probe=probe, save_to=place, seed=seed, prunable=names, config=config)


def run_searches(
    name: str, seeds: Sequence[int], study: Study, folder: StudyFolder, conditions: Conditions, on_fraction: OnFraction
) -> None:
    """Do the levels of one method's searches that are not done yet, side by side, to the deepest that the study needs."""
    source = study.search_specs[name].masks_of
    searches = []
    for seed in seeds:
        masks = [folder.found(source, seed, k).ticket.mask for k in range(study.depth(source) + 1)] if source else []
        place = folder.search(name, seed).path
        searches.append(search_of(study, conditions, place, name, seed, masks=masks))
    search_together(
        searches,
        conditions,
        lambda number: study.level_training(name, number),
        last_level=study.depth(name),
        on_fraction=on_fraction,
    )
