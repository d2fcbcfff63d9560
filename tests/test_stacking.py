"""Stacked networks: each member is computed as if it were alone, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from winsome import models
from winsome.data import ImageData, load, steps_per_epoch
from winsome.errors import WinsomeError
from winsome.stacking import can_stack, stack, unstack
from winsome.training.loop import train
from winsome.training.settings import SGD, Training

DIGITS = (1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits")


def network(seed: int, name: str = "residual_mlp") -> nn.Module:
    return models.build(name, image_shape=DIGITS, n_classes=10, seed=seed)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, *DIGITS, generator=torch.Generator().manual_seed(0))


def trained_alone(seed: int, data: ImageData, training: Training, steps: int) -> dict[str, Tensor]:
    model = network(seed)
    train(model, data, training, training.optimizer(model.parameters()), range(steps), seeds=[seed])
    return model.state_dict()


def trained_together(seeds: list[int], data: ImageData, training: Training, steps: int) -> list[dict[str, Tensor]]:
    members = [network(seed) for seed in seeds]
    together = stack(members)
    train(together, data, training, training.optimizer(together.parameters()), range(steps), seeds=seeds, stacked=True)
    unstack(together, members)
    return [member.state_dict() for member in members]


@pytest.mark.parametrize("name", ["residual_mlp", "mlp"])
@pytest.mark.parametrize("mode", [True, False])
def test_the_forward_is_each_members_own(name: str, mode: bool) -> None:
    members = [network(seed, name).train(mode) for seed in range(3)]
    together = stack(members).train(mode)
    inputs = images(3, 16)
    outputs = together(inputs)
    assert outputs.shape == (3, 16, 10)
    for index, member in enumerate(members):
        torch.testing.assert_close(outputs[index], member(inputs[index]), rtol=1e-5, atol=1e-5)
    for key, value in together.state_dict().items():
        if "running" in key or "batches" in key:
            for index, member in enumerate(members):
                torch.testing.assert_close(value[index], member.state_dict()[key], rtol=1e-5, atol=1e-6)


def test_thirty_steps_in_a_stack_are_thirty_steps_alone(digits: ImageData) -> None:
    training = Training(3, 128, SGD(0.05, 0.9, 1e-3))
    steps = 3 * steps_per_epoch(digits, 128)
    assert steps == 30
    for seed, state in zip([4, 5, 6], trained_together([4, 5, 6], digits, training, steps), strict=True):
        for key, value in trained_alone(seed, digits, training, steps).items():
            torch.testing.assert_close(state[key], value, rtol=TOLERANCE, atol=TOLERANCE)


# A batched product adds up in another order than a single one: 3e-6 was measured after 30 steps.
TOLERANCE = 1e-4


def test_a_member_does_not_depend_on_its_place_or_its_neighbours(digits: ImageData) -> None:
    training = Training(1, 128, SGD(0.05, 0.9, 1e-3))
    pair = trained_together([1, 2], digits, training, 10)
    for seeds in ([2, 1], [7, 2, 1, 9], [3, 4, 5, 1, 6, 2, 8]):
        several = trained_together(seeds, digits, training, 10)
        for member, seed in enumerate([1, 2]):
            for key, value in pair[member].items():
                assert torch.equal(several[seeds.index(seed)][key], value), (seeds, key)


def test_unstacking_gives_back_what_was_stacked() -> None:
    members = [network(seed) for seed in range(3)]
    before = [{key: value.clone() for key, value in member.state_dict().items()} for member in members]
    others = [network(9) for _ in range(3)]
    together = stack(members)
    assert list(together.state_dict()) == list(members[0].state_dict()), "names stay"
    unstack(together, others)
    for expected, other in zip(before, others, strict=True):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in expected.items())


def test_a_layer_without_a_stacked_form_is_named() -> None:
    convolutional = network(0, "small_conv")
    assert not can_stack(convolutional)
    with pytest.raises(WinsomeError, match=r"'0' \(Conv2d\) has no stacked form"):
        stack([convolutional, convolutional])


def test_a_container_with_parameters_of_its_own_is_named() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.linear = nn.Linear(4, 4)

    with pytest.raises(WinsomeError, match=r"'scaled' \(Scaled\)"):
        stack([nn.ModuleDict({"scaled": Scaled()})] * 2)
