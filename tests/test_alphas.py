"""One alpha a training forward pass, in loops as people have them: several passes before a backward, checkpointing, copies."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import winsome
from winsome import alphas
from winsome.alphas import uniform
from winsome.errors import WinsomeError
from winsome.norm_statistics import re_estimate_batch_norm
from winsome.norms import frozen_norms, interpolated_norms
from winsome.psi import norm_parameters

SEED = 3
Forward = Callable[[Tensor], Tensor]
pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """Blocks with norms, each checkpointed or not."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.reentrant = reentrant
        draw = torch.Generator().manual_seed(0)
        self.stem = nn.Linear(6, 8)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU())
            for _ in range(2)
        )
        self.head = nn.Linear(8, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))
        self.double()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.stem(inputs)
        for block in self.blocks:
            hidden = block(hidden) if self.reentrant is None else again(block, hidden, self.reentrant)
        result: Tensor = self.head(hidden)
        return result


def again(function: Forward, inputs: Tensor, reentrant: bool) -> Tensor:
    result: Tensor = checkpoint(function, inputs, use_reentrant=reentrant)
    return result


def images(number: int) -> Tensor:
    draw = torch.Generator().manual_seed(number)
    return torch.randn(5, 6, dtype=torch.float64, generator=draw).requires_grad_()


LOSSES: dict[str, Callable[[Forward], None]] = {
    "contrastive": lambda f: (f(images(0)) * f(images(1))).square().mean().backward(),  # type: ignore[no-untyped-call]
    "the same images": lambda f: (f(images(0)) - 2 * f(images(0))).square().mean().backward(),  # type: ignore[no-untyped-call]
    "three added up": lambda f: sum((f(images(n)).square().mean() for n in range(3)), torch.zeros(())).backward(),  # type: ignore[no-untyped-call]
    "the first one first": lambda f: [out.square().mean().backward() for out in [f(images(0)), f(images(1))]].clear(),  # type: ignore[no-untyped-call]
}


def by_hand(loss: Callable[[Forward], None], times: int) -> list[Tensor]:
    """Gradients by torch.func: pass k uses alpha_k * psi + (1 - alpha_k) * psi_init."""
    net, count = Net(), iter(range(1000))

    def forward(inputs: Tensor) -> Tensor:
        alpha = uniform(torch.tensor(SEED), torch.tensor(next(count))).float().double()
        used = {
            name: alpha * psi + (1 - alpha) * (1.0 if name.endswith("weight") else 0.0)
            for name, psi in norm_parameters(net).items()
        }
        result: Tensor = torch.func.functional_call(net, used, (inputs,))
        return result

    for _ in range(times):
        loss(forward)
    return gradients(net)


def gradients(net: nn.Module) -> list[Tensor]:
    assert all(parameter.grad is not None for parameter in net.parameters())
    return [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


def assert_alike(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", [None, False, True], ids=["layers", "layers again", "layers again, reentrant"])
@pytest.mark.parametrize("whole", [None, False, True], ids=["model", "model again", "model again, reentrant"])
def test_every_pass_has_its_alpha_until_its_backward_recomputed_or_not(
    loss: str, layers: bool | None, whole: bool | None
) -> None:
    net = Net(layers)
    with interpolated_norms(net, SEED) as progress:
        for _ in range(2):
            LOSSES[loss](net if whole is None else lambda inputs: again(net, inputs, whole))
        assert int(progress["forward_passes"]) == (6 if loss == "three added up" else 4)
    assert_alike(gradients(net), by_hand(LOSSES[loss], 2))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_around_two_calls_is_refused(reentrant: bool) -> None:
    net = Net()

    def both(inputs: Tensor) -> Tensor:
        result: Tensor = net(inputs) * net(2 * inputs)
        return result

    with interpolated_norms(net, SEED), pytest.raises(WinsomeError, match="checkpoint each call on its own"):
        again(both, images(0), reentrant).sum().backward()  # type: ignore[no-untyped-call]


def test_graphs_from_longer_ago_than_is_remembered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alphas, "REMEMBERED", 3)
    net = Net(reentrant=False)
    with interpolated_norms(net, SEED):
        outputs = [net(images(0)).sum() for _ in range(4)]
        outputs[1].backward()
        with pytest.raises(WinsomeError, match="more than 3 passes ago"):
            outputs[0].backward()


def test_a_compiled_graph_keeps_the_alphas_of_its_passes() -> None:
    """A graph that drew alpha again for its backward would draw the next pass's: the count has gone on."""
    from torch._dynamo.utils import counters

    expected = by_hand(LOSSES["contrastive"], 2)
    torch._dynamo.reset()
    counters.clear()

    net = Net()
    with interpolated_norms(net, SEED) as progress:
        compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
        LOSSES["contrastive"](compiled)
        graphs = counters["stats"]["unique_graphs"]
        LOSSES["contrastive"](compiled)
        assert int(progress["forward_passes"]) == 4
        assert counters["stats"]["unique_graphs"] == graphs, "nothing is compiled anew for another alpha"
    assert_alike(gradients(net), expected)
    torch._dynamo.reset()


@pytest.mark.parametrize("reentrant", [False, True])
def test_layers_that_run_again_beside_a_compiled_part_have_their_alpha(reentrant: bool) -> None:
    torch._dynamo.reset()
    net = Net(reentrant)
    with interpolated_norms(net, SEED):
        LOSSES["contrastive"](torch.compile(net, backend="aot_eager"))  # torch breaks the graph where layers change anything
    assert_alike(gradients(net), by_hand(LOSSES["contrastive"], 1))
    torch._dynamo.reset()


@pytest.mark.parametrize("passes", [1, 2])
def test_the_count_of_several_passes_a_step_goes_on(passes: int) -> None:
    def steps(net: nn.Module) -> list[Tensor]:
        return [torch.stack([net(images(0)) for _ in range(passes)]).detach() for _ in range(2)]

    with interpolated_norms(net := Net(), SEED):
        whole = steps(net) + steps(net)
    with interpolated_norms(net := Net(), SEED) as progress:
        progress["forward_passes"].fill_(2 * passes)
        rest = steps(net)
    assert all(torch.equal(one, other) for one, other in zip(rest, whole[2:], strict=True))


def test_statistics_re_estimated_inside_the_block_are_those_outside_of_it() -> None:
    batches = [images(number).detach() for number in range(4)]
    inside, outside = Net(), Net()
    with interpolated_norms(inside, SEED) as progress:
        inside(images(0))
        re_estimate_batch_norm(inside, batches)
        assert int(progress["forward_passes"]) == 1
        inside.eval()
        judged = inside(images(9))
        assert inside.eval().training is False
    re_estimate_batch_norm(outside, batches)
    for name, value in outside.state_dict().items():
        assert torch.equal(value, inside.state_dict()[name]), name
    assert torch.equal(judged, outside.eval()(images(9)))


def test_the_loop_of_the_readme_reads_the_accuracy_of_the_network_that_it_hands_out() -> None:
    torch.manual_seed(0)
    inputs, labels = torch.randn(64, 6), torch.randint(3, (64,))
    model = nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.Linear(32, 3)
    )

    def judged(network: nn.Module) -> float:
        re_estimate_batch_norm(network, torch.split(inputs, 16))
        return float((copy.deepcopy(network).eval()(inputs).argmax(1) == labels).float().mean())

    def train(network: nn.Module, level: winsome.Level) -> dict[str, float]:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
        for _ in level.steps(total=40):
            loss = nn.functional.cross_entropy(network(inputs), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return {"accuracy": judged(network)}

    for level in winsome.find_tickets(model, winsome.aws(levels=1), train):
        assert level.metrics["accuracy"] == judged(model)
        for name, value in model.state_dict().items():
            assert torch.equal(value, level.state[name]), name


def through_file(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": through_file,
    "average": lambda model: torch.optim.swa_utils.AveragedModel(model).module,
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_made_inside_the_blocks_is_a_plain_model(way: str) -> None:
    net = Net()
    mask = winsome.SignedMask({"stem.weight": torch.randint(0, 2, (8, 6), generator=torch.Generator().manual_seed(0))})
    with mask.enforced_on(net), interpolated_norms(net, SEED) as progress:
        net(images(0))
        copied = COPIES[way](net)
        for module in copied.modules():
            assert not module._forward_pre_hooks
            assert not module._forward_hooks
            assert "__reduce_ex__" not in vars(module)
        plain = Net()
        plain.load_state_dict(net.state_dict())
        copied.train()
        assert torch.equal(copied(images(1)), plain(images(1)))
        assert int(progress["forward_passes"]) == 1
        with torch.no_grad():
            copied.get_parameter("stem.weight").fill_(1.0)
            copied(images(1))
        assert bool((copied.get_parameter("stem.weight") == 1).all())
    assert all("__reduce_ex__" not in vars(module) for module in net.modules())


def _own_hook(_module: nn.Module, _inputs: object, _output: object) -> None:
    pass


def test_a_users_own_hooks_and_state_go_along_with_a_copy() -> None:
    class Own(Net):
        def __getstate__(self) -> dict[str, object]:
            return {**vars(self), "mark": 7}

    net = Own()
    net.register_forward_hook(_own_hook)
    with interpolated_norms(net, SEED):
        copied = copy.deepcopy(net)
    assert vars(copied)["mark"] == 7
    assert len(copied._forward_hooks) == 1
    assert not copied._forward_pre_hooks


class RMSNorm(nn.Module):
    """As language models have it: a class of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 3.0))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.weight * inputs * torch.rsqrt(inputs.square().mean(-1, keepdim=True) + 1e-6)


class DeclaredRMSNorm(RMSNorm):
    """Says what its parameter starts from."""

    psi_init = {"weight": 0.5}  # noqa: RUF012


def test_a_norm_of_a_class_of_ones_own_is_interpolated_toward_its_identity_or_what_it_says() -> None:
    inputs = torch.randn(4, 5)
    alpha = uniform(torch.tensor(SEED), torch.tensor(0)).float()
    for kind, initial in ((RMSNorm, 1.0), (DeclaredRMSNorm, 0.5)):
        model = nn.Sequential(kind(5))
        with interpolated_norms(model, SEED):
            assert torch.allclose(model(inputs), model[0](inputs) / 3 * (3 * alpha + initial * (1 - alpha)), rtol=1e-5)
        with frozen_norms(model):
            assert torch.equal(model.get_parameter("0.weight"), torch.full((5,), initial))


def test_norms_that_are_not_trained_are_left_alone() -> None:
    net, twin = Net(), Net()
    net.blocks.requires_grad_(False)
    with interpolated_norms(net, SEED):
        assert torch.equal(net(images(0)), twin(images(0)))
