"""Frames a second of `transfer`, end to end, with the share of each part; and its memory for a short and a long driver.

Run from the repository: python benchmarks/transfer_speed.py

The network is untrained, of the recipe named: its time does not depend on what it has learned. That of the edge map
does: an untrained graph has equal edges, all on one spot, where each of them competes at every pixel. So its weights
are drawn here, of all strengths, and what the detector finds is replaced by keypoints that are spread over the image.
Each measurement runs in a process of its own.
"""

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch

from autolink_gen.config import TransferRunConfig, build
from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference.transfer import Transfer, cluster_labels
from autolink_gen.inference.transfer_video import Look, transfer_video
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.recipes import merge, read_recipe

PARTS = ("decode", "detect", "edge map", "network", "encode")
_FPS = 25


class Sample(NamedTuple):
    """What one process measured: frames a second, the share of each of `PARTS`, the largest resident set."""

    fps: float
    shares: dict[str, float]
    peak_mib: float


def write_driver(path: Path, *, seconds: int, size: int) -> None:
    """A puppet that moves, the same hundred frames again and again."""
    frames, _ = puppet_clip(0, 0, num_frames=100, size=size)
    with VideoWriter(path, fps=_FPS) as writer:
        for number in range(seconds * _FPS):
            writer.write(frames[number % len(frames)])


def timed_frames(spent: dict[str, float], part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose time is added to a part."""

    def call(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] += time.perf_counter() - started

    return call


def spread_out(detect: Callable[..., Any]) -> Callable[..., Any]:
    """A detector that takes its time, and gives keypoints drawn over the image."""
    draw = np.random.default_rng(0)

    def call(images: Any) -> Any:
        return draw.uniform(-0.8, 0.8, detect(images).shape)

    return call


class TimedStream(FrameStream):
    """A stream whose reading is timed."""

    spent: dict[str, float]

    def __iter__(self) -> Iterator[Any]:
        frames = super().__iter__()
        take = timed(self.spent, "decode", lambda: next(frames, None))
        while (frame := take()) is not None:
            yield frame


def measure(driver: Path, recipe: str, size: int, painted: int, batch: int, threads: int) -> Sample:
    """Transfer a whole driver in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spent = dict.fromkeys(PARTS, 0.0)
    config = build(TransferRunConfig, merge({"model": {"image_size": size}}, read_recipe("transfer", recipe)))
    graph = AutoLink(AutoLinkConfig(num_keypoints=16, image_size=size, width=0.25, sigma2=2.5e-3))
    graph.raw_edge_weights.data = (torch.randn(16, 16) - 2) / graph.config.edge_weight_rate
    network = TransferNetwork(config.model).to(memory_format=torch.channels_last).eval()
    poses = torch.rand(8, 16, 2) * 2 - 1
    transfer = Transfer(graph, network, cluster_labels(graph, config.model.clusters), poses).prepare_for_inference()
    transfer.detect = timed(spent, "detect", spread_out(transfer.detect))  # type: ignore[method-assign]
    transfer.edge_maps = timed(spent, "edge map", transfer.edge_maps)  # type: ignore[method-assign]
    network.paint = timed(spent, "network", network.paint)  # type: ignore[method-assign]
    VideoWriter.write = timed(spent, "encode", VideoWriter.write)  # type: ignore[method-assign]
    stream = TimedStream(driver)
    stream.spent = spent
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = transfer_video(
            transfer,
            FrameStream(driver),
            stream,
            Path(folder) / "out.mp4",
            look=Look(crop=False, size=painted),
            batch_size=batch,
        )
    passed = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Sample(report.num_frames / passed, {part: value / passed for part, value in spent.items()}, peak)


@click.command()
@click.option("--recipe", default="cpu", show_default=True)
@click.option("--size", type=click.Choice(["64", "128", "256"]), default="128", show_default=True,
              help="Pixels that the network was trained at.")  # fmt: skip
@click.option("--painted", type=int, help="Pixels of the frames. [default: the network's]")
@click.option("--batch", default=8, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Processes.")
@click.option("--threads", default=2, show_default=True)
@click.option("--seconds", default=10, show_default=True, help="Length of the driver.")
@click.option("--long", "long_seconds", default=0, show_default=True, help="Also a driver so long, for its memory.")
def main(
    recipe: str, size: str, painted: int | None, batch: int, rounds: int, threads: int, seconds: int, long_seconds: int
) -> None:
    """Measure and print a Markdown table."""
    side = painted or int(size)
    context = multiprocessing.get_context("spawn")

    def sample(length: int) -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            driver = Path(folder) / "driver.mp4"
            write_driver(driver, seconds=length, size=side)
            with context.Pool(1) as pool:
                return pool.apply(measure, (driver, recipe, int(size), side, batch, threads))

    found = [sample(seconds) for _ in range(rounds)]
    print(f"torch {torch.__version__}, {threads} threads, recipe {recipe}, a network of {size} pixels, frames of "
          f"{side}, batch {batch}, a driver of {seconds} s, median of {rounds} processes\n")  # fmt: skip
    print("| frames a second | " + " | ".join(PARTS) + " | peak MiB |")
    print("|---" * (len(PARTS) + 2) + "|")
    shares = [f"{statistics.median(one.shares[part] for one in found):.0%}" for part in PARTS]
    fps, peak = (statistics.median(getattr(one, name) for one in found) for name in ("fps", "peak_mib"))
    print(f"| {fps:.1f} | " + " | ".join(shares) + f" | {peak:.0f} |")
    if long_seconds:
        long = sample(long_seconds)
        print(f"\n{long_seconds} s: {long.fps:.1f} frames a second, peak {long.peak_mib:.0f} MiB, "
              f"{long.peak_mib / peak:.2f} times that of {seconds} s")  # fmt: skip


if __name__ == "__main__":
    main()
