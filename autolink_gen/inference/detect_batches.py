"""Keypoints of many images, in batches."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy import ndarray
from torch import Tensor

from autolink_gen.common.ahead import one_behind, read_ahead
from autolink_gen.common.devices import exact_convolutions, float64_array, to_cpu_later, to_device
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.ranges import unit_images


def detect_batches(graph: AutoLink, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """The keypoints (B, K, 2), (x, y) in [-1, 1], of each batch of images.

    Images are (B, 3, H, W) in [0, 1]. One batch at a time is processed, on the graph's device, which is not waited for
    unless the images lie there.
    """
    device = graph.edge_weights.device
    for images in batches:
        checked = to_device(unit_images(images), device)
        with exact_convolutions(device):
            keypoints = graph.detect_unchecked(checked)
        yield keypoints


def on_cpu(tensors: Iterable[Tensor], *, device: torch.device) -> Iterator[Tensor]:
    """The tensors on the CPU, such as `detect_batches` yields; the device works on the next one meanwhile."""
    return (fetch() for fetch in one_behind(map(to_cpu_later, tensors), beside=device))


class KeypointsAndColours(NamedTuple):
    """Keypoints (x, y) in [-1, 1] of N images, their heatmaps' widths, and mean colours in [0, 1]."""

    keypoints: Float[ndarray, "N K 2"]
    widths: Float[ndarray, "N K"]
    colours: Float[ndarray, "N 3"]


def detect_with_colours(graph: AutoLink, images: Iterable[ndarray], *, batch_size: int = 32) -> KeypointsAndColours:
    """The keypoints and mean colours of uint8 images (H, W, 3), in float64.

    Neighbours of one size are processed together, at most `batch_size` at once; images are read one batch at a time.
    Raises ValueError if there is no image, or one of another type.
    """
    colours: list[ndarray] = []
    batches = _batches(_collect_colours(images, colours), batch_size)
    device = graph.edge_weights.device
    ahead = read_ahead(batches, beside=device)
    detections = [graph.detect_with_widths(to_device(batch, device)) for batch in ahead]
    if not detections:
        raise ValueError("there are no images to detect keypoints on; give at least one")
    keypoints, widths = (np.concatenate([*map(float64_array, tensors)]) for tensors in zip(*detections, strict=True))
    return KeypointsAndColours(keypoints, widths, np.stack(colours))


def mean_colour(image: Shaped[ndarray, "H W 3"]) -> Float[ndarray, "3"]:
    """The mean of a uint8 image over its pixels, R, G and B in [0, 1]."""
    colour: ndarray = image.mean(axis=(0, 1), dtype=np.float64) / 255
    return colour


def _collect_colours(images: Iterable[ndarray], colours: list[ndarray]) -> Iterator[ndarray]:
    for image in images:
        colours.append(mean_colour(image))
        yield image


def _batches(images: Iterable[ndarray], batch_size: int) -> Iterator[UInt8[Tensor, "B 3 H W"]]:
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: give 1 or more")
    for _, alike in groupby(images, key=lambda image: image.shape):
        while batch := list(islice(alike, batch_size)):
            if dtype := next((image.dtype for image in batch if image.dtype != np.uint8), None):
                raise ValueError(f"images must be uint8 arrays (H, W, 3), got {dtype}; multiply [0, 1] by 255")
            yield torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
