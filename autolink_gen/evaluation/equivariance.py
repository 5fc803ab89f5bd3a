"""Whether keypoints move with the image: an error that needs no labels."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from kornia.augmentation import RandomAffine
from kornia.geometry import transform_points
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.devices import double_on_cpu
from autolink_gen.common.extras import needs
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.evaluation.fid import spread_batches
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.pixels import from_pixels, to_pixels

MAX_IMAGES = 200
SHIFT = 1 / 8  # of the image's size, at most
DEGREES = 15.0


@dataclass(frozen=True)
class Equivariance:
    """The distance of keypoints in moved images from the moved keypoints, in % of the width.

    Images are shifted by up to an eighth of their size, turned by up to 15 degrees, and mirrored; a mirrored
    image's keypoints may have changed names, the same ones in all images, as those of left and right hands do.
    ``unrelated_percent`` is the distance from another image's keypoints, for comparison.
    """

    shifted_percent: float
    turned_percent: float
    mirrored_percent: float
    unrelated_percent: float
    num_pictures: int


def equivariance(
    graph: AutoLink,
    dataset: Dataset[Tensor],
    *,
    max_images: int = MAX_IMAGES,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Equivariance:
    """Measure equivariance on at most ``max_images`` of a data set, evenly spread.

    The data set yields uint8 images (3, S, S). Raises ValueError if it has fewer than two.
    """
    with needs("eval", "comparing with mirrored images"):
        from scipy.optimize import linear_sum_assignment
    size = len(dataset)  # type: ignore[arg-type]
    if size < 2:
        raise ValueError(f"there are {size} images, and keypoints are compared between two; give more")
    count = min(size, max_images)
    batches = spread_batches(dataset, count=count, batch_size=batch_size)
    parts: list[list[Tensor]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for batch in progress(batches, -(-count // batch_size), "equivariance"):
            images = batch.to(graph.edge_weights.device)
            keypoints = graph.detect(images)
            check_found(keypoints, name="the model")
            shifted = _distances(
                graph, images, keypoints, RandomAffine(0.0, (SHIFT, SHIFT), padding_mode="border", p=1.0)
            )
            turned = _distances(graph, images, keypoints, RandomAffine(DEGREES, padding_mode="border", p=1.0))
            mirrored = graph.detect(images.flip(-1))
            parts.append([double_on_cpu(tensor) for tensor in (keypoints, shifted, turned, mirrored)])
    keypoints, shifted, turned, mirrored = (torch.cat(tensor) for tensor in zip(*parts, strict=True))
    back = mirrored * torch.tensor([-1, 1])
    unrelated = (keypoints - keypoints.roll(1, 0)).norm(dim=-1)
    # Which keypoint of mirrored images is which: one for each.
    names = linear_sum_assignment(_mean_distances(keypoints.numpy(), back.numpy()))[1]
    matched = back[:, torch.from_numpy(names)]
    return Equivariance(
        shifted_percent=_percent(shifted),
        turned_percent=_percent(turned),
        mirrored_percent=_percent((keypoints - matched).norm(dim=-1)),
        unrelated_percent=_percent(unrelated),
        num_pictures=count,
    )


def _distances(
    graph: AutoLink, images: Float[Tensor, "B 3 S S"], keypoints: Float[Tensor, "B K 2"], move: RandomAffine
) -> Float[Tensor, "B K"]:
    """The distance of keypoints in moved images from the moved keypoints, in [-1, 1]."""
    moved = move(images)
    matrix = move.transform_matrix
    assert matrix is not None
    size = images.shape[-1]
    expected = from_pixels(transform_points(matrix.to(keypoints), to_pixels(keypoints, size=size)), size=size)
    return (graph.detect(moved) - expected).norm(dim=-1)


def _percent(distances: Float[Tensor, "N K"]) -> float:
    """The mean of distances in [-1, 1], in percent of the width, which is 2."""
    return float(distances.mean()) / 2 * 100


def _mean_distances(keypoints: Float[ndarray, "N K 2"], mirrored: Float[ndarray, "N K 2"]) -> Float[ndarray, "K K"]:
    """The mean distance of each keypoint from each keypoint of the mirrored images."""
    distances: ndarray = np.linalg.norm(keypoints[:, :, None] - mirrored[:, None], axis=-1).mean(axis=0)
    return distances
