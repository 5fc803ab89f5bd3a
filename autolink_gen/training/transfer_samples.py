"""Weights, frame grids and held-out error written during transfer training."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from autolink_gen.checkpoints import WEIGHTS_NAME
from autolink_gen.common.files import write_image
from autolink_gen.common.progress import progress_bar
from autolink_gen.config import TransferRunConfig
from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.inference.transfer import Transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.training.batches import to_float
from autolink_gen.training.curve import Curve
from autolink_gen.training.engine import Run
from autolink_gen.viz.graphs import draw_graphs, even_grid, to_uint8

CURVE_NAME = "l1"
_BATCH = 25
_NUM_POSES = 32


class Pairs(NamedTuple):
    """True frames, and source frames that give the appearance, in [0, 1]."""

    target: Float[Tensor, "B 3 S S"]
    source: Float[Tensor, "B 3 S S"]


class TransferSamples:
    """Writes the weights to use and, when it is time, a grid of the same frames through the whole run."""

    num_pairs = 8

    def __init__(
        self, pairs: RandomFrames, held_out: RandomFrames, transfer: Transfer, config: TransferRunConfig
    ) -> None:
        self.pairs, self.held_out, self.transfer, self.config = pairs, held_out, transfer, config

    def refresh(self, run: Run) -> None:
        """Write ``model.safetensors``, ``grid.png`` and ``samples/step-XXXXXXXX.png``."""
        transfer = self.transfer_of(run)
        if run.grid_is_due:
            grid = self._grid(transfer)
            write_image(run.folder / "samples" / f"step-{run.progress.step:08d}.png", grid, follow_links=False)
            write_image(run.folder / "grid.png", grid, follow_links=False)
        # Last: weights of the step of the save mean that all is done.
        save_transfer(run.folder / WEIGHTS_NAME, transfer, step=run.progress.step)

    def transfer_of(self, run: Run) -> Transfer:
        """The network to use, in eval mode, with the graph."""
        network = run.eval_network
        assert isinstance(network, TransferNetwork)
        return Transfer(self.transfer.graph, network.eval(), self.transfer.labels, self.transfer.poses)

    def _grid(self, transfer: Transfer) -> UInt8[ndarray, "_ _ 3"]:
        """Rows: sources, true frames with their graph, painted frames, other frames' motion, that painted.

        The left half is of clips trained on, the right half of held-out ones.
        """
        halves = []
        for draws in (self.pairs, self.held_out):
            pairs = next(pairs_of(draws, count=self.num_pairs // 2))
            target, source = (frames.to(transfer.labels.device) for frames in pairs)
            appearance, poses = transfer.look_at(source), transfer.graph.detect(target)
            driver, driver_poses = target.roll(1, 0), poses.roll(1, 0)
            weights = transfer.graph.edge_weights.detach()
            halves.append(
                [
                    [*to_uint8(source)],
                    draw_graphs(target, poses, weights, threshold=0.1),
                    [*to_uint8(transfer.paint(poses, appearance))],
                    draw_graphs(driver, driver_poses, weights, threshold=0.1),
                    [*to_uint8(transfer.paint(driver_poses, appearance))],
                ]
            )
        left, right = halves
        return even_grid([row + other_row for row, other_row in zip(left, right, strict=True)])


class ReconstructionCurve:
    """The curve of the mean absolute error of painted frames on held-out clips.

    ``l1.json`` holds it at every save, in shares of the range from black to white, beside that of the source
    frame as it is: a network that does not beat that has learned nothing. ``l1.png`` draws it.
    """

    def __init__(self, held_out: RandomFrames, samples: TransferSamples, config: TransferRunConfig, *, folder: Path):
        self.held_out, self.samples, self.count = held_out, samples, config.progress.pictures
        self._curve = Curve(folder, CURVE_NAME, marks={"copied": "the source frame as it is"})

    def begin(self, run: Run) -> None:
        """Take up the curve of a run that goes on, or measure what copying the source frame gives."""
        if not self._curve.take_up(run.progress.step):
            copied = [(pairs.target - pairs.source).abs().mean((1, 2, 3)) for pairs in self._pairs()]
            self._curve.begin(pairs=self.count, copied=float(torch.cat(copied).mean()))

    def measure(self, run: Run) -> float:
        """Measure, note and draw; infinity where a run is stopping, which should not wait for it."""
        if run.stopped_by:
            return math.inf
        transfer, errors = self.samples.transfer_of(run), []
        for pairs in self._pairs():
            target, source = (frames.to(transfer.labels.device) for frames in pairs)
            painted = transfer.paint(transfer.graph.detect(target), transfer.look_at(source))
            errors.append((painted - target).abs().mean((1, 2, 3)))
        value = float(torch.cat(errors).mean())
        run.metrics[CURVE_NAME] = value
        self._curve.add(run.progress.step, value)
        return value

    def _pairs(self) -> Iterator[Pairs]:
        pairs = pairs_of(self.held_out, count=self.count, batch_size=_BATCH)
        return iter(progress_bar(pairs, math.ceil(min(self.count, len(self.held_out)) / _BATCH), CURVE_NAME))


def poses_of(draws: RandomFrames, graph: AutoLink) -> Float[Tensor, "N K 2"]:
    """The poses of some frames, of as many clips."""
    frames = next(pairs_of(draws, count=_NUM_POSES)).target
    return graph.detect(frames.to(graph.edge_weights.device))


def pairs_of(draws: RandomFrames, *, count: int, batch_size: int | None = None) -> Iterator[Pairs]:
    """Batches of ``count`` pairs, the same each time, as many of every clip as of any other."""
    count = min(count, len(draws))
    size = batch_size or count
    for start in range(0, count, size):
        frames = torch.stack([draws[index] for index in range(start, min(start + size, count))])
        yield Pairs(*(to_float(frames[:, place]) for place in (0, 1)))
