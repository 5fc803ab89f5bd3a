"""The edge map's share of a training step.

Run from the repository: python benchmarks/training_step.py
"""

import statistics
import time

import click
import torch
from torch import Tensor

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig


def train_step(model: AutoLink, optimizer: torch.optim.Optimizer, images: Tensor) -> float:
    """Seconds of one step with an L1 loss on the images."""
    start = time.perf_counter()
    result = model(images, model.random_mask(len(images)))
    loss = (result.images - images).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - start


def draw(model: AutoLink, keypoints: Tensor, upstream: Tensor) -> float:
    """Seconds of the edge map alone, forward and backward, from edge weights to their gradients."""
    keypoints = keypoints.detach().requires_grad_()
    start = time.perf_counter()
    model.edge_map(keypoints, upstream.shape[-1]).backward(upstream)
    return time.perf_counter() - start


@click.command()
@click.option("--num-keypoints", default=16, show_default=True)
@click.option("--width", default=1.0, show_default=True)
@click.option("--size", type=click.Choice(["64", "128", "256"]), default="128", show_default=True, help="Pixels.")
@click.option("--batch", default=4, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(num_keypoints: int, width: float, size: str, batch: int, rounds: int, threads: int) -> None:
    """Time a training step without perceptual loss, and the edge map in it, as a Markdown table."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = AutoLink(AutoLinkConfig(num_keypoints=num_keypoints, width=width, image_size=int(size)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    images = torch.rand(batch, 3, int(size), int(size)) * 2 - 1
    upstream = torch.randn(batch, 1, int(size), int(size))
    poses = {"of the untrained model": model.detector(images), "anywhere": torch.rand(batch, num_keypoints, 2) * 2 - 1}
    times: dict[str, list[float]] = {name: [] for name in ("step", *poses)}
    for turn in range(rounds + 1):
        taken = {"step": train_step(model, optimizer, images)}
        taken |= {name: draw(model, keypoints, upstream) for name, keypoints in poses.items()}
        if turn:  # the first round warms up
            for name, seconds in taken.items():
                times[name].append(seconds)
    print(f"torch {torch.__version__}, {threads} threads, K = {num_keypoints}, width {width}, {size}x{size}, "
          f"batch {batch}, L1 loss, Adam, median of {rounds} interleaved rounds\n")  # fmt: skip
    print("| keypoints | step ms | edge map ms | share |")
    print("|---|---|---|---|")
    step_ms = 1e3 * statistics.median(times["step"])
    for name in poses:
        share = statistics.median(edge / step for edge, step in zip(times[name], times["step"], strict=True))
        print(f"| {name} | {step_ms:.0f} | {1e3 * statistics.median(times[name]):.1f} | {share:.1%} |")


if __name__ == "__main__":
    main()
