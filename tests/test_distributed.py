"""Several ranks train one network: alike on all, equal to one process, one writer, verified masks, and what a death leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import winsome
from winsome import distributed, launcher, ticket_file
from winsome.cli import main
from winsome.data import load, subset, training_batches
from winsome.data.batches import evaluation_batches
from winsome.errors import WinsomeError
from winsome.files import read_json, read_state

# Torch takes seconds to import: one process imports it, and forks the ranks of every scenario before it computes anything.
SCRIPT = '''
import datetime, os, signal, sys, time, traceback
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_pre_hook

import winsome
from winsome import distributed, files as store, ticket_file
from winsome.data.images import Augmentation, ImageSet, image_data
from winsome.errors import RankLost, WinsomeError
from winsome.search import Search
from winsome.training.conditions import Conditions
from winsome.training.evaluation import judge
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.training.searches import search_together
from winsome.training.evaluation import evaluate
from winsome.training.loop import Networks, train
from winsome.training.precision import FP32, Precision
from winsome.training.settings import SGD, Adam, Constant, Training

torch.set_num_threads(1)
ROOT = Path(sys.argv[1])


def images(count, seed):
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    signal_ = torch.randint(0, 200, (4, 3, 8, 8), generator=torch.Generator().manual_seed(9))
    return ImageSet((signal_[labels] + torch.randint(0, 56, (count, 3, 8, 8), generator=random)).to(torch.uint8), labels)


def conditions():
    data = image_data("made up", images(97, 1), images(41, 2), tuple("abcd"), augmentation=Augmentation(pad=1, flip=True))
    return Conditions(data, FP32, statistics_images=64)


def network(norm, seed=1, dropout=0.0):
    torch.manual_seed(seed)
    norms = {"none": nn.Identity, "layer": lambda: nn.GroupNorm(1, 6), "batch": lambda: nn.BatchNorm2d(6),
             "mean": lambda: nn.BatchNorm2d(6, eps=1e-2, momentum=None)}[norm]
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), norms(), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, bias=False), norms(),
        nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(54, 16), nn.ReLU(), nn.Linear(16, 4),
    )


def searched(folder, norm, method, optimizer=SGD(0.05), *, sync=False, **network_options):
    """A search by the package's own loop: what it found, and the network that it leaves."""
    net = network(norm, seed=1 + distributed.rank(), **network_options)  # rank 0's is what counts
    search = Search(net, method, save_to=folder, seed=3)
    levels = []
    settings = Training(2, 32, optimizer, Constant(), sync_batch_norm=sync)
    search_together(
        [search], conditions(), lambda _: settings, last_level=len(method.densities) - 1, on_fraction=lambda _: None,
        on_level=levels.append, save_every=2,
    )
    return {
        "digests": [level.ticket.mask.digest() for level in levels],
        "metrics": [dict(level.metrics) for level in levels],
        "states": [level.state for level in levels],
        "network": {name: value.clone() for name, value in net.state_dict().items()},
    }


def a_loss_and_gradients(folder):
    """One step's gradients under a mask, and the weights after three."""
    net = network("none")
    names = winsome.prunable(net)
    weights = dict(net.named_parameters())
    kept = {name: torch.rand(weights[name].shape, generator=torch.Generator().manual_seed(5)) < 0.5 for name in names}
    mask = winsome.SignedMask.of({name: weights[name] for name in names}, kept)
    settings = Training(1, 32, SGD(0.05, 0.9, 1e-3), Constant())
    optimizer = settings.optimizer(net.parameters())
    # A stale momentum must not revive a pruned weight on any rank.
    for parameter in net.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.ones_like(parameter)
    with mask.enforced_on(net):
        loss = train(Networks(net, [7]), conditions().data, settings, optimizer, range(3))
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    return {"loss": loss, "weights": net.state_dict(), "gradients": gradients, "kept": kept}


def planted(folder):
    net = network("none", seed=4)
    weights = dict(net.named_parameters())
    names = winsome.prunable(net)
    kept = {name: weights[name].abs() > weights[name].abs().median() for name in names}
    mask = winsome.SignedMask.of({name: weights[name] for name in names}, kept)
    (metrics,) = train_from_scratch(
        [FreshStart(net, mask, 5, "it")], conditions(), Training(2, 32, SGD(0.05)), curve_at=(1,)
    )
    return {"metrics": metrics, "weights": net.state_dict()}


def judged(folder):
    """Accuracy and loss of a network on splits of every size, fewer images than ranks included."""
    net = network("batch")
    results = []
    for count in (41, 40, 3, 1):
        data = image_data("made up", images(97, 1), images(count, 2), tuple("abcd"))
        results.append([value.tolist() for value in evaluate(net, data)])
    return {"results": results, "judged": judge(net, conditions())}


def own_loop(folder):
    """A user's script: DistributedDataParallel inside train, dropout from the global stream, own sampling."""
    inputs = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(3, (32,), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    keys = list(model.state_dict())
    draws = []

    def train(model, level):
        parallel = DistributedDataParallel(model, gradient_as_bucket_view=True) if dist.is_initialized() else model
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        draws.append(float(torch.rand(())))
        for step in level.steps(total=6, optimizer=optimizer, save_every=2):
            order = torch.randperm(32, generator=torch.Generator().manual_seed(level.seed + step))[:16]
            share = order[distributed.share_of(16)]
            loss = F.cross_entropy(parallel(inputs[share]), labels[share])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {"loss": loss.item(), "rank": distributed.rank()}

    levels = list(winsome.find_tickets(model, winsome.aws(2, rate=0.3), train, save_to=folder))
    assert list(model.state_dict()) == keys
    for level in levels:
        for name in level.ticket.mask:
            assert not level.state[name][~level.ticket.mask.kept(name)].any()
    return {
        "digests": [level.ticket.mask.digest() for level in levels],
        "metrics": [dict(level.metrics) for level in levels],
        "network": model.state_dict(),
        "draws": draws,
    }


def forgotten_parallel(folder):
    """A user's loop that trains each rank on its own."""
    def train(model, level):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(total=2):
            optimizer.zero_grad()
            model(torch.full((4, 3, 8, 8), 1.0 + distributed.rank())).square().mean().backward()
            optimizer.step()

    return list(winsome.find_tickets(network("none"), winsome.imp(1), train))


def other_mask(folder):
    """One rank's mask differs at level 1, by a single sign."""
    of = winsome.SignedMask.of
    calls = []

    def tampered(weights, kept):
        mask = of(weights, kept)
        calls.append(1)
        if distributed.rank() == 1 and len(calls) == 3:  # level 0 opens and closes, level 1 opens
            signs = {name: mask[name] for name in mask}
            first = next(iter(signs.values())).view(-1)
            first[first.nonzero()[0]] *= -1
            mask = winsome.SignedMask(signs)
        return mask

    winsome.SignedMask.of = tampered
    try:
        return searched(folder, "none", winsome.learning_rate_rewinding(2, rate=0.4))
    finally:
        winsome.SignedMask.of = of


def one_rank_diverges(folder):
    """The loss of rank 1's images alone becomes NaN: all ranks must stop alike, none waits for another."""
    from winsome.errors import Diverged

    net = network("none")
    if distributed.rank() == distributed.world_size() - 1:
        net.register_forward_hook(lambda _module, _inputs, output: output * float("nan"))
    settings = Training(1, 32, SGD(0.05))
    try:
        train(Networks(net, [7]), conditions().data, settings, settings.optimizer(net.parameters()), range(3))
    except Diverged as error:
        return {"error": str(error)}


def of_another_configuration(folder):
    searched(folder, "none", winsome.imp(1))
    return searched(folder, "none", winsome.imp(1, rate=0.5))


def uneven(folder):
    settings = Training(1, 33)
    net = network("none")
    return train(Networks(net, [0]), conditions().data, settings, settings.optimizer(net.parameters()), range(1))


def running_statistics(folder):
    """After training with BatchNorms that are each rank's own: what a network is judged with, in parts, on all ranks."""
    net, settings = network("batch"), Training(1, 32, SGD(0.05))
    train(Networks(net, [7]), conditions().data, settings, settings.optimizer(net.parameters()), range(3))
    return {"state": net.state_dict(), "before": network("batch").state_dict()}


def own_loop_with_batch_norms(folder):
    """A user's loop whose ranks gather running statistics of their own."""
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))[distributed.share_of(16)]

    def train(model, level):
        parallel = DistributedDataParallel(model) if dist.is_initialized() else model
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(total=2):
            optimizer.zero_grad()
            parallel(inputs).square().mean().backward()
            optimizer.step()

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    return {"states": [level.state for level in winsome.find_tickets(model, winsome.imp(1), train)]}


def asked_within(folder):
    """What rank 0 makes for all may ask for other such things."""
    first = distributed.from_main(lambda: [distributed.rank(), distributed.from_main(distributed.rank)])
    return {"values": [first, distributed.from_main(lambda: "next")]}


def scores_of_their_own(folder):
    """Ranks whose scores differ, as those of GPUs may in their last bits: rank 0 decides."""
    def score(weights, model, probe, random):
        return {name: w.detach().abs() * (1 + distributed.rank() * torch.rand(w.shape)) for name, w in weights.items()}

    return searched(folder, "none", winsome.Method((1.0, 0.5), winsome.KeepWeights(), score=score))


def slow_compiler(folder):
    """One rank compiles for longer than ranks wait for each other in a step; the other found it in its cache."""
    before, compile_of_torch, calls = distributed._STEP_TIMEOUT, torch.compile, []

    def slowly(module, mode):
        def forward(inputs):
            calls.append(1)
            time.sleep(4 * distributed.rank() * (len(calls) == 1))
            return module(inputs)
        return forward

    net, settings = network("none"), Training(1, 32, SGD(0.05))
    distributed._prompt.cache_clear()
    distributed._STEP_TIMEOUT, torch.compile = datetime.timedelta(seconds=2), slowly
    try:
        train(Networks(net, [7]), conditions().data, settings, settings.optimizer(net.parameters()), range(3),
              precision=Precision(compiled=True))
    finally:
        distributed._STEP_TIMEOUT, torch.compile = before, compile_of_torch
        distributed._prompt.cache_clear()
    return {"calls": len(calls), "weights": net.state_dict()}


SCENARIOS = {
    "own loop, batch norms": own_loop_with_batch_norms,
    "asked within": asked_within,
    "own scores": scores_of_their_own,
    "running statistics": running_statistics,
    "slow compiler": slow_compiler,
    "gradients": a_loss_and_gradients,
    "planted": planted,
    "judged": judged,
    "own loop": own_loop,
    "no norms, lrr": lambda folder: searched(folder, "none", winsome.learning_rate_rewinding(2, rate=0.4)),
    "no norms, rewinding, adam": lambda folder: searched(
        folder, "none", winsome.weight_rewinding(2, rate=0.4, step=2), Adam(1e-3)),
    "layer norms, aws": lambda folder: searched(folder, "layer", winsome.aws(2, rate=0.4)),
    "layer norms, frozen": lambda folder: searched(folder, "layer", winsome.lrr_with_frozen_norms(2, rate=0.4)),
    "batch norms, aws": lambda folder: searched(folder, "batch", winsome.aws(1, rate=0.4)),
    "batch norms, aws, synchronised": lambda folder: searched(folder, "batch", winsome.aws(1, rate=0.4), sync=True),
    "batch norms with a plain mean, synchronised": lambda folder: searched(
        folder, "mean", winsome.aws(1, rate=0.4), sync=True),
    "batch norms, norm rewinding, synchronised": lambda folder: searched(
        folder, "batch", winsome.lrr_with_norm_rewinding(2, rate=0.4, step=1), sync=True),
    "forgotten": forgotten_parallel,
    "other mask": other_mask,
    "diverged": one_rank_diverges,
    "configuration": of_another_configuration,
    "uneven": uneven,
}


def only_rank_0(write):
    def refused(path, *rest, **options):
        assert distributed.is_main(), f"rank {distributed.rank()} writes {path}"
        return write(path, *rest, **options)
    return refused


def as_rank(rank, ranks, meeting, work):
    """Do some work in a process of its own, as one of several ranks; its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if ranks > 1:
            dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks,
                                    timeout=distributed._PATIENCE)
        store.write_whole = only_rank_0(store.write_whole)
        ticket_file.write = only_rank_0(lambda ticket, path, write=ticket_file.write: write(ticket, path))
        work(rank)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def every_scenario(ranks):
    def work(rank):
        for name, scenario in SCENARIOS.items():
            folder = ROOT / name
            folder.mkdir(exist_ok=True)
            place = folder / (f"of-{ranks}" if rank == 0 else "a disk of rank 1's own")
            try:
                result = scenario(place)
            except WinsomeError as error:
                result = {"error": str(error), "notes": error.__notes__ if hasattr(error, "__notes__") else []}
            torch.save(result, folder / f"rank-{rank}-of-{ranks}.pt")
            assert rank == 0 or not place.exists()
    return work


def with_dropout(folder):
    return searched(folder, "batch", winsome.aws(2, rate=0.4), dropout=0.3)


def resumed(folder, die_at):
    """A search whose rank 1 dies at its die_at-th step; 0 for never."""
    def work(rank):
        steps = []

        def count(*_):
            steps.append(1)
            if rank == 1 and len(steps) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

        handle = register_optimizer_step_pre_hook(count)
        try:
            with distributed.lost_ranks_named():
                result = with_dropout(ROOT / "deaths" / folder)
        except RankLost as error:
            (ROOT / "deaths" / f"{folder}, said by rank {rank}").write_text(str(error))
            raise
        handle.remove()
        torch.save(result, ROOT / "deaths" / f"{folder}-rank-{rank}.pt")
    return work


def ended(*processes):
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def sharded(rank):
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    cpu = torch.device("cpu")
    layer = network("none")
    fully_shard(layer[8], mesh=dist.device_mesh.init_device_mesh("cpu", (2,)))
    flat = FullyShardedDataParallel(network("none"), device_id=cpu, use_orig_params=False)
    plain = FullyShardedDataParallel(network("none"), device_id=cpu, use_orig_params=True)
    words = []
    for model in (layer, flat, plain):
        try:
            Search(model, winsome.imp(1))
        except WinsomeError as error:
            words.append(str(error))
    (ROOT / f"sharded-{rank}").write_text("\\n".join(words))


def main():
    with_dropout(ROOT / "here")  # and so all that torch imports late is there for the ranks
    alone = as_rank(0, 1, None, every_scenario(1))
    pair = [as_rank(rank, 2, ROOT / "meeting", every_scenario(2)) for rank in (0, 1)]
    assert ended(alone, *pair) == [0, 0, 0]
    assert ended(*[as_rank(rank, 2, ROOT / "sharded meeting", sharded) for rank in (0, 1)]) == [0, 0]
    (ROOT / "deaths").mkdir()
    whole = [as_rank(rank, 2, ROOT / "meeting of the whole", resumed("whole", 0)) for rank in (0, 1)]
    assert ended(*whole) == [0, 0]
    for die_at in (1, 10):  # 6 steps a level
        pair = [as_rank(rank, 2, ROOT / f"meeting {die_at}", resumed(f"died at {die_at}", die_at)) for rank in (0, 1)]
        codes = ended(*pair)
        assert codes == [1, -signal.SIGKILL], codes
        pair = [as_rank(rank, 2, ROOT / f"meeting after {die_at}", resumed(f"died at {die_at}", 0)) for rank in (0, 1)]
        assert ended(*pair) == [0, 0]


main()
'''


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of every scenario, in one process and on each of two gloo ranks."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    root = tmp_path_factory.mktemp("ranks")
    script = root / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, root], env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    (root / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stderr[-6000:]
    return root


def results(root: Path, scenario: str) -> tuple[Any, Any, Any]:
    """Of one process, of rank 0 and of rank 1."""
    names = ("rank-0-of-1", "rank-0-of-2", "rank-1-of-2")
    one, first, second = (torch.load(root / scenario / f"{name}.pt", weights_only=False) for name in names)
    return one, first, second


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of any weight."""
    assert list(one) == list(other)
    return max(float((value.double() - other[name].double()).abs().max()) for name, value in one.items())


def test_gradients_are_those_of_one_process_and_pruned_weights_stay_zero(ranks: Path) -> None:
    one, first, second = results(ranks, "gradients")
    assert same_bits(first["weights"], second["weights"])
    assert torch.equal(first["loss"], second["loss"])
    assert distance(first["weights"], one["weights"]) < 1e-6
    torch.testing.assert_close(first["loss"], one["loss"], rtol=1e-6, atol=1e-6)
    for name, kept in one["kept"].items():
        for result in (first, second):
            assert not bool(result["weights"][name][~kept].any())
            assert not bool(result["gradients"][name][~kept].any())
        torch.testing.assert_close(first["gradients"][name], one["gradients"][name], rtol=1e-4, atol=1e-6)
        assert bool(first["gradients"][name][kept].any())


EQUAL_TO_ONE_PROCESS = [
    "no norms, lrr",
    "no norms, rewinding, adam",
    "layer norms, aws",
    "layer norms, frozen",
    "batch norms, aws, synchronised",
    "batch norms with a plain mean, synchronised",
    "batch norms, norm rewinding, synchronised",
]


@pytest.mark.parametrize("scenario", [*EQUAL_TO_ONE_PROCESS, "batch norms, aws"])
def test_all_ranks_end_with_the_same_bits(ranks: Path, scenario: str) -> None:
    _, first, second = results(ranks, scenario)
    assert first["digests"] == second["digests"]
    assert first["metrics"] == second["metrics"]
    assert same_bits(first["network"], second["network"])
    for mine, theirs in zip(first["states"], second["states"], strict=True):
        assert same_bits(mine, theirs)


@pytest.mark.parametrize("scenario", EQUAL_TO_ONE_PROCESS)
def test_the_ticket_is_that_of_one_process(ranks: Path, scenario: str) -> None:
    one, first, _ = results(ranks, scenario)
    assert first["digests"] == one["digests"]
    for mine, theirs in zip(first["states"], one["states"], strict=True):
        assert distance(mine, theirs) < 2e-5, "no more than the order of sums"
    for mine, theirs in zip(first["metrics"], one["metrics"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def test_batch_norms_that_are_not_synchronised_train_otherwise(ranks: Path) -> None:
    # What the docs say; and so the synchronised ones are equal for a reason.
    one, first, _ = results(ranks, "batch norms, aws")
    assert distance(first["states"][0], one["states"][0]) > 1e-3


def test_planting_is_that_of_one_process(ranks: Path) -> None:
    one, first, second = results(ranks, "planted")
    assert same_bits(first["weights"], second["weights"])
    assert distance(first["weights"], one["weights"]) < 2e-5
    assert first["metrics"] == second["metrics"]
    assert [epoch for epoch, _ in first["metrics"]["curve"]] == [1, 2]
    assert first["metrics"]["loss"] == pytest.approx(one["metrics"]["loss"], abs=1e-5)


def test_running_statistics_are_alike_as_soon_as_an_epoch_ends(ranks: Path) -> None:
    _, first, second = results(ranks, "running statistics")
    assert same_bits(first["state"], second["state"])
    assert distance(first["state"], first["before"]) > 1e-3


def test_a_level_that_ends_has_rank_0s_running_statistics_in_any_loop(ranks: Path) -> None:
    _, first, second = results(ranks, "own loop, batch norms")
    for mine, theirs in zip(first["states"], second["states"], strict=True):
        assert same_bits(mine, theirs)


def test_what_rank_0_makes_for_all_may_ask_for_more(ranks: Path) -> None:
    assert all(result["values"] == [[0, 0], "next"] for result in results(ranks, "asked within"))


def test_rank_0_decides_where_scores_differ(ranks: Path) -> None:
    one, first, second = results(ranks, "own scores")
    assert one["digests"] == first["digests"] == second["digests"]


def test_ranks_wait_for_one_that_still_compiles(ranks: Path) -> None:
    one, first, second = results(ranks, "slow compiler")
    assert first["calls"] == second["calls"] == 3
    assert same_bits(first["weights"], second["weights"])
    assert distance(first["weights"], one["weights"]) < 1e-6


def test_every_image_is_judged_once(ranks: Path) -> None:
    one, first, second = results(ranks, "judged")
    assert first == second
    for (accuracy, loss), (expected_accuracy, expected_loss) in zip(first["results"], one["results"], strict=True):
        assert accuracy == expected_accuracy, "counts are exact"
        assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert first["judged"][0]["accuracy"] == one["judged"][0]["accuracy"]


def test_a_users_own_loop(ranks: Path) -> None:
    one, first, second = results(ranks, "own loop")
    assert first["digests"] == second["digests"] == one["digests"]
    assert same_bits(first["network"], second["network"])
    assert distance(first["network"], one["network"]) < 2e-5
    assert first["metrics"] == second["metrics"], "metrics are rank 0's on every rank"
    assert [entry["rank"] for entry in second["metrics"]] == [0, 0, 0]
    assert first["draws"] == one["draws"]
    assert not set(first["draws"]) & set(second["draws"]), "dropout must not repeat itself from rank to rank"


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        (
            "forgotten",
            r"level 0: the trained network of rank 1 \(\w{12}\) differs from that of rank 0 .*DistributedDataParallel",
        ),
        ("other mask", r"level 1: the signed mask of rank 1 \(\w{12}\) differs from that of rank 0 \(\w{12}\)"),
        ("configuration", "was made with another configuration: method.densities"),
        ("uneven", "a batch of 33 images cannot be split evenly over 2 ranks; take 34"),
        ("diverged", "seed 7: the loss became nan at step 0"),
    ],
)
def test_what_stops_one_rank_stops_all_with_the_same_sentence(ranks: Path, scenario: str, sentence: str) -> None:
    _, first, second = results(ranks, scenario)
    assert re.search(sentence, first["error"]), first["error"]
    assert first["error"] == second["error"]
    if scenario == "configuration":
        assert second["notes"] == [launcher.ALIKE], "the command line says it once"


def test_sharded_parameters_are_refused_by_name(ranks: Path) -> None:
    for rank in (0, 1):
        layer, flat, plain = (ranks / f"sharded-{rank}").read_text().splitlines()
        assert layer.startswith("the parameter '8.weight' is sharded (FSDP)")
        assert flat.startswith("the parameter '_fsdp_wrapped_module._flat_param' is sharded (FSDP)")
        assert plain.startswith("the parameter '_fsdp_wrapped_module.0.weight' is sharded (FSDP)")
        assert layer.endswith("a mask needs whole weights; use DistributedDataParallel")


@pytest.mark.parametrize("died_at", [1, 10])
def test_a_rank_that_dies_ends_the_run_which_resumes_to_the_same_bits(ranks: Path, died_at: int) -> None:
    # The script has seen the other rank end by itself. Dropout makes the ranks' own random streams matter.
    deaths = ranks / "deaths"
    assert (deaths / f"died at {died_at}, said by rank 0").read_text().startswith("rank 1 does not answer (")
    whole, again = ([torch.load(deaths / f"{name}-rank-{r}.pt") for r in (0, 1)] for name in ("whole", f"died at {died_at}"))
    for mine, theirs in zip(whole, again, strict=True):
        assert mine["digests"] == theirs["digests"]
        assert same_bits(mine["network"], theirs["network"])
    for path in (deaths / "whole").glob("level-*.ticket"):
        assert path.read_bytes() == (deaths / f"died at {died_at}" / path.name).read_bytes()


def test_shares_of_a_batch_and_of_a_split_are_the_whole_without_overlap() -> None:
    data = subset(load("digits"), train_images=200, test_images=41)
    steps = {"batch_size": 48, "seed": 3, "first_step": 2, "last_step": 9}
    whole = list(training_batches(data, **steps))  # type: ignore[arg-type]
    parts = [list(training_batches(data, share=part, **steps)) for part in (slice(0, 16), slice(16, 48))]  # type: ignore[arg-type]
    for (inputs, labels), (a, a_labels), (b, b_labels) in zip(whole, *parts, strict=True):
        assert torch.equal(inputs, torch.cat((a, b))), "an image's augmentation is the same on any rank"
        assert torch.equal(labels, torch.cat((a_labels, b_labels)))
    cut = [list(evaluation_batches(data.test, data, batch_size=7, share=part)) for part in (slice(0, 20), slice(20, 41))]
    together = torch.cat([inputs for part in cut for inputs, _ in part])
    assert torch.equal(together, torch.cat([inputs for inputs, _ in evaluation_batches(data.test, data)]))
    assert list(evaluation_batches(data.test, data, share=slice(3, 3))) == []


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100, 101])
@pytest.mark.parametrize("n_ranks", [1, 2, 3, 8])
def test_shares_cover_everything_once(count: int, n_ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: n_ranks)
    seen: list[int] = []
    for number in range(n_ranks):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        seen += range(count)[distributed.share_of(count)]
    assert seen == list(range(count))


def test_one_process_needs_no_process_group() -> None:
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    network = torch.nn.Linear(2, 2)
    assert distributed.replicated(network) is network
    assert distributed.from_main(lambda: 3) == 3
    assert distributed.gathered("x") == ["x"]
    assert distributed.record() == {}
    distributed.agree("nothing", lambda: pytest.fail("a single process computes no digest"), "")
    distributed.refuse_uneven(7)
    with pytest.raises(WinsomeError, match="from rank 0"):
        distributed.from_main(lambda: _raise(WinsomeError("from rank 0")))


def test_commands_for_one_process_are_refused_under_a_launcher(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "RANK": "1", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["report", "runs"])
    assert ended.value.code == 2
    words = " ".join(capsys.readouterr().err.split())
    assert "winsome (rank 1): several ranks run study, find, plant together; start `winsome report` without torchrun" in words


def _raise(error: Exception) -> None:
    raise error


def test_only_one_file_imports_torch_distributed() -> None:
    package = Path(winsome.__file__).parent
    found = {path.name for path in package.rglob("*.py") if re.search(r"torch\.distributed|nn\.parallel", path.read_text())}
    assert found == {"distributed.py"}


def torchrun(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """The command line on two ranks, as a user starts it."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "winsome"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = (folder / "output").open("w")
    return subprocess.Popen([*launch, *arguments], env=environment, cwd=folder, stdout=output, stderr=output, text=True)


def said(process: subprocess.Popen[str], folder: Path, *, code: int, within: float = 240) -> str:
    """What a run that ends with this exit code said."""
    try:
        ended = process.wait(timeout=within)
    finally:
        process.kill()
    words = (folder / "output").read_text()
    assert ended == code, words
    return words


def process_of_rank(rank: int, launcher: int) -> int:
    """The id of the process that a launcher started for a rank."""
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"\0RANK={rank}\0" in f"\0{Path(f'/proc/{child}/environ').read_text()}":
            return int(child)
    raise AssertionError(f"no process of rank {rank}")


FIND = ("find", "digits", "--levels", "2", "--rate", "0.4", "--level-epochs", "40", "--warmup-epochs", "0")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the process of a rank in /proc")
def test_torchrun_names_the_rank_that_was_killed_and_the_next_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole = said(torchrun(*FIND, "--save-to", "whole", folder=tmp_path), tmp_path, code=0)
    assert whole.count("ticket: whole/level-02.ticket") == 1, "rank 0 alone speaks"
    assert whole.count("level  2  density 0.3600") == 1

    process = torchrun(*FIND, "--save-to", "killed", folder=tmp_path)
    while not (tmp_path / "killed" / "level-00.json").exists():
        assert process.poll() is None, (tmp_path / "output").read_text()
        time.sleep(0.02)
    os.kill(process_of_rank(1, process.pid), signal.SIGKILL)
    words = said(process, tmp_path, code=1, within=60)
    root_cause = words.split("Root Cause")[1]
    assert re.search(r"rank\s*: 1 ", root_cause)
    assert "SIGKILL" in root_cause
    assert not (tmp_path / "killed" / "level-02.json").exists(), "killed too late to show anything"

    said(torchrun(*FIND, "--save-to", "killed", folder=tmp_path), tmp_path, code=0)
    for number in range(3):
        name = f"level-{number:02d}"
        one, other = (read_state(tmp_path / run / f"{name}.safetensors")[0] for run in ("whole", "killed"))
        assert same_bits(one, other)
        assert (tmp_path / "whole" / f"{name}.ticket").read_bytes() == (tmp_path / "killed" / f"{name}.ticket").read_bytes()

    alone = subprocess.run(
        [sys.executable, "-m", "winsome", *FIND, "--save-to", "whole"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 2
    assert "ranks was 2, is now null" in alone.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_find_plant_and_study_on_two_ranks(tmp_path: Path) -> None:
    quick = ("--levels", "1", "--level-epochs", "1", "--warmup-epochs", "1")
    words = said(torchrun("find", *quick, "--sync-batch-norm", "--save-to", "found", folder=tmp_path), tmp_path, code=0)
    assert "level  1" in words
    plant = ("plant", "found/level-01.ticket", "--seeds", "2", "3", "--epochs", "1", "--save-to", "planted")
    words = said(torchrun(*plant, folder=tmp_path), tmp_path, code=0)
    assert words.count("seed 3: accuracy") == 1
    mask = ticket_file.read(tmp_path / "found" / "level-01.ticket").mask
    trained, _ = read_state(tmp_path / "planted" / "seed-2-trained.safetensors")
    assert all(torch.equal(trained[name] != 0, mask.kept(name)) for name in mask)
    words = said(torchrun(*plant, folder=tmp_path), tmp_path, code=0)
    assert words.count("(finished already)") == 2
    arms = ("--arms", "dense", "planted_aws", "network_aws", "--seeds", "2", "--starts", "1", "--epochs", "1")
    study = ("study", *quick, *arms, "--curve-at", "1", "--save-to", "study")
    words = said(torchrun(*study, folder=tmp_path), tmp_path, code=0)
    assert words.count("report: study/report.html") == 1
    assert len(read_json(tmp_path / "study" / "results.json")["rows"]) == 6
    words = said(torchrun(*study, folder=tmp_path), tmp_path, code=0)
    assert "study is finished already; nothing was trained" in words
    words = said(torchrun(*study, "--workers", "2", folder=tmp_path), tmp_path, code=1)
    assert "--workers 2 is for" in words
