"""One search in a folder of its own: what `winsome find` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.method import Method
from winsome.models.spec import NetworkSpec
from winsome.search import Search
from winsome.study.design import Study
from winsome.study.searches import search_of
from winsome.training.conditions import Conditions
from winsome.training.loop import OnFraction
from winsome.training.probe import ProbeSpec
from winsome.training.searches import OnLevel, search_together
from winsome.training.settings import Training


@dataclass(frozen=True)
class OneSearch:
    """A search by itself.

    Attributes:
        name: of the method, for the record.
        method: how it searches.
        data: what its levels train and are judged on.
        network: what is pruned.
        training: of every level.
        warmup_epochs: trained before level 0's own epochs.
        seed: of everything random in it.
        prune_classifier: whether the classifier is pruned too.
        classifier: names of the output layers, where they are not what is found.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: train by torch.compile.
        probe: the training images that a score which looks at data is shown.
        warmup_ramp: whether the rate grows to its peak in the warm-up before level 0, which then has its whole schedule.

    Raises:
        WinsomeError: a negative seed, or settings that make no search.
    """

    name: str
    method: Method
    data: DataSpec
    network: NetworkSpec
    training: Training
    warmup_epochs: int = 0
    seed: int = 0
    prune_classifier: bool = False
    classifier: tuple[str, ...] = ()
    fast: bool = True
    compiled: bool = False
    probe: ProbeSpec = ProbeSpec()
    warmup_ramp: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise WinsomeError(f"the seed must be 0 or more, got {self.seed}")
        _ = self.study

    @property
    def study(self) -> Study:
        """The search as a study without arms: what `conditions_of` takes."""
        return Study(
            name=self.data.name,
            title=f"search by {self.name} on {self.data.name}",
            data=self.data,
            network=self.network,
            searches=((self.name, self.method),),
            search_training=self.training,
            warmup_epochs=self.warmup_epochs,
            warmup_ramp=self.warmup_ramp,
            training=Training(1, self.training.batch_size, drop_last=self.training.drop_last),
            arms=(),
            levels=(self.last_level,),
            search_seeds=(self.seed,),
            fast=self.fast,
            compiled=self.compiled,
            prune_classifier=self.prune_classifier,
            probe=self.probe,
        )

    @property
    def last_level(self) -> int:
        """The number of the last level, whose ticket is the sparsest."""
        return len(self.method.densities) - 1


def open_search(one: OneSearch, folder: Path, conditions: Conditions) -> Search:
    """The search, on a fresh network, in a folder that is taken for it.

    Raises:
        WinsomeError: the folder was made with another configuration.
    """
    return search_of(one.study, conditions, folder, one.name, one.seed, classifier=one.classifier)


def run_search(
    one: OneSearch,
    search: Search,
    conditions: Conditions,
    *,
    on_fraction: OnFraction = lambda _: None,
    on_level: OnLevel = lambda _: None,
) -> None:
    """Do the levels of a search that are not done yet; one that was killed goes on inside its level.

    Args:
        one: what is searched.
        search: from `open_search` for the same.
        conditions: from `conditions_of(one.study)`.
        on_fraction: hears how much of the training is done.
        on_level: hears of every level that is finished, or was.

    Raises:
        Diverged: a training's loss became NaN.
    """
    study = one.study
    with search.held(), conditions.one_by_one(search.model):
        search_together(
            [search],
            conditions,
            lambda number: study.level_training(one.name, number),
            last_level=one.last_level,
            on_fraction=on_fraction,
            on_level=on_level,
        )
