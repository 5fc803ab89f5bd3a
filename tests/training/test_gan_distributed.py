"""Two processes give the gradients of one over the same half-batches, for both networks and R1 included."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from autolink_gen.config import AdversarialConfig
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.training.batches import step_generator
from autolink_gen.training.critic import Critic

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)
CONFIG = GanConfig(image_size=64, width=0.02, style_size=8)


def make_networks() -> tuple[Generator, Critic]:
    torch.manual_seed(0)
    critic = Critic(Discriminator(CONFIG), AdversarialConfig(penalty_every=2), gamma=50.0)
    return Generator(CONFIG).double(), critic.double()


def half_batch(rank: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Real pictures with their edge maps, edge maps to paint on, and z, of one process."""
    draw = step_generator(3, 0, rank=rank)
    shapes = ((2, 3, 64, 64), (2, 1, 64, 64), (2, 1, 64, 64))
    real, real_maps, fake_maps = (torch.rand(shape, generator=draw, dtype=torch.float64) for shape in shapes)
    return real * 2 - 1, real_maps, fake_maps, torch.randn(2, 8, generator=draw, dtype=torch.float64)


def gradients(rank: int, *, penalise: bool, spread: bool = False) -> dict[str, Tensor]:
    """The gradients that one step of both networks leaves on one half-batch, ``spread`` over processes or not."""
    generator, critic = make_networks()
    paint: nn.Module = DistributedDataParallel(generator) if spread else generator
    criticise: nn.Module = DistributedDataParallel(critic) if spread else critic
    real, real_maps, fake_maps, z = half_batch(rank)
    fake = paint(fake_maps, z)
    criticise(real, real_maps, fake, fake_maps, penalise=penalise).loss.backward()
    critic.judge(fake, fake_maps, real, real_maps, seed=0).backward()
    both = nn.ModuleDict({"generator": generator, "critic": critic})
    return {name: parameter.grad.clone() for name, parameter in both.named_parameters()}


def one_of_two(rank: int, folder: str) -> None:
    """What each of the two processes does; its gradients go to a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {penalise: gradients(rank, penalise=penalise, spread=True) for penalise in (False, True)}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_gradients_of_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    halves = {penalise: [gradients(rank, penalise=penalise) for rank in (0, 1)] for penalise in (False, True)}
    for penalise, (one, other) in halves.items():
        for name in one:
            expected = (one[name] + other[name]) / 2
            for found in both:
                difference = (found[penalise][name] - expected).abs().max()
                assert difference <= 1e-6 * max(one[name].abs().max(), other[name].abs().max()) + 1e-12, name
    weight = "critic.discriminator.blocks.0.first.weight"
    change = (halves[True][0][weight] - halves[False][0][weight]).abs().max()
    assert change > 1e-3 * halves[False][0][weight].abs().max(), "the penalty must matter here"
    assert (halves[True][0][weight] - halves[True][1][weight]).abs().max() > 0, "the halves must differ"
