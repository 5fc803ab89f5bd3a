"""Heatmaps to keypoints (AutoLink eq. 1), and which keypoints a graph links."""

import torch
from jaxtyping import Float, Int
from kornia.geometry.subpix import spatial_expectation2d, spatial_softmax2d
from torch import Tensor

from autolink_gen.ops.precision import single


def soft_argmax(heatmaps: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K 2"]:
    """Expected pixel position under the softmax of each heatmap, (x, y) in [-1, 1] (AutoLink eq. 1).

    -1 and 1 are the centres of the outer pixels.

    >>> heatmap = torch.full((1, 1, 5, 5), -100.0)
    >>> heatmap[0, 0, 0, 4] = 100  # the upper right corner
    >>> soft_argmax(heatmap).tolist()
    [[[1.0, -1.0]]]
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
