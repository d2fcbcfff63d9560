"""Interpolated normalisation against brute force, autograd and plain Python; frozen and reset normalisation."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from winsome.alphas import uniform
from winsome.errors import WinsomeError
from winsome.norm_statistics import re_estimate_batch_norm
from winsome.norms import (
    frozen_norms,
    interpolated_norms,
    reset_norm_parameters,
)
from winsome.psi import norm_layers, norm_parameters, norm_state_names

SEED = 12345
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (6, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), (6, 4, 3, 3)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(4), (6, 4, 2, 3, 2)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (6, 4)),
    "LayerNorm without bias": (lambda: nn.LayerNorm((3, 4), bias=False), (6, 3, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (6, 4, 5)),
    "RMSNorm": (lambda: nn.RMSNorm(4), (6, 4)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), (6, 4, 3, 3)),
}


def split_mix_64(seed: int, index: int) -> float:
    """Steele et al. 2014 in unsigned integers of Python."""
    whole = (1 << 64) - 1
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & whole
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & whole
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
    z ^= z >> 31
    return ((z >> 11) + 0.5) / 2**53


def alphas(count: int, seed: int = SEED) -> list[float]:
    return [float(torch.tensor(split_mix_64(seed, index), dtype=torch.float32)) for index in range(count)]


def randomised(model: nn.Module) -> nn.Module:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    return model.double()


def psi_used(model: nn.Module, alpha: float) -> dict[str, Tensor]:
    """By hand: alpha * psi + (1 - alpha) * psi_init."""
    return {
        name: alpha * psi.detach() + (1 - alpha) * (1.0 if name.endswith("weight") else 0.0)
        for name, psi in norm_parameters(model).items()
    }


def network() -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 8), nn.LayerNorm(8)
    )
    return randomised(layers)


def images(count: int = 5) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_a_training_forward_uses_psi_interpolated_with_its_initial_values(name: str) -> None:
    make, shape = LAYERS[name]
    model, twin = randomised(nn.Sequential(make())), randomised(nn.Sequential(make()))
    inputs = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with interpolated_norms(model, SEED):
        for alpha in alphas(3):
            expected = torch.func.functional_call(twin, psi_used(twin, alpha), (inputs,))
            assert torch.allclose(model(inputs), expected, rtol=1e-12, atol=1e-12)
        model.eval(), twin.eval()
        assert torch.equal(model(inputs), twin(inputs)), "evaluation uses psi itself, and the same statistics"


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_to_psi_are_scaled_by_alpha(name: str) -> None:
    make, shape = LAYERS[name]
    model = randomised(nn.Sequential(make()))
    inputs = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    target = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    alpha = alphas(1)[0]
    used = {key: value.requires_grad_() for key, value in psi_used(model, alpha).items()}
    by_hand = (torch.func.functional_call(copy.deepcopy(model), used, (inputs,)) - target).square().sum()
    gradients = torch.autograd.grad(by_hand, list(used.values()))
    with interpolated_norms(model, SEED):
        (model(inputs) - target).square().sum().backward()
    assert used
    for key, gradient in zip(used, gradients, strict=True):
        found = model.get_parameter(key).grad
        assert found is not None
        assert torch.allclose(found, alpha * gradient, rtol=1e-10, atol=1e-12)


def test_one_alpha_a_pass_for_all_layers_and_another_the_next_pass() -> None:
    model, twin = network(), network()
    with interpolated_norms(model, SEED) as progress:
        outputs = [model(images()) for _ in range(4)]
        model.eval()
        evaluated = [model(images()) for _ in range(2)]
        assert int(progress["forward_passes"]) == 4, "evaluation draws nothing"
    for output, alpha in zip(outputs, alphas(4), strict=True):
        expected = torch.func.functional_call(twin, psi_used(twin, alpha), (images(),))
        assert torch.allclose(output, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(*evaluated)
    assert len({float(output.detach().sum()) for output in outputs}) == 4


def test_the_alphas_are_their_own_stream_and_go_on_from_a_restored_count() -> None:
    with interpolated_norms(model := network(), SEED) as progress:
        expected = [model(images()) for _ in range(4)][2:]
        assert int(progress["forward_passes"]) == 4
    model = network()
    before = torch.get_rng_state()
    with interpolated_norms(model, SEED) as progress:
        progress["forward_passes"].fill_(2)
        resumed = [model(images()) for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(resumed, expected, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_stays_the_users_model_inside_and_after() -> None:
    model = network()
    names, keys = [n for n, _ in model.named_parameters()], list(model.state_dict())
    parameters = [id(p) for p in model.parameters()]
    values = {key: value.clone() for key, value in norm_parameters(model).items()}
    with interpolated_norms(model, SEED):
        model(images())
        assert [n for n, _ in model.named_parameters()] == names
        assert list(model.state_dict()) == keys
        assert [id(p) for p in model.parameters()] == parameters
        assert all(torch.equal(value, model.get_parameter(key)) for key, value in values.items())
        assert all("weight" not in layer.__dict__ and "bias" not in layer.__dict__ for layer in norm_layers(model).values())
    twin = network()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(model(images()), twin(images())), "plain again after the block"


def test_an_exception_in_a_layers_forward_leaves_no_shadow() -> None:
    model = network()
    with interpolated_norms(model, SEED):
        with pytest.raises(ValueError, match="expected 4D input"):
            model[1](torch.zeros(3, dtype=torch.float64))  # type: ignore[index]
        with pytest.raises(RuntimeError):
            model(images()[:, :, :5])
        for layer in norm_layers(model).values():
            assert isinstance(layer.weight, nn.Parameter)
            assert isinstance(layer.bias, nn.Parameter)


@pytest.mark.parametrize("called", ["the model", "a part", "nothing to interpolate"])
def test_a_loop_that_never_calls_the_model_itself_is_told(called: str, caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(network()) if called != "nothing to interpolate" else nn.Sequential(nn.Linear(2, 2))
    with caplog.at_level("WARNING", "winsome"), interpolated_norms(model, SEED):
        if called != "nothing to interpolate":
            (model if called == "the model" else model[0])(images())
    assert ("normalisation was not interpolated" in caplog.text) == (called == "a part")


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_agrees_in_one_graph_and_is_compiled_once() -> None:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    model, eager = network(), network()
    with interpolated_norms(model, SEED), interpolated_norms(eager, SEED):
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        for number in range(12):
            one, other = compiled(images()), eager(images())
            assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)
            one.square().sum().backward()
            if number == 1:
                graphs = counters["stats"]["unique_graphs"]
        assert counters["stats"]["unique_graphs"] == graphs > 0
        model.eval(), eager.eval()
        assert torch.allclose(compiled(images()), eager(images()), rtol=1e-10, atol=1e-10)
    torch._dynamo.reset()


def test_recomputed_activations_use_the_alpha_of_their_pass() -> None:
    class Checkpointed(nn.Module):
        def __init__(self, layers: nn.Module, recompute: bool) -> None:
            super().__init__()
            self.layers, self.recompute = layers, recompute

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = checkpoint(self.layers, inputs, use_reentrant=False) if self.recompute else self.layers(inputs)
            return result

    gradients = []
    for recompute in (False, True):
        model = Checkpointed(network(), recompute)
        with interpolated_norms(model, SEED):
            for _ in range(3):
                model(images()).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        assert torch.allclose(one, other, rtol=1e-12)


def test_two_models_in_nested_blocks_do_not_interfere() -> None:
    one, other = network(), network()
    with interpolated_norms(one, 1), interpolated_norms(other, 2):
        together = [(one(images()), other(images())) for _ in range(3)]
    for position, seed in ((0, 1), (1, 2)):
        with interpolated_norms(alone := network(), seed):
            assert all(torch.equal(alone(images()), pair[position]) for pair in together)


def test_uniform_is_split_mix_64() -> None:
    seeds = [0, 1, SEED, 2**63 - 1, -1, -(2**63)]
    table = uniform(torch.tensor(seeds).unsqueeze(1), torch.arange(50))
    expected = [[split_mix_64(seed & (2**64 - 1), index) for index in range(50)] for seed in seeds]
    assert table.tolist() == expected
    # Sebastiano Vigna's reference stream of seed 0 begins with these words.
    words = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4)
    assert uniform(torch.tensor(0), torch.arange(2)).tolist() == pytest.approx([word / 2**64 for word in words], abs=2e-16)


def test_uniform_is_uniform_and_its_streams_are_independent() -> None:
    one, other = uniform(torch.tensor([[3], [4]]), torch.arange(20_000)).numpy()
    for values in (one, other, uniform(torch.arange(20_000), torch.tensor(0)).numpy()):
        assert stats.kstest(values, "uniform").pvalue > 1e-3
        assert 0 < values.min() < values.max() < 1
    assert abs(stats.pearsonr(one, other).statistic) < 0.03
    assert abs(stats.pearsonr(one[1:], one[:-1]).statistic) < 0.03


def test_a_stack_of_seeds_is_the_single_streams() -> None:
    class StackedScale(nn.LayerNorm):
        """Two members' psi with a leading axis; psi is read as a stack's layers read it."""

        def forward(self, input: Tensor) -> Tensor:
            return input * self.weight + self.bias

    model = StackedScale((2, 3))
    randomised(model)
    psi = {name: p.detach().clone() for name, p in model.named_parameters()}
    inputs = torch.ones(2, 3, dtype=torch.float64)
    seeds = (5, 9)
    with interpolated_norms(model, seeds):
        for index in range(3):
            output = model(inputs)
            for member, seed in enumerate(seeds):
                alpha = alphas(3, seed)[index]
                expected = alpha * psi["weight"][member] + (1 - alpha) + alpha * psi["bias"][member]
                assert torch.allclose(output[member], expected, rtol=1e-12)


def test_sync_batch_norm_counts_as_normalisation_and_names_are_complete() -> None:
    model = nn.Sequential(nn.SyncBatchNorm(3), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3), nn.RMSNorm(3))
    assert list(norm_layers(model)) == ["0", "1", "3"]
    assert list(norm_parameters(model)) == ["0.weight", "0.bias", "3.weight"]
    assert norm_state_names(model) == {key for key in model.state_dict() if not key.startswith("2.")}
    assert norm_state_names(nn.BatchNorm1d(2)) == set(nn.BatchNorm1d(2).state_dict())


def test_frozen_norms_train_nothing_of_psi() -> None:
    model = network()
    model[3].weight.requires_grad_(False)  # type: ignore[index]
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    weights = model[0].weight.detach().clone()  # type: ignore[index]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    model(images()).square().sum().backward()  # an optimizer and gradients from before the block
    optimizer.step()
    with frozen_norms(model, 0):
        for _ in range(3):
            model(images()).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        for name, psi in norm_parameters(model).items():
            assert torch.equal(psi, torch.full_like(psi, float(name.endswith("weight"))))
        assert not torch.equal(model[0].weight, weights)  # type: ignore[index]
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before


def test_reset_norm_parameters_leaves_statistics_and_all_else() -> None:
    model = network()
    model(images())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    reset_norm_parameters(model)
    psi = norm_parameters(model)
    assert len(psi) == 6
    for key, value in model.state_dict().items():
        expected = torch.full_like(value, float(key.endswith("weight"))) if key in psi else before[key]
        assert torch.equal(value, expected), key


def test_batch_norm_statistics_are_those_of_the_batches() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.ReLU(), nn.Dropout(0.5)).double()
    model[3].eval()
    batches = [torch.randn(8, 1, 6, 6, dtype=torch.float64) for _ in range(3)]
    with torch.no_grad():
        hidden = [model[0](inputs).transpose(0, 1).flatten(1) for inputs in batches]
    re_estimate_batch_norm(model, iter(batches))
    torch.testing.assert_close(model[1].running_mean, torch.stack([h.mean(1) for h in hidden]).mean(0))
    torch.testing.assert_close(model[1].running_var, torch.stack([h.var(1) for h in hidden]).mean(0))
    assert [module.training for module in model] == [True, True, True, False]
    assert model[1].momentum == 0.3
    assert model[0].weight.grad is None


def test_batch_norm_statistics_of_no_batch_are_refused() -> None:
    with pytest.raises(WinsomeError, match="no batch"):
        re_estimate_batch_norm(nn.BatchNorm1d(3), [])
    re_estimate_batch_norm(nn.Linear(3, 3), [])  # nothing to re-estimate
