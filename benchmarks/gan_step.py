"""A GAN training step with scaled activations against the same with a kernel of its own for each image.

Run from the repository: python benchmarks/gan_step.py

The step is one of the discriminator, R1 at every eighth, and one of the generator. Each kind runs in processes of its
own, in turns, so that its peak memory is its own. Also prints how many images a second the generator paints.
"""

import multiprocessing
import resource
import statistics
import sys
import time
from typing import NamedTuple

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from autolink_gen.config import AdversarialConfig
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.models.modulation import ModulatedConv2d
from autolink_gen.ops.ranges import from_signed
from autolink_gen.training.adversary import Adversary
from autolink_gen.training.posed_images import PosedImages

KINDS = ("scaled activations", "kernels by grouped convolution")


class Sample(NamedTuple):
    """What one process measured."""

    step_ms: float
    generator_ms: float
    peak_mib: float
    pictures_per_second: float


def grouped(layer: ModulatedConv2d, x: Tensor, style: Tensor) -> Tensor:
    """StyleGAN2's own way: scaled and demodulated kernels, one group an image."""
    batch, channels, height, width = x.shape
    scale = layer.to_scale(style) + 1
    kernels = layer.convolution.weight[None] * scale[:, None, :, None, None]
    kernels = kernels * torch.rsqrt(kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    x = x.reshape(1, batch * channels, height, width)
    outputs = F.conv2d(x, kernels.flatten(0, 1), padding=1, groups=batch).view(batch, -1, height, width)
    bias = layer.convolution.bias
    assert bias is not None
    return outputs + bias[:, None, None]


def measure(kind: str, config: GanConfig, batch: int, steps: int, threads: int) -> Sample:
    """Median step, peak memory and painting speed in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if kind != KINDS[0]:
        ModulatedConv2d.forward = grouped  # type: ignore[method-assign,assignment]
    layout = torch.channels_last if kind == KINDS[0] else torch.contiguous_format  # what each is faster in
    generator = Generator(config).to(memory_format=layout)
    adversary = Adversary(Discriminator(config), AdversarialConfig(), gamma=2.0).to(memory_format=torch.channels_last)
    optimisers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in (generator, adversary)]
    images = torch.rand(batch, 3, config.image_size, config.image_size)
    images = images.contiguous(memory_format=torch.channels_last)
    maps, z = torch.rand(batch, 1, *images.shape[-2:]), torch.randn(batch, config.style_size)
    keypoints = torch.zeros(batch, 2, 2)
    real = PosedImages(images, keypoints, maps)
    taken = []
    for step in range(8 * (1 + -(-steps // 8))):
        started = time.perf_counter()
        fake = PosedImages(from_signed(generator(maps, z)), keypoints, maps)
        optimisers[1].zero_grad()
        adversary(real=real, fake=fake, penalise=step % 8 == 0).loss.backward()
        optimisers[1].step()
        optimisers[0].zero_grad()
        adversary.generator_loss(fake=fake, real=real, seed=0).backward()
        optimisers[0].step()
        taken.append(time.perf_counter() - started)
    rounds = [sum(taken[i : i + 8]) / 8 for i in range(8, len(taken), 8)]  # the first eight warm up
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    alone = []
    for _ in range(6):
        started = time.perf_counter()
        generator(maps, z).square().mean().backward()
        alone.append(time.perf_counter() - started)
    painting = []
    with torch.no_grad():
        for _ in range(5):
            started = time.perf_counter()
            generator(maps, z)
            painting.append(time.perf_counter() - started)
    milliseconds = [1e3 * statistics.median(times) for times in (rounds, alone[1:])]
    return Sample(*milliseconds, peak, batch / statistics.median(painting))


@click.command()
@click.option("--width", default=0.125, show_default=True)
@click.option("--size", type=click.Choice(["64", "128", "256"]), default="64", show_default=True, help="Pixels.")
@click.option("--batch", default=16, show_default=True)
@click.option("--steps", default=16, show_default=True, help="Steps a process.")
@click.option("--rounds", default=3, show_default=True, help="Processes a kind.")
@click.option("--threads", default=2, show_default=True)
def main(width: float, size: str, batch: int, steps: int, rounds: int, threads: int) -> None:
    """Measure both kinds in turns and print a Markdown table."""
    config = GanConfig(image_size=int(size), width=width)
    samples: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    context = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for kind in KINDS:
            with context.Pool(1) as pool:
                samples[kind].append(pool.apply(measure, (kind, config, batch, steps, threads)))
    print(f"torch {torch.__version__}, {threads} threads, width {width}, {size}x{size}, batch {batch}, "
          f"median of {rounds} interleaved processes\n")  # fmt: skip
    print("| modulation by | step ms | generator alone, both passes, ms | peak MiB | images painted a second |")
    print("|---|---|---|---|---|")
    for kind, found in samples.items():
        step, alone, peak, painted = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {kind} | {step:.0f} | {alone:.0f} | {peak:.0f} | {painted:.0f} |")
    print()
    for name in ("step_ms", "generator_ms"):
        pairs = zip(samples[KINDS[0]], samples[KINDS[1]], strict=True)
        ratios = [getattr(slow, name) / getattr(fast, name) for fast, slow in pairs]
        print(f"{name}: {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
