"""The differentiable edge map (AutoLink eq. 2-4): its definition, and a fast twin for training.

The score of edge (i, j) at pixel p is ``log w_ij - d_ij(p)^2 / sigma^2``; the edge map is the exponential of the
largest score. :func:`edge_map_dense` writes that down for all edges at once and is the oracle. :func:`edge_map`
finds the winning edge of each pixel first, without a gradient, and looks at few edges: it cuts the picture into
tiles and drops from each tile the edges that cannot win in it, since distance changes by at most the distance
moved. What it keeps for the backward pass is the map and the winners; gradients go to the winner of each pixel
alone, as those of a maximum do.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

_TILE = 8  # pixels: the width of a tile of the search
_MAX_BOUNDS = 1 << 19  # scores bounded at a time: the search's memory does not depend on the number of edges


def pixel_grid(size: int, *, like: Tensor) -> Float[Tensor, "size size 2"]:
    """(x, y) of every pixel centre on ``linspace(-1, 1, size)``, with the dtype and device of ``like``."""
    line = torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


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
    _check(keypoints, edge_weights, sigma2, size)
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    grid = pixel_grid(size, like=keypoints)[None, None]
    start, end = keypoints[:, i, None, None], keypoints[:, j, None, None]
    distance2 = squared_segment_distance(grid, start, end)
    weighted = edge_weights[i, j][:, None, None] * torch.exp(-distance2 / sigma2)
    return weighted.amax(dim=1, keepdim=True)


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
    """
    _check(keypoints, edge_weights, sigma2, size)
    thickness = torch.as_tensor(sigma2, dtype=keypoints.dtype, device=keypoints.device)
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    tiny = torch.finfo(keypoints.dtype).tiny
    log_weights = edge_weights[i, j].to(keypoints.dtype).clamp_min(tiny).log()
    result: Tensor = _EdgeMap.apply(keypoints, log_weights, thickness, size)
    return result


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


class _EdgeMap(torch.autograd.Function):
    """The map from the winning edge of each pixel; the backward pass is written by hand to save memory."""

    @staticmethod
    def forward(ctx: Any, keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> Tensor:
        with torch.autocast(keypoints.device.type, enabled=False):
            winner = _winning_edges(keypoints, log_weights, sigma2, size)
        residual, _, _, _ = _foot_points(keypoints, winner, size)
        values = (log_weights[winner] - residual.square().sum(-1) / sigma2).exp_()
        ctx.save_for_backward(keypoints, sigma2, values, winner)
        ctx.size, ctx.num_edges = size, log_weights.numel()
        return values.view(len(keypoints), 1, size, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        keypoints, sigma2, values, winner = ctx.saved_tensors
        score_grad = upstream.reshape(values.shape) * values  # d map / d score = map
        residual, t, i, j = _foot_points(keypoints, winner, ctx.size)
        grad_sigma2 = (score_grad * residual.square().sum(-1)).sum() / sigma2.square()
        # The foot point is the nearest of the segment: that it slides along changes nothing to first order.
        pull = residual * (score_grad * (2 / sigma2)).unsqueeze(-1)
        end_pull = pull * t.unsqueeze(-1)
        grad_keypoints = torch.zeros_like(keypoints)
        grad_keypoints.scatter_add_(1, i.unsqueeze(-1).expand_as(pull), pull - end_pull)
        grad_keypoints.scatter_add_(1, j.unsqueeze(-1).expand_as(pull), end_pull)
        grad_weights = score_grad.new_zeros(ctx.num_edges)
        grad_weights.scatter_add_(0, winner.reshape(-1), score_grad.reshape(-1))
        return grad_keypoints, grad_weights, grad_sigma2, None


def _foot_points(
    keypoints: Tensor, winner: Tensor, size: int
) -> tuple[Float[Tensor, "B P 2"], Float[Tensor, "B P"], Int[Tensor, "B P"], Int[Tensor, "B P"]]:
    """From the foot point on its winning edge to each pixel; the foot's share t of the way; the edge's two ends."""
    i, j = (ends[winner] for ends in edge_list(keypoints.shape[1], device=keypoints.device))
    start = keypoints.gather(1, i.unsqueeze(-1).expand(-1, -1, 2))
    along = keypoints.gather(1, j.unsqueeze(-1).expand(-1, -1, 2)) - start
    offset = pixel_grid(size, like=keypoints).view(1, -1, 2) - start
    length2 = along.square().sum(-1)
    t = (offset * along).sum(-1).div_(length2.masked_fill_(length2 == 0, 1)).clamp_(0, 1)
    return offset.addcmul_(t.unsqueeze(-1), along, value=-1), t, i, j


def _winning_edges(keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> Int[Tensor, "B P"]:
    """The edge with the largest score at each of the P = size^2 pixels."""
    batch = len(keypoints)
    tiles_per_side = -(-size // _TILE)
    step = 2 / (size - 1)
    centre = (_arange(tiles_per_side, like=keypoints) * _TILE + (_TILE - 1) / 2) * step - 1
    centres = torch.cartesian_prod(centre, centre).flip(-1)  # row by row, (x, y)
    inside = (_arange(_TILE, like=keypoints) - (_TILE - 1) / 2) * step
    offsets = torch.cartesian_prod(inside, inside).flip(-1)
    edges = _segment_frames(keypoints, sigma2)
    per_chunk = max(1, _MAX_BOUNDS // (batch * log_weights.numel()))
    found = [_tile_winners(edges, log_weights, chunk, offsets, sigma2) for chunk in centres.split(per_chunk)]
    tiled = torch.cat(found, dim=1).view(batch, tiles_per_side, tiles_per_side, _TILE, _TILE)
    rows = tiled.transpose(2, 3).reshape(batch, tiles_per_side * _TILE, tiles_per_side * _TILE)
    return rows[:, :size, :size].reshape(batch, -1)


def _arange(count: int, *, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _segment_frames(keypoints: Tensor, sigma2: Tensor) -> Float[Tensor, "2 B 4 E"]:
    """Each segment as two linear forms of (x, y, 1), along and across it, in units of sigma; its length is last.

    A form is laid out (x, y, 1, length); the second's length is unused. A segment of zero length takes the
    direction of x: along and across are then the coordinates relative to its point.
    """
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    start, along = keypoints[:, i], keypoints[:, j] - keypoints[:, i]
    length = along.norm(dim=-1)
    unit = along / length.masked_fill(length == 0, 1).unsqueeze(-1)
    x, y = torch.where(length == 0, 1, unit[..., 0]), unit[..., 1]
    forward = [x, y, -(start[..., 0] * x + start[..., 1] * y), length]
    across = [-y, x, start[..., 0] * y - start[..., 1] * x, length]
    return torch.stack([torch.stack(forward, 1), torch.stack(across, 1)]) / sigma2.sqrt()


def _tile_winners(
    edges: Float[Tensor, "2 B 4 E"],
    log_weights: Float[Tensor, "E"],
    centres: Float[Tensor, "T 2"],
    offsets: Float[Tensor, "Q 2"],
    sigma2: Float[Tensor, ""],
) -> Int[Tensor, "B T Q"]:
    """The winning edge of each of the Q pixels of each of the T tiles."""
    batch, num_tiles = edges.shape[1], len(centres)
    homogeneous = torch.cat([centres, centres.new_ones(num_tiles, 1)], dim=1)
    along, across = homogeneous @ edges[:, :, :3]  # (B, T, E) each, at the tiles' centres
    length = edges[0, :, 3].unsqueeze(1)
    distance = torch.hypot(across, along - along.clamp(torch.zeros_like(length), length))
    radius = offsets.norm(dim=-1).max() * 1.001 / sigma2.sqrt()  # the thousandth is for rounding
    at_least = (log_weights - (distance + radius).square()).amax(-1, keepdim=True)
    can_win = log_weights - (distance - radius).clamp_min_(0).square_() >= at_least
    del distance
    counts, order = can_win.sum(-1).flatten().sort(descending=True)
    tile, edge = can_win.flatten(0, 1)[order].nonzero(as_tuple=True)
    picture = torch.div(order[tile], num_tiles, rounding_mode="floor")
    place = order[tile] * log_weights.numel() + edge
    unit = edges[:, picture, :2, edge].transpose(0, 1)  # (2, pairs, 2)
    forms = torch.cat([unit, torch.stack([along.flatten()[place], across.flatten()[place]]).unsqueeze(-1)], -1)
    won = _race(forms, edges[0, picture, 3, edge], log_weights[edge], edge, counts, offsets)
    return torch.empty_like(won).index_copy_(0, order, won).view(batch, num_tiles, -1)


def _race(
    forms: Float[Tensor, "2 pairs 3"],
    lengths: Float[Tensor, "pairs"],
    log_weights: Float[Tensor, "pairs"],
    edges: Int[Tensor, "pairs"],
    counts: Int[Tensor, "tiles"],
    offsets: Float[Tensor, "Q 2"],
) -> Int[Tensor, "tiles Q"]:
    """The winners among each tile's candidates: the tiles' first ones, then their second ones, and so on.

    The pairs (tile, candidate) lie tile by tile, tiles with the most candidates first, so that those that
    still have one are the first rows.
    """
    first = counts.cumsum(0) - counts
    most = int(counts.max())
    still = (counts.unsqueeze(0) > torch.arange(most, device=counts.device).unsqueeze(1)).sum(1).tolist()
    best = offsets.new_full((len(counts), len(offsets)), -torch.inf)
    winner = torch.zeros(best.shape, dtype=torch.long, device=best.device)
    pixels = torch.cat([offsets, offsets.new_ones(len(offsets), 1)], dim=1).T
    for turn, num_tiles in enumerate(still):
        pair = first[:num_tiles] + turn
        along, across = forms[:, pair] @ pixels
        length = lengths[pair].unsqueeze(1)
        beyond = along - along.clamp(torch.zeros_like(length), length)
        score = log_weights[pair].unsqueeze(1).addcmul(across, across, value=-1).addcmul_(beyond, beyond, value=-1)
        better = score > best[:num_tiles]
        torch.maximum(best[:num_tiles], score, out=best[:num_tiles])
        winner[:num_tiles] = torch.where(better, edges[pair].unsqueeze(1), winner[:num_tiles])
    return winner
