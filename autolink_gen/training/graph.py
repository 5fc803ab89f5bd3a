"""Training loop 1: keypoints and their graph from unlabelled images (AutoLink)."""

import logging
import math
from contextlib import closing

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import WEIGHTS_NAME, save_model
from autolink_gen.common.files import write_image
from autolink_gen.common.spread import evenly
from autolink_gen.config import GraphRunConfig, ThicknessConfig
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.ops.resizing import resize
from autolink_gen.training.batches import Stream, flip_some, open_images, step_generator, to_float
from autolink_gen.training.calibration import MAX_IMAGES, calibrate
from autolink_gen.training.compiling import compiled
from autolink_gen.training.doubts import doubts
from autolink_gen.training.engine import Run
from autolink_gen.training.folders import METRICS_NAME
from autolink_gen.training.graph_loss import GraphLoss, parts_of
from autolink_gen.training.launch import Launch, start_fabric
from autolink_gen.training.metrics_file import logged
from autolink_gen.training.opening import open_run
from autolink_gen.training.optimisers import make_optimiser, set_learning_rate
from autolink_gen.training.run_data import source_of
from autolink_gen.viz.graphs import draw_graphs, image_grid, training_grid

log = logging.getLogger(__name__)
_HIDDEN = 0.5  # grey: what samples show where the mask hides the image


def train_graph(config: GraphRunConfig, launch: Launch) -> Run:
    """Train, or go on training, the run in ``launch.folder``; returns it with what stopped it, if anything did."""
    fabric = start_fabric(launch, config.training)
    size, fit = config.model.input_size, config.model.fit
    source = source_of(config.data)
    dataset = open_images(source, hold_out=config.data.hold_out, size=size, fit=fit, seed=config.training.seed)
    with open_run(fabric, launch, config=config, source=source) as saved:
        model = AutoLink(config.model).to(memory_format=torch.channels_last)
        own_rates = [
            ([model.raw_edge_weights, model.alpha], config.optimiser.edge_weight_lr),
            (list(model.detector.head.parameters()), config.optimiser.heatmap_lr),
        ]
        optimiser = make_optimiser(model, config.optimiser, own_rates=own_rates)
        loss_of = GraphLoss(config, model, device=fabric.device)
        samples = Samples(dataset, config)
        run = Run(
            fabric,
            launch,
            config.training,
            model=model,
            optimiser=optimiser,
            on_save=samples.refresh,
            saved=saved,
        )
        model.sigma2 = thickness_at(max(0, run.progress.step - 1), config)  # as it was when the save was made
        parts = {"the detector": model.detector, "the decoder": model.decoder, **parts_of(loss_of.perceptual)}
        with closing(run), compiled(run, parts):
            _loop(run, config, model, dataset, loss_of)
        if run.fabric.is_global_zero and run.progress.step > run.first_step and run.grid_is_due:
            losses = logged(run.folder / METRICS_NAME, "loss")
            for line in doubts(losses, samples.keypoints(run), lr=config.optimiser.lr):
                log.warning("%s", line)
    return run


def _loop(run: Run, config: GraphRunConfig, model: AutoLink, dataset: Dataset[Tensor], loss_of: GraphLoss) -> None:
    batches = run.batches(dataset, workers=config.data.workers)
    for step in run.steps():
        generator = step_generator(config.training.seed, step, rank=run.fabric.global_rank)
        images = to_float(next(batches), device=run.fabric.device)
        images = flip_some(images, probability=config.data.flip, generator=generator)
        views = loss_of.views(images, generator=generator)
        model.sigma2 = thickness_at(step, config)
        rate = set_learning_rate(run.optimiser, config.optimiser, step=step, steps=config.training.steps)
        with run.fabric.autocast():
            loss = loss_of(run.model, views)
        run.update(
            loss,
            clip_norm=config.optimiser.clip_norm,
            alpha=model.alpha,
            largest_edge_weight=model.edge_weights.max(),
            sigma2=model.sigma2,
            learning_rate=config.optimiser.lr * rate,
        )


def thickness_at(step: int, config: GraphRunConfig) -> float:
    """sigma^2 of the edge map at a step: the model's own, or on its way there from a thicker start."""
    thickness: ThicknessConfig = config.thickness
    if thickness.start is None:
        return config.model.sigma2
    share = step / config.training.steps
    span = thickness.until - thickness.hold
    way = min(1.0, max(0.0, (share - thickness.hold) / span)) if span else float(share >= thickness.until)
    return math.exp((1 - way) * math.log(thickness.start) + way * math.log(config.model.sigma2))


class Samples:
    """Writes weights, sample grids and the graph on some images during training."""

    num_samples = 8
    num_graphs = 40

    def __init__(self, dataset: Dataset[Tensor], config: GraphRunConfig) -> None:
        self.dataset, self.config = dataset, config
        self._images: Tensor | None = None

    def refresh(self, run: Run) -> None:
        """Write ``model.safetensors``, ``graph.png`` and, when it is time, ``samples/step-XXXXXXXX.png``."""
        model = run.eval_network
        assert isinstance(model, AutoLink)
        model.sigma2 = run.network.sigma2  # type: ignore[assignment]
        if run.grid_is_due:
            self._write_images(run, model)
            if run.stopped_by or run.progress.step >= run.length.steps:
                seen = run.progress.step * self.config.training.batch_size
                model.likelihood = calibrate(model, self.dataset, max_images=min(MAX_IMAGES, seen))
        # Last: weights of the step of the save mean that all is done.
        save_model(run.folder / WEIGHTS_NAME, model, step=run.progress.step)

    @torch.no_grad()
    def keypoints(self, run: Run) -> Float[Tensor, "B K 2"]:
        """The keypoints of some images."""
        model = run.eval_network
        assert isinstance(model, AutoLink)
        was_training = model.training
        keypoints = model.eval().locate(self._first_images()[: self.num_samples].to(model.alpha.device))
        model.train(was_training)
        return keypoints

    def _write_images(self, run: Run, model: AutoLink) -> None:
        was_training = model.training
        model.eval()
        with torch.no_grad():
            images = self._first_images().to(model.alpha.device)
            write_image(run.folder / "graph.png", graph_image(model, images), follow_links=False)
            few = images[: self.num_samples]
            mask = model.random_mask(
                len(few), generator=step_generator(self.config.training.seed, 0, stream=Stream.SAMPLE_MASKS)
            )
            result = model(to_signed(few), mask)
            few = resize(few, self.config.model.image_size)
            overlays = draw_graphs(few, result.keypoints, _drawn_edges(model))
            masked = few * mask + _HIDDEN * (1 - mask)
            grid = training_grid(few, masked, from_signed(result.images), result.edge_map, overlays)
            write_image(run.folder / "samples" / f"step-{run.progress.step:08d}.png", grid, follow_links=False)
        model.train(was_training)

    def _first_images(self) -> Float[Tensor, "B 3 S S"]:
        if self._images is None:
            self._images = to_float(torch.stack([self.dataset[i] for i in self._spread()]))
        return self._images

    def _spread(self) -> list[int]:
        return evenly(len(self.dataset), self.num_graphs)  # type: ignore[arg-type]


def graph_image(model: AutoLink, images: Float[Tensor, "B 3 S S"], *, columns: int = 8) -> np.ndarray:
    """The learned graph on each of some images in [0, 1], as one uint8 image."""
    keypoints = model.locate(images)
    drawings = draw_graphs(images, keypoints, _drawn_edges(model))
    return image_grid([drawings[i : i + columns] for i in range(0, len(drawings), columns)])


def _drawn_edges(model: AutoLink) -> Float[Tensor, "K K"] | None:
    """The edges to draw for users; none of a model that is shown keypoints alone, whose edges never learn."""
    return None if model.config.drawing == "points" else model.edge_weights
