"""Images with their keypoints and edge maps, and the purposes of random seeds."""

from enum import IntEnum
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class PosedImages(NamedTuple):
    """Images in [0, 1], their keypoints (x, y) in [-1, 1], and the graph drawn on these, a channel a cluster."""

    images: Float[Tensor, "B 3 S S"]
    keypoints: Float[Tensor, "B K 2"]
    edge_map: Float[Tensor, "B C S S"]

    def halves(self) -> tuple["PosedImages", "PosedImages"]:
        """The first half of the batch and the second."""
        (first, second), (points, more), (edge_maps, other_maps) = (values.chunk(2) for values in self)
        return PosedImages(first, points, edge_maps), PosedImages(second, more, other_maps)


class Purpose(IntEnum):
    """The purpose of a seed, added to the seed of a step, so that no two share random numbers."""

    AUGMENT_REAL = 0
    AUGMENT_FAKE = 1
    AUGMENT_FAKE_FOR_GENERATOR = 2
    AUGMENT_REAL_FOR_GENERATOR = 3
    STRUCTURE = 4
