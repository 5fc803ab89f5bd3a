"""How likely a keypoint is near its place, from the width of its heatmap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

NEAR = 0.05  # of the image's width: a keypoint so near to its place is found
_NOTHING = (2 / 3) ** 0.5  # the width of a heatmap that says nothing, as a share of the span of its positions
_MOST_BINS, _LEAST_POINTS = 10, 40  # of the fit: bins, and points in each
_DIGITS = 4


@dataclass(frozen=True)
class LikelihoodMap:
    """A falling line from the width of a heatmap to the likelihood of its keypoint, in [0, 1].

    ``widths`` rise, in units of [-1, 1], and ``likelihoods`` belong to them. Between two the line is straight, and
    outside it stays as it is. Raises ValueError for others.
    """

    widths: tuple[float, ...]
    likelihoods: tuple[float, ...]

    def __post_init__(self) -> None:
        widths, likelihoods = np.array(self.widths), np.array(self.likelihoods)
        if widths.ndim != 1 or widths.shape != likelihoods.shape or not widths.size:
            raise ValueError(f"a likelihood needs as many widths as values, got {len(widths)} and {len(likelihoods)}")
        is_line = (np.diff(widths) > 0).all() and (np.diff(likelihoods) <= 0).all() and np.isfinite(widths).all()
        if not (is_line and (likelihoods >= 0).all() and (likelihoods <= 1).all()):
            raise ValueError(f"likelihoods must fall in [0, 1] over rising widths, got {self.likelihoods}")

    def __call__(self, widths: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """The likelihood of each keypoint; 0 where the width is not finite."""
        is_known = np.isfinite(widths)
        values: ndarray = np.interp(np.where(is_known, widths, 0.0), self.widths, self.likelihoods)
        return np.where(is_known, values, 0.0)


UNCALIBRATED = LikelihoodMap((0.0, _NOTHING), (1.0, 0.0))
"""Falls evenly from a heatmap of one point to one that says nothing: an order of keypoints, and no probability."""


def fit_likelihood(
    widths: Float[ndarray, " N"], distances: Float[ndarray, " N"], *, span: float = 1.0
) -> LikelihoodMap | None:
    """The share of keypoints within 5 % of the image's width of their place, by the width of their heatmap.

    ``distances`` from their places are in units of [-1, 1], as ``widths`` are; ``span`` is the share of the image that
    heatmaps cover. Keypoints are divided into at most ten bins of rising width, whose shares are made to fall (pool
    adjacent violators); a heatmap that says nothing has 0. None where there are fewer than 40 finite ones.
    """
    is_finite = np.isfinite(widths) & np.isfinite(distances)
    widths, is_near = widths[is_finite], distances[is_finite] <= 2 * NEAR
    if len(widths) < _LEAST_POINTS:
        return None
    order = np.argsort(widths, kind="stable")
    bins = np.array_split(order, min(_MOST_BINS, len(order) // _LEAST_POINTS))
    # One more of either kind: no share of some hundred points says that all others are near.
    shares = _falling([(is_near[rows].sum() + 1) / (len(rows) + 2) for rows in bins], [len(rows) for rows in bins])
    line = {round(float(np.median(widths[rows])), _DIGITS): share for rows, share in zip(bins, shares, strict=True)}
    nothing = _NOTHING * span
    known = {width: round(float(share), _DIGITS) for width, share in line.items() if width < nothing}
    return LikelihoodMap((*known, nothing), (*known.values(), 0.0))


def _falling(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    """The nearest values that never rise: neighbours that do are replaced by their mean."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, number of values
    for value, weight in zip(values, weights, strict=True):
        pools.append((float(value), weight, 1))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            (mean, heavy, count), (last, light, more) = pools[-2:]
            pools[-2:] = [((mean * heavy + last * light) / (heavy + light), heavy + light, count + more)]
    return [mean for mean, _, count in pools for _ in range(count)]
