"""Figures as the paper has them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.devices import chosen_device, float64_array
from autolink_gen.common.files import check_free, write_image
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.evaluation.settings import EvaluationSettings
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.edges import edge_map
from autolink_gen.ops.keypoints import unlinked_keypoints
from autolink_gen.runs import RunFolder
from autolink_gen.viz.graphs import blend_edges, draw_graph, image_grid

_ENDINGS = (".png", ".jpg", ".jpeg")
_MAX_CELLS = 2000
_BATCH = 16


@dataclass(frozen=True)
class GridReport:
    """A drawn figure: a run's graph on ``num_images`` images of the data."""

    run: RunFolder
    data: str
    num_images: int
    file: Path

    def __str__(self) -> str:
        return f"model: {self.run}\nwrote {self.file}: the graph on {self.num_images} images of {self.data}"


@dataclass(frozen=True)
class GridLook:
    """How a graph is drawn on images of ``size`` pixels: edges of squared thickness ``sigma2``.

    Weights are divided by the largest, and ``offset`` is added to each; ``points``: keypoints are drawn too.
    """

    size: int = 128
    sigma2: float = 5e-4
    offset: float = 0.0
    points: bool = True


_USUAL_LOOK = GridLook()


def draw_grid(
    run: str | os.PathLike[str] | None = None,
    *,
    data: str | None = None,
    data_root: Path | None = None,
    rows: int = 7,
    cols: int = 15,
    look: GridLook = _USUAL_LOOK,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = progress_bar,
) -> GridReport:
    """Draw a learned graph on random images, chosen by ``seed`` (AutoLink, Figures 9 to 21).

    ``run`` is a graph's; None: the newest. ``data``: held-out images of those that it was trained on unless given.
    ``out``: figure.png in the run's folder unless given. Raises ValueError for a file that is there already without
    ``overwrite``, for too many images, and where nothing says which data they are.
    """
    if rows * cols > _MAX_CELLS:
        raise ValueError(f"{rows} rows of {cols} are more than {_MAX_CELLS} images; give fewer")
    if out is not None and out.suffix.lower() not in _ENDINGS:
        raise ValueError(f"--out: {out} must end in {' or '.join(_ENDINGS[:2])}")
    run_folder = RunFolder.find(run, kind="graph")
    file = out or run_folder.output("figure.png")
    check_free(file, overwrite=overwrite)
    source = EvaluationSettings(data=data, data_root=data_root).on_data_of(run_folder).source
    graph = load_graph_model(run_folder, device=chosen_device(device))
    images = source.images("test", size=max(look.size, graph.config.input_size), fit=graph.config.fit)
    batches = _random_batches(len(images), rows * cols, seed=seed)  # type: ignore[arg-type]
    tiles: list[ndarray] = []
    for indices in progress(batches, len(batches), "figure"):
        batch = torch.stack([images[index] for index in indices]).float() / 255
        tiles += _overlays(graph, batch, look)
    write_image(file, image_grid([tiles[i : i + cols] for i in range(0, len(tiles), cols)], padding=2))
    return GridReport(run_folder, source.text, len(tiles), file)


def _random_batches(num_images: int, count: int, *, seed: int) -> list[list[int]]:
    """Batches of indices of images, each drawn at most once."""
    indices = np.random.default_rng(seed).permutation(num_images)[:count].tolist()
    return [indices[i : i + _BATCH] for i in range(0, len(indices), _BATCH)]


def _overlays(graph: AutoLink, images: Float[Tensor, "B 3 S S"], look: GridLook) -> list[UInt8[ndarray, "s s 3"]]:
    """Images in [0, 1] with the graph laid over them."""
    images = images.to(graph.edge_weights)
    keypoints = graph.detect(images)
    weights = graph.edge_weights.detach()
    scaled = weights / weights.max().clamp_min(1e-12) + look.offset
    edge_maps = edge_map(keypoints, scaled, sigma2=look.sigma2, size=look.size)
    small = F.interpolate(images, (look.size, look.size), mode="bilinear", antialias=True)
    tiles = blend_edges(small, edge_maps)
    if not look.points:
        return list(tiles)
    places = float64_array(keypoints)
    places[:, unlinked_keypoints(graph.edge_weights)] = float("nan")
    return [
        draw_graph(tile, points, min_side=look.size, dot_px=2.0) for tile, points in zip(tiles, places, strict=True)
    ]
