"""Keypoints of many pictures, in batches."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor

_Result = TypeVar("_Result")


@runtime_checkable
class GraphModel(Protocol):
    """What evaluation asks of a model; an `AutoLink` has it."""

    @property
    def edge_weights(self) -> Tensor:
        """Strength of each edge, (K, K), symmetric, zero diagonal."""

    def detect(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] to keypoints (B, K, 2), (x, y) in [-1, 1]."""


@runtime_checkable
class SureGraphModel(GraphModel, Protocol):
    """A model that also says how sure its keypoints are; an `AutoLink` does."""

    def detect_with_widths(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What `detect` finds, and how widely each heatmap spreads, (B, K)."""


class Found(NamedTuple):
    """What is found on N pictures: keypoints (x, y) in [-1, 1]; their heatmaps' widths; mean colours in [0, 1]."""

    keypoints: Float[ndarray, "N K 2"]
    widths: Float[ndarray, "N K"]
    colours: Float[ndarray, "N 3"]


def detect_keypoints(
    graph: GraphModel, pictures: Iterable[ndarray], *, batch_size: int = 32
) -> Float[ndarray, "N K 2"]:
    """Keypoints (x, y) in [-1, 1] of each picture, uint8 (H, W, 3); float64.

    Neighbours of one size go through the model together, at most `batch_size` at once; pictures are taken one
    batch at a time. Raises ValueError where there is no picture, or one of another type.
    """
    return np.concatenate([_numpy(part) for part in _each_batch(graph.detect, graph, pictures, batch_size)])


def detect_and_see(graph: SureGraphModel, pictures: Iterable[ndarray], *, batch_size: int = 32) -> Found:
    """The keypoints of :func:`detect_keypoints`, how sure they are, and the mean colour of each picture."""
    colours: list[ndarray] = []
    found = _each_batch(graph.detect_with_widths, graph, _seen(pictures, colours), batch_size)
    keypoints, widths = (np.concatenate([_numpy(part) for part in parts]) for parts in zip(*found, strict=True))
    return Found(keypoints, widths, np.stack(colours))


def mean_colour(picture: Shaped[ndarray, "H W 3"]) -> Float[ndarray, "3"]:
    """The mean of a uint8 picture over its pixels, R, G and B in [0, 1]."""
    colour: ndarray = picture.mean(axis=(0, 1), dtype=np.float64) / 255
    return colour


def _each_batch(
    detect: Callable[[Tensor], _Result], graph: GraphModel, pictures: Iterable[ndarray], batch_size: int
) -> list[_Result]:
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: give 1 or more")
    device = graph.edge_weights.device
    found = [detect(batch.to(device)) for batch in _batches(pictures, batch_size)]
    if not found:
        raise ValueError("there are no pictures to detect keypoints on; give at least one")
    return found


def _numpy(values: Tensor) -> ndarray:
    return values.double().cpu().numpy()


def _seen(pictures: Iterable[ndarray], colours: list[ndarray]) -> Iterator[ndarray]:
    for picture in pictures:
        colours.append(mean_colour(picture))
        yield picture


def _batches(pictures: Iterable[ndarray], batch_size: int) -> Iterator[Tensor]:
    for _, alike in groupby(pictures, key=lambda picture: picture.shape):
        while batch := list(islice(alike, batch_size)):
            if wrong := next((picture.dtype for picture in batch if picture.dtype != np.uint8), None):
                raise ValueError(f"pictures must be uint8 arrays (H, W, 3), got {wrong}; multiply [0, 1] by 255")
            yield torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255
