"""Compiling what a step computes: runs learn alike, and what cannot be compiled is computed as it is."""

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.tiny_runs import graph_of_tiny_runs, tiny_run_config
from torch import Tensor, nn

from autolink_gen.config import AdversarialConfig, GraphRunConfig, build
from autolink_gen.losses.perceptual import PerceptualLoss, RandomFeatures
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig
from autolink_gen.training import compiling, graph
from autolink_gen.training.adversary import Adversary
from autolink_gen.training.compiling import compiled, uncompiled
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch, start_fabric
from autolink_gen.training.posed_images import PosedImages
from autolink_gen.training.transfer import train_transfer


@pytest.fixture(autouse=True)
def shapes_are_not_checked() -> Iterator[None]:
    """torch's compiler cannot look through the checks that conftest.py adds to functions."""
    jaxtyping.config.update("jaxtyping_disable", True)
    with torch._dynamo.config.patch(recompile_limit=32):  # they make one function of all, with one cache
        yield
    jaxtyping.config.update("jaxtyping_disable", False)


def trained(kind: str, launch: Launch) -> Run:
    """A run that saves at each step, and draws images of other sizes with its own networks, without an average."""
    config = tiny_run_config(kind, steps=3, batch_size=4, ema=0.0, save_every=1)
    if kind.startswith("graph"):
        return train_graph(config, launch)
    config = replace(config, adversarial=replace(config.adversarial, penalty_every=2))
    return (train_gan if kind == "gan" else train_transfer)(config, graph_of_tiny_runs(), launch)


GRAPH = {"the detector": 1, "the decoder": 1, "the loss": 1}
CASES = [
    ("graph", "bf16-mixed", {**GRAPH, "the loss's view of the targets": 1}),
    # The loss looks at what the detector is shown, too, whose memory is laid out otherwise.
    ("graph on features", "32-true", {**GRAPH, "the loss's view of the targets": 2}),
    # The discriminator is shown real and painted images, for its own loss and for the generator's; the detector real
    # ones and, for gradients, painted ones.
    ("gan", "32-true", {"the generator": 1, "the discriminator": 3, "the graph's detector": 2}),
    ("transfer", "32-true", {"the network": 1, "the discriminator": 3, "the graph's detector": 3, "the loss": 1,
                             "the loss's view of the targets": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "precision", "expected"), CASES)
def test_a_run_with_its_parts_as_compiled_graphs_equals_one_without(
    tmp_path: Path, monkeypatch, caplog, kind, precision, expected
):
    """Traced by torch's compiler, and computed by the same kernels as without it."""
    found: Counter[str] = Counter()
    monkeypatch.setattr(Run, "compiling", lambda self, name: found.update([name]) or nullcontext())
    plain, traced = (
        trained(kind, Launch(tmp_path / str(wish), 1, 1, precision, progress=False, compile=wish, compiler="eager"))
        for wish in (False, True)
    )
    warned = {record.name for record in caplog.records if record.levelno >= logging.WARNING}
    assert warned <= {graph.log.name}, "which may doubt what three steps learn"
    assert found == expected, "each kind of call of a step once, and none of a save's"
    weights = traced.network.state_dict()
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert all(module._compiled_call_impl is None for module in traced.network.modules()), "not after the run"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device, for which networks are compiled")
@pytest.mark.parametrize("kind", ["graph", "graph on features", "gan", "transfer"])
def test_a_run_on_cuda_is_compiled_and_learns_alike(tmp_path: Path, caplog, kind):
    plain, made = (
        trained(kind, Launch(tmp_path / str(wish), "cuda", 1, "32-true", progress=False, compile=wish))
        for wish in (False, None)
    )
    assert not [record for record in caplog.records if record.name == compiling.log.name]
    assert made.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=0.02)


def a_run(compiler: str | Callable[..., Any], *, rank: int = 0, is_stopping: bool = False, **launch: Any) -> Any:
    """What compiling needs of a run on the CPU."""
    fabric = SimpleNamespace(device=torch.device("cpu"), local_rank=rank)
    return SimpleNamespace(
        launch=Launch(Path("run"), **{"compile": True, "compiler": compiler, **launch}),
        fabric=fabric,
        is_stopping=is_stopping,
        compiling=lambda name: nullcontext(),
    )


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def gradients(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    network.zero_grad()
    network(inputs).square().sum().backward()
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


class Counting:
    """A compiler that computes a graph as it is, and counts the graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


def test_a_network_is_compiled_in_place_and_its_copies_and_saves_are_not():
    network, counting, inputs = a_network(), Counting(), torch.rand(3, 4)
    names, expected = list(network.state_dict()), network(inputs)
    with compiled(a_run(counting), {"the network": network}):
        copied = copy.deepcopy(network)
        assert torch.equal(network(inputs), expected) and counting.graphs == 1
        assert list(network.state_dict()) == names and next(iter(network.modules())) is network
        for other in (copied, copy.deepcopy(network)):
            assert torch.equal(other(torch.rand(7, 4)), other(torch.rand(7, 4))) is False and counting.graphs == 1
    network(torch.rand(2, 4))
    assert counting.graphs == 1, "no more after the block"


def test_samples_are_not_compiled():
    network, counting = a_network(), Counting()
    with compiled(a_run(counting), {"the network": network}):
        network(torch.rand(3, 4))
        with uncompiled():
            network(torch.rand(5, 4))
        network(torch.rand(3, 4))
    assert counting.graphs == 1


def test_a_method_is_compiled_and_given_back():
    loss, counting = PerceptualLoss(RandomFeatures()), Counting()
    ours, theirs = torch.rand(2, 2, 3, 16, 16).unbind()
    expected = loss(ours, theirs)
    with compiled(a_run(counting), {"the loss": loss.distance_to, "targets": loss.target_features}):
        assert torch.equal(loss.distance_to(ours, loss.target_features(theirs)), expected)
    assert counting.graphs == 2
    loss.distance_to(ours[:1], loss.target_features(theirs[:1]))
    assert counting.graphs == 2 and not {"distance_to", "target_features"} & vars(loss).keys()


@pytest.mark.parametrize(("wish", "expected"), [(None, 0), (False, 0), (True, 1)])
def test_on_a_cpu_nothing_is_compiled_unless_told(wish, expected):
    network, counting = a_network(), Counting()
    with compiled(a_run(counting, compile=wish), {"the network": network}):
        network(torch.rand(3, 4))
    assert counting.graphs == expected


def test_networks_are_compiled_on_cuda_unless_told():
    assert [Launch(Path("run"), compile=wish).compiles_on("cuda") for wish in (None, False, True)] == [
        True,
        False,
        True,
    ]
    assert not Launch(Path("run")).compiles_on("mps")


def test_compiling_for_an_apple_gpu_is_refused():
    length = build(GraphRunConfig, {"training": {"steps": 1}}).training
    with raises_mentioning(ValueError, "--compile", "mps"):
        start_fabric(Launch(Path("run"), "mps", compile=True), length)


def raises(*_: Any) -> Any:
    raise RuntimeError("no C compiler\nin a long story")


def fails_late(*_: Any) -> Any:
    raise torch._dynamo.exc.TorchDynamoException("no C compiler\nin a long story")


def failing_backward(fail: Callable[..., Any]) -> Callable[..., Any]:
    """A compiler that fails at backward passes."""
    from torch._dynamo.backends.common import aot_autograd

    return aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=fail)


@pytest.mark.parametrize("compiler", [raises, failing_backward(raises)], ids=["forward", "backward"])
def test_what_cannot_be_compiled_is_computed_as_it_is_with_one_line(caplog, compiler):
    network, inputs = a_network(), torch.rand(3, 4)
    expected = gradients(network, inputs)
    with compiled(a_run(compiler), {"the network": network}):
        for _ in range(2):
            found = gradients(network, inputs)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    lines = [record.getMessage() for record in caplog.records if record.name == compiling.log.name]
    assert len(lines) == 1
    assert_line_mentions(lines, "the network", "no C compiler", "--no-compile")
    assert "long story" not in lines[0]


@pytest.mark.parametrize("quiet", [{"rank": 1}, {"is_stopping": True}])
def test_a_second_process_and_a_run_that_is_stopped_say_nothing_of_it(caplog, quiet):
    """A signal that stops the run ends the compiler's processes, too."""
    network, inputs = a_network(), torch.rand(3, 4)
    with compiled(a_run(raises, **quiet), {"the network": network}):
        assert torch.equal(network(inputs), network.forward(inputs))
    assert not [record for record in caplog.records if record.name == compiling.log.name]


def test_a_backward_pass_that_fails_late_names_the_remedy(monkeypatch):
    monkeypatch.setattr(compiling, "_backward_at_once", nullcontext)  # as in versions of torch that cannot
    network, run = a_network(), a_run(failing_backward(fails_late))
    with raises_mentioning(ValueError, "no C compiler", "--no-compile"), compiled(run, {"the network": network}):
        gradients(network, torch.rand(3, 4))


def test_a_network_that_is_not_one_graph_is_computed_as_it_is(caplog):
    class Peeking(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs if inputs.sum() > 0 else -inputs

    network, counting = Peeking(), Counting()
    with compiled(a_run(counting), {"the peeking one": network}):
        assert [network(torch.full((2,), sign)).tolist() for sign in (1.0, -1.0)] == [[1, 1], [1, 1]]
    assert counting.graphs == 0
    assert_line_mentions([record.getMessage() for record in caplog.records], "the peeking one", "--no-compile")


def test_kinds_of_calls_beyond_the_compilers_limit_are_computed_as_they_are(caplog):
    network, counting = a_network(), Counting()
    with compiled(a_run(counting), {"the network": network}), torch._dynamo.config.patch(recompile_limit=2):
        for batch in (1, 2, 3, 4, 1):
            assert network(torch.rand(batch, 4)).shape == (batch, 2)
    assert counting.graphs == 2
    lines = [record.getMessage() for record in caplog.records]
    assert_line_mentions(lines, "the network", "limit", "--no-compile")


def test_steps_with_a_gradient_penalty_are_those_of_an_uncompiled_discriminator():
    torch.manual_seed(0)
    config = AdversarialConfig(penalty_every=2, relativistic=True)
    adversary = Adversary(Discriminator(GanConfig(image_size=64, width=0.02, style_size=8)), config, gamma=50.0)
    shown = PosedImages(torch.rand(4, 3, 64, 64), torch.zeros(4, 3, 2), torch.rand(4, 1, 64, 64))
    real, fake = shown, shown._replace(images=torch.rand(4, 3, 64, 64))

    def gradients_of(*, penalise: bool) -> list[Tensor]:
        adversary.zero_grad()
        adversary(real=real, fake=fake, penalise=penalise).loss.backward()
        return [parameter.grad.clone() for parameter in adversary.parameters()]

    plain = [gradients_of(penalise=penalise) for penalise in (True, False)]
    with compiled(a_run("aot_eager"), {"the discriminator": adversary.discriminator}):
        penalised, other = (gradients_of(penalise=penalise) for penalise in (True, False))
        images = shown.images.clone().requires_grad_()
        logits = adversary.logits(images, shown.edge_map, seed=0)
        with pytest.raises(RuntimeError):  # of gradients that are compiled there are no gradients
            torch.autograd.grad(logits.sum(), images, create_graph=True)[0].square().sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(penalised, plain[0], strict=True))
    for ours, theirs in zip(other, plain[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
    assert not all(torch.equal(a, b) for a, b in zip(penalised, other, strict=True))
