"""Two processes give the gradients of one over the same half-batches: the graph's, the GAN's, and R1's with them."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from helpers.tiny_models import tiny_graph
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autolink_gen.config import AdversarialConfig
from autolink_gen.losses.perceptual import PerceptualLoss, RandomFeatures
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.training.adversary import Adversary
from autolink_gen.training.batches import step_generator
from autolink_gen.training.compiling import compiled
from autolink_gen.training.launch import Launch
from autolink_gen.training.posed_images import PosedImages

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)
CONFIG = GanConfig(image_size=64, width=0.02, style_size=8)


def make_graph() -> AutoLink:
    return tiny_graph(4, sigma2=1e-2).double()


def make_networks() -> tuple[Generator, Adversary]:
    torch.manual_seed(0)
    adversary = Adversary(Discriminator(CONFIG), AdversarialConfig(penalty_every=2), gamma=50.0)
    return Generator(CONFIG).double(), adversary.double()


def compiler_of(network: dict[str, nn.Module], *, compile: bool) -> AbstractContextManager[None]:
    """Compiles the networks of a run, or leaves them."""
    launch = Launch(Path("run"), compile=compile, compiler="eager")
    fabric = SimpleNamespace(device=torch.device("cpu"), local_rank=0)
    run = SimpleNamespace(launch=launch, fabric=fabric, compiling=lambda name: nullcontext())
    return compiled(run, network)  # type: ignore[arg-type]


def gradients_of_graph(rank: int, *, spread: bool = False, compile: bool = False) -> dict[str, Tensor]:
    """The gradients that one half-batch of pictures and masks leaves, ``spread`` over processes or not."""
    graph, draw = make_graph(), step_generator(3, 0, rank=rank)
    pictures = torch.rand(2, 3, 64, 64, generator=draw, dtype=torch.float64) * 2 - 1
    forward: nn.Module = DistributedDataParallel(graph) if spread else graph
    loss = PerceptualLoss(RandomFeatures().double(), distance="l1")
    with compiler_of({"the detector": graph.detector, "the decoder": graph.decoder}, compile=compile):
        repainted = forward(pictures, graph.random_mask(2, generator=draw)).images
        loss((repainted + 1) / 2, (pictures + 1) / 2).backward()
    return {name: parameter.grad.clone() for name, parameter in graph.named_parameters()}


def half_batch(rank: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Real pictures with their edge maps, edge maps to paint on, and z, of one process."""
    draw = step_generator(3, 0, rank=rank)
    shapes = ((2, 3, 64, 64), (2, 1, 64, 64), (2, 1, 64, 64))
    real, real_maps, fake_maps = (torch.rand(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    return real, real_maps, fake_maps, torch.randn(2, 8, generator=draw, dtype=torch.float64)


def gradients_of_gan(rank: int, *, penalise: bool, spread: bool = False) -> dict[str, Tensor]:
    """The gradients that one step of both networks leaves on one half-batch, ``spread`` over processes or not."""
    generator, adversary = make_networks()
    paint: nn.Module = DistributedDataParallel(generator) if spread else generator
    criticise: nn.Module = DistributedDataParallel(adversary) if spread else adversary
    images, real_maps, fake_maps, z = half_batch(rank)
    keypoints = torch.zeros(len(images), 4, 2)
    real, fake = (
        PosedImages(images, keypoints, real_maps),
        PosedImages((paint(fake_maps, z) + 1) / 2, keypoints, fake_maps),
    )
    criticise(real=real, fake=fake, penalise=penalise).loss.backward()
    adversary.generator_loss(fake=fake, real=real, seed=0).backward()
    both = nn.ModuleDict({"generator": generator, "adversary": adversary})
    return {name: parameter.grad.clone() for name, parameter in both.named_parameters()}


def one_of_two(rank: int, folder: str) -> None:
    """What each of the two processes does; its gradients go to a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {str(penalise): gradients_of_gan(rank, penalise=penalise, spread=True) for penalise in (False, True)}
    found["graph"] = gradients_of_graph(rank, spread=True)
    found["compiled graph"] = gradients_of_graph(rank, spread=True, compile=True)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """The gradients that the two processes have, of each kind."""
    folder = tmp_path_factory.mktemp("both")
    torch.multiprocessing.spawn(one_of_two, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("kind", ["graph", "compiled graph"])
def test_two_processes_give_the_gradients_of_one_for_a_graph(both, kind):
    halves = [gradients_of_graph(rank) for rank in (0, 1)]
    for name in halves[0]:
        expected = (halves[0][name] + halves[1][name]) / 2
        scale = max(halves[0][name].abs().max(), halves[1][name].abs().max())
        assert scale > 0, name
        for found in both:
            # Biases before a batch norm have gradients of rounding errors alone; hence double precision.
            assert (found[kind][name] - expected).abs().max() <= 1e-6 * scale + 1e-9, name
    largest = [max(half[name].abs().max().item() for name in half) for half in halves]
    assert any((halves[0][n] - halves[1][n]).abs().max() > 1e-3 * max(largest) for n in halves[0])


def test_two_processes_give_the_gradients_of_one_for_a_gan(both):
    halves = {penalise: [gradients_of_gan(rank, penalise=penalise) for rank in (0, 1)] for penalise in (False, True)}
    for penalise, (one, other) in halves.items():
        for name in one:
            expected = (one[name] + other[name]) / 2
            for found in both:
                difference = (found[str(penalise)][name] - expected).abs().max()
                assert difference <= 1e-6 * max(one[name].abs().max(), other[name].abs().max()) + 1e-12, name
    weight = "adversary.discriminator.blocks.0.first.weight"
    change = (halves[True][0][weight] - halves[False][0][weight]).abs().max()
    assert change > 1e-3 * halves[False][0][weight].abs().max(), "the penalty must matter here"
    assert (halves[True][0][weight] - halves[True][1][weight]).abs().max() > 0, "the halves must differ"
