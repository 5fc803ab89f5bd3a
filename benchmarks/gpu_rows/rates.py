"""Images and frames a second of `detect`, `generate` and `transfer`, by the network alone and from files to files.

The networks are untrained: their time does not depend on what they have learned. On a CPU that of the edge map does, so
its weights are drawn of all strengths.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import autolink_gen
from autolink_gen.common.progress import no_progress
from autolink_gen.config import GanRunConfig, TransferRunConfig, build
from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.transfer import Transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.recipes import merge, read_recipe
from gpu_rows.measuring import Case, Setting, Values, median_ms, rounded, wait
from gpu_rows.stand_ins import write_puppets
from gpu_rows.steps import graph_config

_KEYPOINTS = 16
_SMALL = {"image_size": 64, "width": 0.05}


def make_graph(recipe: str, setting: Setting, device: str) -> AutoLink:
    """A graph of a recipe, untrained, its edges of all strengths."""
    torch.manual_seed(0)
    config = graph_config(recipe, setting, {"model": {"num_keypoints": _KEYPOINTS}})
    graph = AutoLink(config.model)
    graph.raw_edge_weights.data = (torch.randn(_KEYPOINTS, _KEYPOINTS) - 2) / graph.config.edge_weight_rate
    return graph.to(device).prepare_for_inference()


def make_gan(setting: Setting, device: str) -> Gan:
    """A GAN of the recipe ``gpu``, with poses spread over the image."""
    graph = make_graph("gpu", setting, "cpu")
    values = merge(read_recipe("gan", "gpu")["model"], {"image_size": graph.config.image_size})
    config = build(GanRunConfig, {"model": merge(values, _SMALL if setting.small else {})})
    gan = Gan(graph, Generator(config.model), _poses(64)).to(device).eval()
    gan.graph.prepare_for_inference()
    return gan


def make_transfer(frames: np.ndarray, setting: Setting, device: str) -> Transfer:
    """A transfer network of the recipe ``gpu``, for what some frames show."""
    graph = make_graph("gpu", setting, "cpu")
    values = merge(read_recipe("transfer", "gpu")["model"], {"image_size": graph.config.image_size})
    small = {**_SMALL, "appearance_width": 0.05} if setting.small else {}
    config = build(TransferRunConfig, {"model": merge(values, small)})
    labels = torch.zeros(_KEYPOINTS, dtype=torch.long)
    poses = graph.detect(frames)  # by which is judged whether a frame shows a pose
    return Transfer(graph, TransferNetwork(config.model), labels, poses).to(device).prepare_for_inference()


def _poses(count: int) -> torch.Tensor:
    return torch.rand(count, _KEYPOINTS, 2, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def rate(run: Callable[[], Any], count: int, setting: Setting, device: str) -> float:
    """Images a second of a run that makes so many, in the median."""
    return 1e3 * count / median_ms(run, setting, device=device, rounds=3)


def file_rate(run: Callable[[Path], Any], count: int, setting: Setting, device: str) -> float:
    """Images a second of a run that writes so many to a new folder; one goes first."""
    taken = []
    for turn in range(setting.pick(4, 2)):
        folder = setting.folder / "written" / f"{time.monotonic_ns()}"
        wait(device)
        started = time.perf_counter()
        run(folder)
        wait(device)
        if turn:
            taken.append(time.perf_counter() - started)
    return count / statistics.median(taken)


def detecting(recipe: str, setting: Setting, device: str) -> Values:
    """Keypoints of images."""
    graph = make_graph(recipe, setting, device)
    count = setting.pick(1000 if device == "cuda" else 64, 4)
    pictures = write_puppets(setting.folder / f"to-detect-{count}", count=count, size=setting.pick(128, 64))
    batch = torch.rand(setting.pick(64 if device == "cuda" else 8, 2), 3, 128, 128, device=device)

    def from_files(out: Path) -> None:
        autolink_gen.detect(graph, pictures, out=out, overlays=False, progress=no_progress)

    return rounded(
        {
            "a second, network": rate(lambda: graph.detect(batch), len(batch), setting, device),
            "a second, files": file_rate(from_files, count, setting, device),
        }
    )


def generating(setting: Setting, device: str) -> Values:
    """Painted images; to files, a video between styles."""
    gan = make_gan(setting, device)
    batch, frames = setting.pick(64 if device == "cuda" else 8, 2), setting.pick(200 if device == "cuda" else 20, 3)
    poses, z = _poses(batch).to(device), torch.randn(batch, gan.style_size).to(device)

    def to_files(out: Path) -> None:
        autolink_gen.generate(gan, seeds=range(2), interpolate="style", frames=frames, out=out, progress=no_progress)

    num_painted = frames * len(gan.poses[:1])
    return rounded(
        {
            "a second, network": rate(lambda: gan.generate(poses, z), batch, setting, device),
            "a second, files": file_rate(to_files, num_painted, setting, device),
        }
    )


def transferring(setting: Setting, device: str) -> Values:
    """Painted frames; to files, of a driver of some seconds."""
    count, size = setting.pick(250 if device == "cuda" else 25, 5), setting.pick(128, 64)
    frames, _ = puppet_clip(0, 0, num_frames=count, size=size)
    net = make_transfer(frames[:8], setting, device)
    driver = setting.folder / f"driver-{count}.mp4"
    if not driver.is_file():
        with VideoWriter(driver, fps=25) as writer:
            for frame in frames:
                writer.write(frame)
    few: list[np.ndarray] = list(frames[: setting.pick(50 if device == "cuda" else 8, 2)])

    def to_files(out: Path) -> None:
        out.mkdir(parents=True)
        autolink_gen.transfer(net, driver, driver, out=out / "moved.mp4", crop=False, progress=no_progress)

    return rounded(
        {
            "a second, network": rate(lambda: list(net.animate(few[0], few)), len(few), setting, device),
            "a second, files": file_rate(to_files, count, setting, device),
        }
    )


def cases(setting: Setting) -> Iterator[Case]:
    """Each on the device, and on the CPU beside it."""
    for device in dict.fromkeys((setting.device, "cpu")):
        for recipe in ("official", "cpu", "gpu"):
            yield Case(f"detect, graph of {recipe}, {device}", partial(detecting, recipe, setting, device))
        yield Case(f"generate, {device}", partial(generating, setting, device))
        yield Case(f"transfer, {device}", partial(transferring, setting, device))
