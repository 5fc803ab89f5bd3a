"""Heatmaps to keypoints (AutoLink eq. 1), keypoints to pixels and back, and which keypoints a graph links."""

import torch
from jaxtyping import Float, Int
from kornia.geometry.subpix import spatial_expectation2d, spatial_softmax2d
from torch import Tensor

from autolink_gen.ops.precision import single


def soft_argmax(heatmaps: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K 2"]:
    """Expected pixel position under the softmax of each heatmap, (x, y) in [-1, 1] (AutoLink eq. 1).

    -1 and 1 are the centres of the outer pixels.
    """
    return spatial_expectation2d(spatial_softmax2d(single(heatmaps)), normalized_coordinates=True)


def linked_keypoints(edge_weights: Float[Tensor, "K K"]) -> Int[Tensor, "L"]:
    """Indices of the keypoints that have an edge, in order; of all keypoints where none has.

    Keypoints that were left out of a graph have no edge: an edge map does not show them.
    """
    has_edge = (edge_weights.detach() > 0).any(dim=0)
    return (has_edge if has_edge.any() else ~has_edge).nonzero().squeeze(1)


def unlinked_keypoints(edge_weights: Float[Tensor, "K K"]) -> Int[Tensor, "U"]:
    """Indices of the keypoints that were left out of a graph, in order: those that `linked_keypoints` leaves."""
    linked = torch.zeros(len(edge_weights), dtype=torch.bool)
    linked[linked_keypoints(edge_weights).cpu()] = True
    return (~linked).nonzero().squeeze(1)


def to_pixels(keypoints: Float[Tensor, "*batch 2"], *, width_px: int, height_px: int) -> Float[Tensor, "*batch 2"]:
    """(x, y) in [-1, 1] to pixels: (0, 0) is the centre of the first pixel, (W - 1, H - 1) of the last."""
    scale = keypoints.new_tensor([width_px - 1, height_px - 1]) / 2
    return (keypoints + 1) * scale


def from_pixels(keypoints_px: Float[Tensor, "*batch 2"], *, width_px: int, height_px: int) -> Float[Tensor, "*batch 2"]:
    """The inverse of :func:`to_pixels`; raises ValueError for a picture less than two pixels wide or high."""
    if min(width_px, height_px) < 2:
        raise ValueError(f"width_px and height_px must be at least 2, got {width_px} x {height_px}")
    scale = torch.tensor([width_px - 1, height_px - 1], dtype=keypoints_px.dtype, device=keypoints_px.device)
    return 2 * keypoints_px / scale - 1
