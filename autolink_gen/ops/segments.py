"""The edges of a graph as segments, and the pixels that they are drawn on."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def pixel_grid(size: int, *, like: Tensor) -> Float[Tensor, "size size 2"]:
    """(x, y) of every pixel centre on ``linspace(-1, 1, size)``, with the dtype and device of ``like``."""
    line = pixel_line(size, like=like)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def pixel_line(size: int, *, like: Tensor) -> Float[Tensor, "size"]:
    """One coordinate of the pixel centres of a row or a column, as in :func:`pixel_grid`."""
    return torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)


def edge_list(num_keypoints: int, *, device: torch.device | None = None) -> Int[Tensor, "2 E"]:
    """Indices (i, j), i < j, of the E = K (K - 1) / 2 edges, row by row."""
    return torch.triu_indices(num_keypoints, num_keypoints, offset=1, device=device)


def squared_segment_distance(
    points: Float[Tensor, "*#shape 2"], start: Float[Tensor, "*#shape 2"], end: Float[Tensor, "*#shape 2"]
) -> Float[Tensor, "*shape"]:
    """Squared distance from points to the segments start-end (AutoLink eq. 3); the shapes broadcast.

    Differs: eq. 3 prints ``k_i + t k_j`` for the foot point and leaves out the case t > 1; both are mended.
    A segment of zero length is the point ``start``.
    """
    along = end - start
    length2 = along.square().sum(-1)
    safe = torch.where(length2 > 0, length2, torch.ones_like(length2))
    t = (((points - start) * along).sum(-1) / safe).clamp(0, 1)
    return (points - start - t.unsqueeze(-1) * along).square().sum(-1)
