"""Images a second of the detector: unfolded, as trained, and folded for inference, trick by trick.

Run from the repository: python benchmarks/detector.py
"""

import statistics
import time
from collections.abc import Callable

import click
import torch
from torch import Tensor, nn

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.blocks import HalvingConv2d, ResidualDown, Up
from autolink_gen.models.detector import Detector
from autolink_gen.models.folding import (
    FoldedResidualDown,
    fold_detector,
    fuse_norm,
    halving_convolution,
    stack_convolutions,
)
from autolink_gen.ops.keypoints import soft_argmax

TOLERANCE = 1e-4  # of the keypoints, which lie in [-1, 1]
Network = Callable[[Tensor], Tensor]


class Unfolded(nn.Module):
    """The detector in eval mode with every step an operation of its own: convolve, halve, normalise."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for layer in self.detector.layers:
            if isinstance(layer, ResidualDown):
                x = nn.functional.leaky_relu(_plainly(layer.shortcut, x) + _plainly(layer.body, x), 0.2)
            else:
                x = layer(x)
        return soft_argmax(x)


def _plainly(layers: nn.Sequential, x: Tensor) -> Tensor:
    for layer in layers:
        if isinstance(layer, HalvingConv2d):
            full = nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)
            x = nn.functional.avg_pool2d(full, 2)
        else:
            x = layer(x)
    return x


class PartlyFolded(nn.Module):
    """The detector with the kernels of its halving convolutions made in advance, and some of the other tricks."""

    def __init__(self, detector: Detector, *, tricks: set[str]) -> None:
        super().__init__()
        self.channels_last = "channels last" in tricks
        self.layers = nn.Sequential(*(self._layer(layer, tricks) for layer in detector.layers))
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def _layer(self, layer: nn.Module, tricks: set[str]) -> nn.Module:
        if isinstance(layer, ResidualDown):
            return _residual(layer, tricks)
        if isinstance(layer, Up) and "batch norm" in tricks:
            upsample, convolution, norm, activation = layer
            return nn.Sequential(upsample, fuse_norm(convolution, norm), activation)
        return layer

    def forward(self, images: Tensor) -> Tensor:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return soft_argmax(self.layers(images.contiguous(memory_format=layout)).contiguous())


class _Residual(nn.Module):
    def __init__(self, shortcut: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.shortcut, self.body = shortcut, body

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.shortcut(x) + self.body(x), 0.2)


class _NormedPair(nn.Module):
    """Both first convolutions as one, with batch norms left in place."""

    def __init__(self, both: nn.Conv2d, norm: nn.Module, body: nn.Sequential) -> None:
        super().__init__()
        self.both, self.norm, self.body = both, norm, body

    def forward(self, x: Tensor) -> Tensor:
        shortcut, body = self.both(x).chunk(2, dim=1)
        return nn.functional.leaky_relu(self.norm(shortcut) + self.body(body), 0.2)


def _residual(block: ResidualDown, tricks: set[str]) -> nn.Module:
    (skip, skip_norm), (first, first_norm, activation, second, second_norm) = block.shortcut, block.body
    skip, first = halving_convolution(skip), halving_convolution(first)
    if "batch norm" not in tricks:
        if "shared first convolution" in tricks:
            body = nn.Sequential(first_norm, activation, second, second_norm)
            return _NormedPair(stack_convolutions([skip, first]), skip_norm, body)
        return _Residual(
            nn.Sequential(skip, skip_norm), nn.Sequential(first, first_norm, activation, second, second_norm)
        )
    skip, first, second = fuse_norm(skip, skip_norm), fuse_norm(first, first_norm), fuse_norm(second, second_norm)
    if "shared first convolution" in tricks:
        return FoldedResidualDown(stack_convolutions([skip, first]), second)
    return _Residual(skip, nn.Sequential(first, activation, second))


def variants(detector: Detector) -> dict[str, Network]:
    """What is timed, the slowest first; each trick is added to those above it."""
    plain = Unfolded(detector)
    found: dict[str, Network] = {
        "unfolded, eval mode": plain,
        "unfolded, channels last": lambda images: plain(images.contiguous(memory_format=torch.channels_last)),
        "Detector (4x4 kernels folded at each pass)": detector,
    }
    tricks: set[str] = set()
    found["4x4 kernels folded once"] = PartlyFolded(detector, tricks=tricks)
    for trick in ("shared first convolution", "batch norm", "channels last"):
        tricks = {*tricks, trick}
        found[f"+ {trick}"] = PartlyFolded(detector, tricks=tricks)
    for trick in sorted(tricks):
        found[f"all but {trick}"] = PartlyFolded(detector, tricks=tricks - {trick})
    found["fold_detector"] = fold_detector(detector)
    return found


def random_detector(num_keypoints: int, width: float) -> Detector:
    """A detector with random weights and random batch norm statistics, in eval mode."""
    torch.manual_seed(0)
    detector = AutoLink(AutoLinkConfig(num_keypoints=num_keypoints, width=width)).detector.eval()
    for norm in detector.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return detector


def seconds_in_turns(networks: dict[str, Network], images: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of every pass; each round runs every network once, so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(rounds + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            network(images)
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return times


def median_ratio(slow: list[float], quick: list[float]) -> float:
    """Median over the rounds of the quotient of two neighbouring times."""
    return statistics.median(a / b for a, b in zip(slow, quick, strict=True))


@click.command()
@click.option("--width", default=1.0, show_default=True)
@click.option("--size", default=128, show_default=True, help="Pixels.")
@click.option("--num-keypoints", default=16, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--threads", default=2, show_default=True)
@torch.inference_mode()
def main(width: float, size: int, num_keypoints: int, rounds: int, threads: int) -> None:
    """Time the detector unfolded and folded, side by side, as a Markdown table."""
    torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {threads} threads, width {width}, {size}x{size}, K = {num_keypoints}, "
          f"median of {rounds} interleaved rounds\n")  # fmt: skip
    networks = variants(random_detector(num_keypoints, width))
    print("| network | batch | images/s | times unfolded | largest difference of a keypoint |")
    print("|---|---|---|---|---|")
    for batch in (1, 8):
        images = torch.rand(batch, 3, size, size) * 2 - 1
        found = {name: network(images) for name, network in networks.items()}
        times = seconds_in_turns(networks, images, rounds)
        reference = next(iter(networks))
        for name, taken in times.items():
            difference = (found[name] - found[reference]).abs().max().item()
            assert difference <= TOLERANCE, f"{name} differs by {difference}"
            rate, ratio = batch / statistics.median(taken), median_ratio(times[reference], taken)
            print(f"| {name} | {batch} | {rate:.1f} | {ratio:.2f} | {difference:.0e} |")


if __name__ == "__main__":
    main()
