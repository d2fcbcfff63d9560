"""`winsome barrier`: error and loss along the straight line between two networks, or between all pairs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from winsome.cli.options import (
    AS_KNOWN,
    SAME_NETWORK,
    USUAL_STATISTICS,
    KnownDataOptions,
    KnownNetworkOptions,
    StatisticsOptions,
)
from winsome.errors import WinsomeError, unknown


def barrier(
    a: Positional[str],
    b: Positional[str | None] = None,
    /,
    *,
    points: int = 11,
    base_line: str = "straight",
    norms: Annotated[StatisticsOptions, arg(name="")] = USUAL_STATISTICS,
    masks: str = "agree",
    level: int | None = None,
    seeds: tuple[int, ...] = (),
    network: Annotated[KnownNetworkOptions, arg(name="")] = SAME_NETWORK,
    images: Annotated[KnownDataOptions, arg(name="")] = AS_KNOWN,
    save_to: Path | None = None,
    fast: bool = False,
) -> None:
    """Measure error and loss along the straight line between two networks: is there a barrier between them?

    With two networks A and B, prints the curve. Each is a file of weights (.safetensors, or a PyTorch file without pickled
    objects), a .ticket with its weights beside it, the folder of a search (its last level), or FOLDER:LEVEL.
    With the folder of a study, joins over all search seeds: planted networks with those they were planted from (norms fresh,
    and norms kept), two data orders of one planted start (SGD-noise stability), and two planted starts (what the paper's code
    calls so). Writes tables and a figure to FOLDER/connectivity; what is measured is kept.

    Args:
        a: A network, or the folder of a study.
        b: Another network of the same shape.
        points: Points on the line, its ends among them.
        base_line: What a barrier rises above: straight (the line between the ends' errors), or mean (their mean, as in the
            paper's code: unequal ends alone read as a barrier).
        norms: BatchNorm statistics on the line.
        masks: Of two networks: agree (refuse unequal masks), union, or intersection of what they keep.
        level: Of a study: the searches' level; by default its deepest.
        seeds: Of a study: search seeds; by default all.
        network: Which networks these are.
        images: What to judge on.
        save_to: Of two networks: folder for the tables and the figure; by default they are printed only.
        fast: bf16 where this machine gains from it; its rounding is noise of the size of a small barrier.
    """
    from winsome.analysis.agreement import AGREEMENTS
    from winsome.analysis.line import BASE_LINES
    from winsome.cli.ends import images_of, named_end, network_of
    from winsome.cli.lines import print_line
    from winsome.cli.study_lines import print_study
    from winsome.evidence.ruler import Settings, ruler
    from winsome.study.folder import StudyFolder

    if base_line not in BASE_LINES:
        raise unknown("base line", base_line, BASE_LINES)
    if masks not in AGREEMENTS:
        raise unknown("choice for --masks", masks, AGREEMENTS)
    if b is None:
        _refuse({"--masks": masks != "agree", "--network": network.network, "--network-option": network.network_option}, a)
        _refuse({"--data": images.data, "--train-images": images.train_images, "--save-to": save_to}, a)
        usual = StudyFolder(Path(a)).study_record()["statistics_images"]
        settings = Settings(points, norms.of(usual), images.test_images, fast)
        print_study(Path(a), level, seeds, settings, images, base_line)
        return
    if level is not None or seeds:
        raise WinsomeError("--level and --seeds belong to the folder of a study; the level of a run is written RUN:LEVEL")
    ends = named_end(a), named_end(b)
    spec = network_of(ends, network)
    settings = Settings(points, norms.of(1000), images.test_images, fast)
    data = images_of(ends, images)
    model = spec.of_images(data.image_shape, data.n_classes).build(0)
    print_line(ends, ruler(data, model, settings), AGREEMENTS[masks], base_line, save_to)


def _refuse(given: Mapping[str, Any], study: str) -> None:
    for option, value in given.items():
        if value:
            raise WinsomeError(
                f"{option} belongs to two networks, and {study} is alone; leave it out, or name a second network"
            )
