"""Options that several commands have: each group is a value, and knows what it stands for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import UseAppendAction, arg

from winsome.about import about
from winsome.cli import choices
from winsome.errors import WinsomeError

if TYPE_CHECKING:  # help knows every option before torch is imported
    from _typeshed import DataclassInstance

    from winsome.analysis.connectivity import Statistics
    from winsome.data.spec import DataSpec
    from winsome.method import Method
    from winsome.models.spec import NetworkSpec
    from winsome.study.design import Study
    from winsome.training.probe import ProbeSpec

OnCorrupt = Literal["stop", "skip"]
Tracked = Literal["none", "wandb", "trackio", "tensorboard", "mlflow"]
SixteenBit = Literal["stop", "high-byte"]
Unset = arg(help_behavior_hint="")  # where no default is to be shown


def asked_for(options: DataclassInstance) -> dict[str, Any]:
    """The options that are other than their defaults, by name: what is not asked for stays as a study or a run has it."""
    return {one.name: value for one in fields(options) if (value := getattr(options, one.name)) != one.default}


@dataclass(frozen=True)
class DataOptions:
    """Which part of a data set, and where it lies.

    Attributes:
        data_dir: Folder of local parquet files (imagenet: or shards, or images) with the data set, instead of a download.
        train_images: Train on a stratified part of this many images.
        test_images: Judge on a stratified part of this many images.
        image_size: Pixels of a side to which every image is resized (imagenet: 224).
        on_corrupt: Whether an image of imagenet that cannot be decoded stops, or is left out, named and counted.
        config: Which of several data sets side by side in a folder (configurations, folds); by default what its README.md says.
        sixteen_bit: Whether grey images of 16 bits are refused, or count by their high byte.
    """

    data_dir: Annotated[Path | None, Unset] = None
    train_images: Annotated[int | None, Unset] = None
    test_images: Annotated[int | None, Unset] = None
    image_size: Annotated[int | None, Unset] = None
    on_corrupt: OnCorrupt = "stop"
    config: Annotated[str | None, Unset] = None
    sixteen_bit: SixteenBit = "stop"

    def of(self, name: str) -> DataSpec:
        """These images of a data set."""
        from winsome.data.spec import DataSpec

        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return DataSpec.named(name, **parts)

    def over(self, known: DataSpec, *, validation: bool) -> DataSpec:
        """A study's images, and of these what was asked for."""
        return replace(known, validation=validation or known.validation, **asked_for(self))


@dataclass(frozen=True)
class KnownDataOptions:
    """Data that a run or ticket knows, and what is to be other than there.

    Attributes:
        data: Data set, folder, or images of your own (FILE.py:NAME or PACKAGE.MODULE:NAME); by default what the ticket or
            the run was found with.
        data_dir: Folder of local parquet files with the data set, instead of a download.
        train_images: Train on a stratified part of this many images; by default as many as the ticket or the run had.
        test_images: Judge on a stratified part of this many images.
        on_corrupt: Whether an image of imagenet that cannot be decoded stops, or is left out, named and counted.
        config: Which of several data sets side by side in the folder; by default what the ticket or the run was found with.
    """

    data: Annotated[str | None, Unset] = None
    data_dir: Annotated[Path | None, Unset] = None
    train_images: Annotated[int | None, Unset] = None
    test_images: Annotated[int | None, Unset] = None
    on_corrupt: OnCorrupt = "stop"
    config: Annotated[str | None, Unset] = None

    def named(self) -> DataSpec | None:
        """The data asked for by name, if any."""
        from winsome.data.spec import DataSpec

        if self.data is None:
            return None
        parts = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "data"}
        return DataSpec.named(self.data, **parts)

    def over(self, known: DataSpec) -> DataSpec:
        """The data that are known, and of these what was asked for."""
        return replace(known, **{name: value for name, value in asked_for(self).items() if name != "data"})


@dataclass(frozen=True)
class NetworkOptions:
    """Which network.

    Attributes:
        network: For example residual_mlp, small_conv, resnet20, resnet50, mobilenet_v2, mlp_mixer, any torchvision name,
            timm:NAME, or a function of your own (image_shape, n_classes, **options) as FILE.py:NAME or PACKAGE.MODULE:NAME. By
            default a study's own, or what is usual for the data: residual_mlp for digits, small_conv for digits-conv, resnet20.
        network_option: An option of the network, name=value; may be given several times. Every network has initialisation (own,
            fan_in, fan_out); mobilenet_v2, efficientnet_b0 and shufflenet have variant=aws (docs/networks.md).
        weights: A .safetensors file that the network starts from, pretrained, in the place of random numbers.
        fresh: Globs of names that are not taken from it and start random, such as 'head.*' for other classes.
    """

    network: Annotated[str | None, Unset] = None
    network_option: Annotated[UseAppendAction[tuple[str, ...]], Unset] = ()
    weights: Annotated[Path | None, Unset] = None
    fresh: Annotated[tuple[str, ...], Unset] = ()

    def of(self, default: NetworkSpec) -> NetworkSpec:
        """The network asked for; the default one keeps the options that are not asked for otherwise.

        Raises:
            WinsomeError: there is no such code or file of weights, or --fresh without one.
        """
        from winsome.models.spec import NetworkSpec
        from winsome.models.weights import Weights

        options = choices.network_options(self.network_option)
        if self.network not in (None, default.name):
            spec = NetworkSpec.named(str(self.network), options)
        else:
            spec = replace(default, options=tuple(sorted({**dict(default.options), **dict(options)}.items())))
        if self.weights is not None:
            return replace(spec, weights=Weights.of(self.weights, self.fresh))
        if self.fresh:
            raise WinsomeError("--fresh says what is not taken from --weights FILE.safetensors: give the file, or leave it out")
        return spec


@dataclass(frozen=True)
class ComputeOptions:
    """How trainings use the machine.

    Attributes:
        sync_batch_norm: Under torchrun, BatchNorm over the images of all ranks instead of each rank's own.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: Train by torch.compile, on a GPU as CUDA graphs: every training compiles first, which takes up to a minute.
        log: Tell a tracker, too, of every finished level and planted network, which log.jsonl in the folder always lists.
    """

    sync_batch_norm: bool = False
    fast: bool = True
    compiled: bool = False
    log: Tracked = "none"

    def over(self, base: Study) -> dict[str, Any]:
        """Fields of a study."""
        return {"fast": base.fast and self.fast, "compiled": base.compiled or self.compiled}


@dataclass(frozen=True)
class ProbeOptions:
    """Which training images a score that looks at data is shown.

    Attributes:
        probe_images: Training images that a score which looks at data is shown, drawn by the search's seed.
        probe_batch: Images in a batch of these.
        probe_augmented: Augment them as in training.
        probe_mode: Whether BatchNorm takes a batch's statistics meanwhile (training) or the stored ones (evaluation); that
            decides the mask. By default as the authors of the score have it.
    """

    probe_images: int = 128
    probe_batch: int = 128
    probe_augmented: bool = False
    probe_mode: Literal["authors", "training", "evaluation"] = "authors"

    def of(self, method: Method) -> ProbeSpec:
        """What the method's score is shown.

        Raises:
            WinsomeError: something is asked for, and the score looks at no data.
        """
        from winsome.searchable import looks_at_probe
        from winsome.training.probe import ProbeSpec

        asked = asked_for(self)
        if asked and not looks_at_probe(method):
            option = next(iter(asked)).replace("_", "-")
            raise WinsomeError(
                f"--{option} says what a score that looks at data is shown, and {about(method.score).label} looks at none; "
                "leave it out, or name a score that does, such as --score snip"
            )
        unseen = [option for option in asked if option != "probe_mode"]
        if unseen and "shape" in about(method.score).needs:
            option = unseen[0].replace("_", "-")
            raise WinsomeError(
                f"--{option} says which images a score is shown, and {about(method.score).label} looks at nothing but the "
                "shape of one; leave it out"
            )
        batch = self.probe_batch if "probe_batch" in asked else min(self.probe_batch, self.probe_images)
        training = None if self.probe_mode == "authors" else self.probe_mode == "training"
        return ProbeSpec(self.probe_images, batch, self.probe_augmented, training)


@dataclass(frozen=True)
class StatisticsOptions:
    """BatchNorm statistics along a line.

    Attributes:
        statistics: Training images from which BatchNorm statistics are re-estimated at every point: a number, epoch (all,
            augmented), or none (the stored ones, interpolated). By default 1000, or what the study has.
        statistics_batch: Images in a batch of these; 250, or 128 for epoch.
        statistics_augmented: Augment these images as in training; epoch always does.
    """

    statistics: Annotated[str | None, Unset] = None
    statistics_batch: Annotated[int | None, Unset] = None
    statistics_augmented: bool = True

    def of(self, usual: int) -> Statistics | None:
        """The statistics asked for; of so many images where nothing was.

        Raises:
            WinsomeError: no number, or options that exclude each other.
        """
        from winsome.analysis.connectivity import Statistics, one_epoch

        if self.statistics == "none":
            if self.statistics_batch is not None or not self.statistics_augmented:
                option = "--statistics-batch" if self.statistics_augmented else "--no-statistics-augmented"
                raise WinsomeError(f"--statistics none takes no images; leave {option} out")
            return None
        if self.statistics == "epoch":
            if not self.statistics_augmented:
                raise WinsomeError(
                    "--statistics epoch is of augmented images; leave --no-statistics-augmented out, or give a number"
                )
            return one_epoch(self.statistics_batch or 128)
        if self.statistics is not None and not self.statistics.isdigit():
            raise WinsomeError(f"--statistics is a number of training images, epoch, or none; got {self.statistics!r}")
        images = int(self.statistics) if self.statistics is not None else usual
        return Statistics(images, self.statistics_batch or 250, self.statistics_augmented)


@dataclass(frozen=True)
class KnownNetworkOptions:
    """A network that a run knows, and what it is where none says so.

    Attributes:
        network: The networks' name, where no run says it.
        network_option: An option of the network, name=value; may be given several times.
    """

    network: Annotated[str | None, Unset] = None
    network_option: Annotated[UseAppendAction[tuple[str, ...]], Unset] = ()

    def named(self) -> NetworkSpec | None:
        """The network asked for by name, if any.

        Raises:
            WinsomeError: there is no such code, or an option of a network that is not named.
        """
        from winsome.models.spec import NetworkSpec

        if self.network is None and self.network_option:
            raise WinsomeError("--network-option is of the network that --network names; give both, or leave it out")
        return None if self.network is None else NetworkSpec.named(self.network, choices.network_options(self.network_option))


ALL_DATA = DataOptions()
AS_KNOWN = KnownDataOptions()
USUAL_NETWORK = NetworkOptions()
SAME_NETWORK = KnownNetworkOptions()
USUAL_COMPUTE = ComputeOptions()
USUAL_PROBE = ProbeOptions()
USUAL_STATISTICS = StatisticsOptions()
