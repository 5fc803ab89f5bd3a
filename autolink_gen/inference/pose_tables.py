"""The points of a video or of images, as pose formats have them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.viz.graphs import edges_by_weight

SCORER = "autolink-gen"  # who found the points, in formats that say so
_LEAST_SHARE = 0.1  # of the largest weight: lighter edges are no part of a skeleton


@dataclass(frozen=True)
class Skeleton:
    """What the points are: the K keypoints of a graph but for the ``dropped``, then the L named landmarks.

    ``calibrated``: whether likelihoods are shares of points that are near, or put points in order alone.
    ``landmark_parts``: how much of each landmark comes from each keypoint; rows sum to 1.
    """

    model_name: str
    edge_weights: Float[ndarray, "K K"]
    dropped: Sequence[int] = ()
    landmark_names: Sequence[str] = ()
    landmark_parts: Float[ndarray, "L K"] | None = None
    calibrated: bool = False

    @cached_property
    def kept(self) -> list[int]:
        """The keypoints that are not dropped."""
        return [k for k in range(len(self.edge_weights)) if k not in set(self.dropped)]

    @cached_property
    def names(self) -> list[str]:
        """A name for each point: ``keypoint_3`` for the graph's keypoint 3, then those of the landmarks."""
        return [*(f"keypoint_{k}" for k in self.kept), *self.landmark_names]

    @cached_property
    def edges(self) -> list[tuple[int, int]]:
        """Pairs of points, as indices into ``names``: edges of at least a tenth of the largest weight."""
        weighted = [(i, j, weight) for i, j, weight in self.weighted_edges if weight > 0]
        least = _LEAST_SHARE * max((weight for *_, weight in weighted), default=0.0)
        return [(self.kept.index(i), self.kept.index(j)) for i, j, weight in weighted if weight >= least]

    @cached_property
    def weighted_edges(self) -> list[tuple[int, int, float]]:
        """All pairs of keypoints that are not dropped with their weight, the heaviest first."""
        kept = set(self.kept)
        return [(i, j, weight) for i, j, weight in edges_by_weight(self.edge_weights) if i in kept and j in kept]


@dataclass(frozen=True)
class PoseRecord:
    """The points of a frame or an image in pixels of the original, (0, 0) the centre of its first pixel.

    ``points_px`` and ``likelihoods`` belong to the names of a skeleton; NaN for a point that is unknown.
    """

    file: Path
    frame: int
    time_s: float | None
    width_px: int
    height_px: int
    points_px: Float[ndarray, "P 2"]
    likelihoods: Float[ndarray, " P"]

    @property
    def score(self) -> float:
        """The mean likelihood."""
        return float(self.likelihoods.mean()) if len(self.likelihoods) else 0.0


@dataclass
class PoseTable:
    """The records of one video, or of image files."""

    skeleton: Skeleton
    is_video: bool
    records: list[PoseRecord] = field(default_factory=list)

    @property
    def points_px(self) -> Float[ndarray, "N P 2"]:
        """All points."""
        return np.stack([record.points_px for record in self.records])

    @property
    def likelihoods(self) -> Float[ndarray, "N P"]:
        """All likelihoods."""
        return np.stack([record.likelihoods for record in self.records])
