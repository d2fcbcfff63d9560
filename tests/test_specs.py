"""What a run, a study or a ticket writes down of network, data and training is read back as it was, whatever it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winsome import models
from winsome.data import DATA_SETS, DataSpec
from winsome.errors import WinsomeError
from winsome.models import NetworkSpec
from winsome.study.presets import PRESETS
from winsome.training.probe import ProbeSpec
from winsome.training.settings import SGD, Adam, Constant, Cosine, StepDecay, Training

_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_values = st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.tuples(st.integers(), st.integers()))
_counts = st.integers(1, 1000)
_networks = st.builds(
    NetworkSpec,
    _names,
    st.dictionaries(_names, _values, max_size=3).map(lambda options: tuple(options.items())),
    st.none() | st.tuples(_counts, _counts, _counts),
    st.none() | _counts,
)
_data = st.builds(
    DataSpec,
    name=st.sampled_from(sorted(DATA_SETS)) | st.from_regex(r"[a-z]{1,8}", fullmatch=True),  # of a folder the last part is kept
    train_images=st.none() | _counts,
    test_images=st.none() | _counts,
    validation=st.booleans(),
    image_size=st.none() | _counts,
)
_rates = st.floats(1e-6, 10)
_trainings = st.builds(
    Training,
    epochs=st.integers(5, 100),
    batch_size=_counts,
    optimizer=st.builds(SGD, _rates, _rates, _rates) | st.builds(Adam, _rates, _rates),
    schedule=st.just(Constant()) | st.builds(StepDecay, st.tuples(_rates, _rates), _rates) | st.builds(Cosine, _rates),
    warmup_epochs=st.integers(0, 5),
    sync_batch_norm=st.booleans(),
)


def through_json(record: dict[str, object]) -> dict[str, object]:
    back: dict[str, object] = json.loads(json.dumps(record))
    return back


@settings(max_examples=40, deadline=None)
@given(_networks, _data, _trainings)
def test_a_record_comes_back_as_it_was(network: NetworkSpec, data: DataSpec, training: Training) -> None:
    assert NetworkSpec.from_record(through_json(network.record())) == network
    assert DataSpec.from_record(through_json(data.record())) == data
    assert Training.from_record(through_json(training.record())) == training


@pytest.mark.parametrize("name", PRESETS)
def test_every_field_is_written_at_its_default_too(name: str) -> None:
    study = PRESETS[name]()
    assert set(study.training.record()) == {field.name for field in dataclasses.fields(Training)}
    fields = {field.name for field in dataclasses.fields(NetworkSpec)}
    assert set(study.network.record()) == fields - {"code", "weights"}  # of networks of the user's, and pretrained ones
    elsewhere = {"data_dir", "on_corrupt"}  # where images lie is not what they are
    elsewhere |= {"config", "sixteen_bit", "code"}  # written where given: a search without them keeps the bytes of its tickets
    assert set(study.data.record()) == {field.name for field in dataclasses.fields(DataSpec)} - elsewhere
    assert set(study.probe.record()) == {field.name for field in dataclasses.fields(ProbeSpec)}
    record = through_json(study.record())
    assert {"compiled", "prune_classifier", "probe", "fast", "statistics_augmented"} <= set(record)
    for kind, found in (
        (NetworkSpec.from_record(study.record()["network"]), study.network),
        (DataSpec.from_record(study.record()["data"]), study.data),
        (Training.from_record(study.record()["search_training"]), study.search_training),
    ):
        assert kind == found


def test_data_are_read_from_where_they_lie_now(tmp_path: Path) -> None:
    here = DataSpec("cifar10", tmp_path / "here", 100, on_corrupt="skip")
    read = DataSpec.from_record({**here.record(), "digest": "0"}, data_dir=tmp_path / "there")
    assert read == dataclasses.replace(here, data_dir=tmp_path / "there", on_corrupt="stop")


def test_a_network_of_known_images_is_built_and_another_is_refused_by_name() -> None:
    spec = NetworkSpec("residual_mlp", (("width", 8),))
    with pytest.raises(WinsomeError, match="'residual_mlp' does not say for which images it is"):
        spec.build(0)
    built = spec.of_images((1, 8, 8), 10).build(3)
    expected = models.build("residual_mlp", image_shape=(1, 8, 8), n_classes=10, seed=3, width=8)
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in expected.state_dict().items())


@pytest.mark.parametrize("kind", [NetworkSpec, DataSpec, Training])
def test_what_is_no_record_is_refused(kind: type[NetworkSpec] | type[DataSpec] | type[Training]) -> None:
    record: dict[str, object] = {"options": {}, "optimizer": {"kind": "SGD"}}
    with pytest.raises(WinsomeError, match="this is no record of a"):
        kind.from_record(record)
