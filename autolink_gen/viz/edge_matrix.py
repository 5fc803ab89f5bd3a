"""The edge weights as a heat map over pairs of keypoints; a uint8 array out, no file."""

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from autolink_gen.viz.titles import with_titles

Weights = Float[ndarray, "K K"] | Float[Tensor, "K K"]
# Anchors of matplotlib's magma, from 0 to 1 in equal steps.
_MAGMA = np.array(
    [(0, 0, 4), (29, 17, 71), (81, 18, 124), (130, 37, 129), (182, 54, 121), (230, 80, 98), (251, 135, 97),
     (254, 194, 135), (252, 253, 191)], np.float64
)  # fmt: skip
_SIDE_PX, _FONT_PX = 480, 14
_LEFT_PX, _TOP_PX, _BELOW_PX, _RIGHT_PX, _BAR_PX = 44, 40, 44, 110, 16


def edge_matrix_figure(edge_weights: Weights, *, font_px: int = _FONT_PX) -> UInt8[ndarray, "_ _ 3"]:
    """Draw symmetric edge weights, divided by the largest, as a heat map of about 480 pixels."""
    values = edge_weights.detach().cpu().numpy() if isinstance(edge_weights, Tensor) else edge_weights
    weights = np.asarray(values, dtype=np.float64)
    count, largest = len(weights), float(weights.max(initial=0.0))
    cell = max(1, round(_SIDE_PX / count))
    side = cell * count
    canvas = np.full((_TOP_PX + side + _BELOW_PX, _LEFT_PX + side + _RIGHT_PX, 3), 255, np.uint8)
    cells = _magma(weights / largest if largest > 0 else weights)
    canvas[_TOP_PX : _TOP_PX + side, _LEFT_PX : _LEFT_PX + side] = cells.repeat(cell, axis=0).repeat(cell, axis=1)
    bar_x = _LEFT_PX + side + 24
    canvas[_TOP_PX : _TOP_PX + side, bar_x : bar_x + _BAR_PX] = _magma(np.linspace(1, 0, side))[:, None]
    titles = [(_LEFT_PX + side / 2, _TOP_PX / 2, f"edge weights, as shares of the largest, {largest:.3g}")]
    for keypoint in range(0, count, 1 + count // 20):
        along = (keypoint + 0.5) * cell
        titles.append((_LEFT_PX / 2, _TOP_PX + along, str(keypoint)))
        titles.append((_LEFT_PX + along, _TOP_PX + side + _BELOW_PX / 4, str(keypoint)))
    titles.append((_LEFT_PX + side / 2, _TOP_PX + side + 0.75 * _BELOW_PX, "keypoint"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        titles.append((bar_x + _BAR_PX + 10 + font_px, _TOP_PX + (1 - share) * (side - 1), f"{share:g}"))
    return with_titles(canvas, titles, size_px=font_px)


def _magma(shares: Float[ndarray, "*shape"]) -> UInt8[ndarray, "*shape 3"]:
    """The colours of numbers in [0, 1]."""
    places = np.linspace(0, 1, len(_MAGMA))
    return np.stack([np.interp(shares, places, _MAGMA[:, i]) for i in range(3)], axis=-1).round().astype(np.uint8)
