"""The differentiable edge map (AutoLink eq. 2-4): its definition, and a fast twin for training.

The score of edge (i, j) at pixel p is ``log w_ij - d_ij(p)^2 / sigma^2``; the edge map is the exponential of the
largest score. :func:`edge_map_dense` writes that down for all edges at once and is the oracle. :func:`edge_map`
finds the winning edge of each pixel first, without a gradient. What it keeps for the backward pass is the map and the
winners; gradients go to the winner of each pixel alone, as those of a maximum do.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from autolink_gen.ops.edge_operator import draw_edges
from autolink_gen.ops.precision import single
from autolink_gen.ops.segments import edge_list, pixel_grid, squared_segment_distance


def edge_map_dense(
    keypoints: Float[Tensor, "B K 2"],
    edge_weights: Float[Tensor, "K K"],
    *,
    sigma2: float | Float[Tensor, ""],
    size: int,
) -> Float[Tensor, "B 1 size size"]:
    """The edge map by its definition, all edges at once (AutoLink eq. 2-4): memory O(B E size^2).

    Takes and returns what :func:`edge_map` does. Differs: eq. 2 prints the exponent without its minus sign.
    """
    return edge_channels(keypoints, edge_weights, sigma2=sigma2, size=size).amax(dim=1, keepdim=True)


def edge_channels(
    keypoints: Float[Tensor, "B K 2"],
    edge_weights: Float[Tensor, "K K"],
    *,
    sigma2: float | Float[Tensor, ""] | Float[Tensor, "E"],
    size: int,
) -> Float[Tensor, "B E size size"]:
    """Each edge by itself, weighted, in the order of :func:`edge_list` (AutoLink eq. 2-3): memory O(B E size^2).

    Takes what :func:`edge_map` does; ``sigma2`` may also be one squared thickness an edge.
    """
    _check(keypoints, edge_weights, sigma2, size)
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    grid = pixel_grid(size, like=keypoints)[None, None]
    start, end = keypoints[:, i, None, None], keypoints[:, j, None, None]
    distance2 = squared_segment_distance(grid, start, end)
    thickness = _scalar(sigma2, like=keypoints)
    return edge_weights[i, j][:, None, None] * torch.exp(-distance2 / thickness[..., None, None])


def point_map(
    keypoints: Float[Tensor, "B K 2"], *, sigma2: float | Float[Tensor, ""], size: int
) -> Float[Tensor, "B 1 size size"]:
    """The keypoints without edges, as spots as thick as edges are: ``max_k exp(-|p - k|^2 / sigma^2)``."""
    offsets = pixel_grid(size, like=keypoints)[None, None] - keypoints[:, :, None, None]
    return torch.exp(-offsets.square().sum(-1) / sigma2).amax(dim=1, keepdim=True)


def edge_map(
    keypoints: Float[Tensor, "B K 2"],
    edge_weights: Float[Tensor, "K K"],
    *,
    sigma2: float | Float[Tensor, ""],
    size: int,
) -> Float[Tensor, "B 1 size size"]:
    """The edge map of the graph drawn on the keypoints (AutoLink eq. 2-4), in memory O(B size^2).

    ``keypoints`` are (x, y) in [-1, 1]; of ``edge_weights``, which are positive, only i < j are read;
    ``sigma2`` is the squared thickness in the same normalised units, a number or a scalar tensor that may
    learn; ``size`` is the width and height of the map in pixels. Gradients reach keypoints, weights and
    thickness. Raises ValueError for shapes that do not fit, fewer than two keypoints or a thickness that is
    not positive.

    >>> from_left_to_right = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]])
    >>> edge_weights = torch.tensor([[0.0, 0.5], [0.5, 0.0]])
    >>> edge_map(from_left_to_right, edge_weights, sigma2=0.25, size=5)[0, 0, :, 0].mul(100).round().int().tolist()
    [1, 18, 50, 18, 1]
    """
    _check(keypoints, edge_weights, sigma2, size)
    points = single(keypoints)
    log_weights = edge_weights.to(points.dtype).clamp_min(torch.finfo(points.dtype).tiny).log()
    return draw_edges(points, log_weights, _scalar(sigma2, like=points), size).to(keypoints.dtype)


def _scalar(value: float | Tensor, *, like: Tensor) -> Tensor:
    """The number as a tensor, which no device waits for."""
    return value.to(like) if isinstance(value, Tensor) else like.new_full((), value)


def _check(keypoints: Tensor, edge_weights: Tensor, sigma2: float | Tensor, size: int) -> None:
    num_keypoints = keypoints.shape[1]
    if num_keypoints < 2:
        raise ValueError(f"an edge needs two keypoints: num_keypoints must be at least 2, got {num_keypoints}")
    if edge_weights.shape != (num_keypoints, num_keypoints):
        raise ValueError(
            f"edge_weights must be ({num_keypoints}, {num_keypoints}) to go with the keypoints, "
            f"got {tuple(edge_weights.shape)}"
        )
    if not isinstance(sigma2, Tensor) and not sigma2 > 0:
        raise ValueError(f"sigma2 must be positive, got {sigma2}")
    if size < 2:
        raise ValueError(f"size must be at least 2 pixels, got {size}")
