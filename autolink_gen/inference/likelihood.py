"""How likely a keypoint is near its place, from the spread of its heatmap."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

NEAR = 0.05  # of the image's width: how near a keypoint is to its place that counts as found
_NOTHING = (2 / 3) ** 0.5  # the width of a heatmap that says nothing


@dataclass(frozen=True)
class LikelihoodMap:
    """A falling line from the width of a heatmap to the likelihood of its keypoint, in [0, 1].

    ``widths`` rise, in units of [-1, 1], and ``likelihoods`` belong to them; between two the line is straight, and
    outside it stays as it is.
    """

    widths: tuple[float, ...]
    likelihoods: tuple[float, ...]

    def __call__(self, widths: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """The likelihood of each keypoint; 0 where the width is not finite."""
        values: ndarray = np.interp(np.nan_to_num(widths, nan=np.inf, posinf=1e9), self.widths, self.likelihoods)
        return np.where(np.isfinite(widths), values, 0.0)


UNCALIBRATED = LikelihoodMap((0.0, _NOTHING), (1.0, 0.0))
"""Falls evenly from a heatmap of one point to one that says nothing: an order of keypoints, and no probability."""
