"""Weights, sample grids and quality curves written during GAN training."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import WEIGHTS_NAME
from autolink_gen.common.extras import MissingExtraError
from autolink_gen.common.files import write_image
from autolink_gen.common.progress import progress_bar
from autolink_gen.config import GanRunConfig
from autolink_gen.evaluation.fid import (
    Extractor,
    check_installed,
    features_of,
    frechet_distance,
    spread_batches,
    vgg16_features,
)
from autolink_gen.inference.generate import Gan, save_gan, styles_on_poses
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.ops.ranges import from_signed
from autolink_gen.training.batches import Stream, step_generator
from autolink_gen.training.curve import Curve
from autolink_gen.training.engine import Run

log = logging.getLogger(__name__)
CURVE_NAME = "fd_vgg16"
_BATCH = 50


class GanSamples:
    """Writes the weights to use and, when it is time, a grid: the same styles and poses through the whole run."""

    num_styles = 6
    num_poses = 8

    def __init__(self, dataset: Dataset[Tensor], graph: AutoLink, config: GanRunConfig) -> None:
        self.dataset, self.graph, self.config = dataset, graph, config
        self._images: Tensor | None = None

    def refresh(self, run: Run) -> None:
        """Write ``model.safetensors``, ``grid.png`` and ``samples/step-XXXXXXXX.png``."""
        generator = run.eval_network
        assert isinstance(generator, Generator)
        images, poses = self._examples()
        gan = Gan(self.graph, generator, poses)
        if run.grid_is_due:
            grid = styles_on_poses(gan, images, self.styles(self.num_styles, stream=Stream.GRID_STYLES))
            write_image(run.folder / "samples" / f"step-{run.progress.step:08d}.png", grid, follow_links=False)
            write_image(run.folder / "grid.png", grid, follow_links=False)
        # Last: weights of the step of the save mean that all is done.
        save_gan(run.folder / WEIGHTS_NAME, gan, step=run.progress.step)

    def styles(self, count: int, *, stream: Stream) -> Float[Tensor, "N D"]:
        """Fixed z, the same at every step."""
        draw = step_generator(self.config.training.seed, 0, stream=stream)
        return torch.randn(count, self.config.model.style_size, generator=draw)

    def paint(self, generator: Generator, count: int) -> Iterator[Float[Tensor, "B 3 S S"]]:
        """Batches in [0, 1] of ``count`` painted images: poses of training images, and as many styles."""
        device, z = self.graph.edge_weights.device, self.styles(count, stream=Stream.MEASURED_STYLES)
        start = 0
        for images in spread_batches(self.dataset, count=count, batch_size=_BATCH):
            keypoints = self.graph.detect(images.to(device))
            maps = self.graph.edge_map(keypoints, self.config.model.image_size)
            with torch.no_grad():
                paint = generator(maps, z[start : start + len(images)].to(device))
                yield from_signed(paint).clamp(0, 1)
            start += len(images)

    def _examples(self) -> tuple[Tensor, Tensor]:
        if self._images is None:
            batches = spread_batches(self.dataset, count=self.num_poses, batch_size=self.num_poses)
            self._images = next(batches).to(self.graph.edge_weights.device)
        return self._images, self.graph.detect(self._images)


class Quality:
    """The Frechet distance of VGG16 features between painted and held-out images, through the run.

    ``fd_vgg16.json`` holds it at every save, beside two marks: the same for real training images (the floor) and
    for the untrained generator (the ceiling); ``fd_vgg16.png`` draws it. Without a held-out part the training
    images are compared with, and there is no floor.
    """

    def __init__(
        self,
        dataset: Dataset[Tensor],
        held_out: Dataset[Tensor] | None,
        samples: GanSamples,
        config: GanRunConfig,
        *,
        folder: Path,
    ) -> None:
        self.dataset, self.samples, self.folder = dataset, samples, folder
        self.has_held_out = held_out is not None
        self.held_out = held_out if held_out is not None else dataset
        sizes = (len(dataset) for dataset in (self.dataset, self.held_out))  # type: ignore[arg-type]
        self.count = min(config.progress.pictures, *sizes)
        self._extract: Extractor | None = None
        self._real: Tensor | None = None
        self._curve = Curve(
            folder, CURVE_NAME, marks={"training_pictures": "training images", "untrained": "untrained"}
        )

    def begin(self, run: Run) -> None:
        """Take up the curve of a run that goes on, or mark the floor and the ceiling of a new one."""
        try:
            check_installed()
        except MissingExtraError as error:
            self._leave_out(error)
            return
        if self._curve.take_up(run.progress.step):
            return
        try:
            self._extract = vgg16_features()
        except ValueError as error:
            self._leave_out(error)
            return
        floor = None
        if self.has_held_out:
            floor = self._distance(spread_batches(self.dataset, count=self.count), "fd_vgg16 of real images")
        untrained = None if run.progress.step else self._distance(self._paint(run), "fd_vgg16 before training")
        self._curve.begin(
            pictures=self.count,
            against="held-out images" if self.has_held_out else "training images",
            training_pictures=floor,
            untrained=untrained,
        )

    def measure(self, run: Run) -> float:
        """Measure, note and draw; infinity where a run is stopping, which should not wait for it."""
        if run.stopped_by or not self.count:
            return math.inf
        value = self._distance(self._paint(run), "fd_vgg16")
        run.metrics[CURVE_NAME] = value
        self._curve.add(run.progress.step, value)
        return value

    def _leave_out(self, error: ValueError) -> None:
        log.warning("the distance to real images is not measured: %s", error)
        self.count = 0

    def _paint(self, run: Run) -> Iterator[Tensor]:
        generator = run.eval_network
        assert isinstance(generator, Generator)
        return self.samples.paint(generator, self.count)

    def _distance(self, batches: Iterator[Tensor], label: str) -> float:
        self._extract = self._extract or vgg16_features()
        if self._real is None:
            real = spread_batches(self.held_out, count=self.count)
            self._real = features_of(self._bar(real, "features of held-out images"), self._extract)
        return frechet_distance(self._real, features_of(self._bar(batches, label), self._extract))

    def _bar(self, batches: Iterator[Tensor], label: str) -> Iterator[Tensor]:
        cpu = (batch.cpu() for batch in batches)
        return iter(progress_bar(cpu, math.ceil(self.count / _BATCH), label))
