"""The search for the edge with the largest score at each pixel, in plain PyTorch, without a gradient.

It cuts the image into tiles and drops from each tile the edges that cannot win in it, since distance changes by at most
the distance moved, and those whose exponential is zero all over it.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolink_gen.ops.segments import edge_list

_TILE = 8  # pixels: the width of a tile of the search
_MAX_BOUNDS = 1 << 20  # scores bounded at a time: the search's memory does not depend on the number of edges


def winning_edges(
    keypoints: Float[Tensor, "B K 2"], log_weights: Float[Tensor, "E"], sigma2: Float[Tensor, ""], size: int
) -> Int[Tensor, "B P"]:
    """The edge with the largest score at each of the P = size^2 pixels; any edge where its exponential is zero."""
    batch = len(keypoints)
    tiles_per_side = -(-size // _TILE)
    step = 2 / (size - 1)
    centre = (_arange(tiles_per_side, like=keypoints) * _TILE + (_TILE - 1) / 2) * step - 1
    centres = torch.cartesian_prod(centre, centre).flip(-1)  # row by row, (x, y)
    inside = (_arange(_TILE, like=keypoints) - (_TILE - 1) / 2) * step
    offsets = torch.cartesian_prod(inside, inside).flip(-1)
    edges = _segment_frames(keypoints, sigma2)
    per_chunk = max(1, _MAX_BOUNDS // (batch * log_weights.numel()))
    winners = [_tile_winners(edges, log_weights, chunk, offsets, sigma2) for chunk in centres.split(per_chunk)]
    tiled = torch.cat(winners, dim=1).view(batch, tiles_per_side, tiles_per_side, _TILE, _TILE)
    rows = tiled.transpose(2, 3).reshape(batch, tiles_per_side * _TILE, tiles_per_side * _TILE)
    return rows[:, :size, :size].reshape(batch, -1)


def _arange(count: int, *, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


class _Frames(NamedTuple):
    """Each edge as two linear forms of (x, y, 1), in units of sigma, and half its length."""

    along: Float[Tensor, "B 3 E"]  # from the edge's middle, in its direction
    across: Float[Tensor, "B 3 E"]
    half: Float[Tensor, "B E"]


def _segment_frames(keypoints: Tensor, sigma2: Tensor) -> _Frames:
    """The frame of each edge; a segment of zero length takes the direction of x."""
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    along, middle = keypoints[:, j] - keypoints[:, i], (keypoints[:, j] + keypoints[:, i]) / 2
    length = along.norm(dim=-1)
    unit = along / length.masked_fill(length == 0, 1).unsqueeze(-1)
    x, y = torch.where(length == 0, 1, unit[..., 0]), unit[..., 1]
    forward = torch.stack([x, y, -(middle[..., 0] * x + middle[..., 1] * y)], 1)
    across = torch.stack([-y, x, middle[..., 0] * y - middle[..., 1] * x], 1)
    sigma = sigma2.sqrt()
    return _Frames(forward / sigma, across / sigma, length / (2 * sigma))


def _tile_winners(
    edges: _Frames,
    log_weights: Float[Tensor, "E"],
    centres: Float[Tensor, "T 2"],
    offsets: Float[Tensor, "Q 2"],
    sigma2: Float[Tensor, ""],
) -> Int[Tensor, "B T Q"]:
    """The winning edge of each of the Q pixels of each of the T tiles."""
    batch, num_edges = edges.half.shape
    homogeneous = torch.cat([centres, centres.new_ones(len(centres), 1)], dim=1)
    # (B, T, E) each, at the tiles' centres
    along, across = _exact_matmul(homogeneous, edges.along), _exact_matmul(homogeneous, edges.across)
    beyond = along.abs().sub_(edges.half.unsqueeze(1)).clamp_min_(0)
    distance = beyond.square_().addcmul_(across, across).sqrt_()
    radius = offsets.norm(dim=-1).max() * 1.001 / sigma2.sqrt()  # the thousandth is for rounding
    at_least = (log_weights - (distance + radius).square_()).amax(-1, keepdim=True)
    # What underflows cannot win, nor lose: the map is zero there.
    can_win = log_weights - distance.sub_(radius).clamp_min_(0).square_() >= at_least.clamp_min_(_log_of_zero(along))
    counts, order = can_win.sum(-1).flatten().sort(descending=True)
    tile, edge = can_win.view(-1, num_edges).index_select(0, order).nonzero(as_tuple=True)
    tile = look_up(order, tile)
    place = tile * num_edges + edge  # among the bounds
    whose = torch.div(tile, len(centres), rounding_mode="floor") * num_edges + edge  # among all edges
    candidates = _Candidates(
        along=_lines_in_tile(edges.along, along, whose=whose, place=place),
        across=_lines_in_tile(edges.across, across, whose=whose, place=place),
        half=look_up(edges.half.flatten(), whose).unsqueeze(-1),
        handicap=-look_up(log_weights, edge).unsqueeze(-1),
    )
    turn = _race(candidates, counts, offsets)
    first = (counts.cumsum(0) - counts).unsqueeze(1)
    won = look_up(torch.cat([edge, edge.new_zeros(1)]), first + turn)  # the one more is for tiles without any
    return torch.empty_like(won).index_copy_(0, order, won).view(batch, len(centres), -1)


def _log_of_zero(like: Tensor) -> float:
    """A number whose exponential is zero in the precision of ``like``."""
    info = torch.finfo(like.dtype)
    return math.log(info.tiny) + math.log(info.eps) - 1


class _Candidates(NamedTuple):
    """What the race needs of the N pairs of a tile and an edge that may win in it, tile by tile."""

    along: Float[Tensor, "N 3"]  # linear forms of (x, y, 1), measured from the tile's centre
    across: Float[Tensor, "N 3"]
    half: Float[Tensor, "N 1"]
    handicap: Float[Tensor, "N 1"]  # -log w


def _lines_in_tile(forms: Tensor, at_centre: Tensor, *, whose: Tensor, place: Tensor) -> Float[Tensor, "N 3"]:
    """The linear forms of chosen edges, relative to the centres of their tiles."""
    x, y, _ = (look_up(component.flatten(), whose) for component in forms.unbind(1))
    return torch.stack([x, y, look_up(at_centre.flatten(), place)], dim=-1)


def _race(
    candidates: _Candidates, counts: Int[Tensor, "tiles"], offsets: Float[Tensor, "Q 2"]
) -> Int[Tensor, "tiles Q"]:
    """Which of its tile's candidates wins at each pixel: all tiles' first ones run, then their second ones, ...

    Tiles with the most candidates come first, so that those that still have one are the first rows.
    """
    most = int(counts.max())
    running = counts.unsqueeze(0) > torch.arange(most, device=counts.device).unsqueeze(1)  # (turns, tiles)
    first = counts.cumsum(0) - counts
    turn_of, tile_of = running.nonzero(as_tuple=True)
    runner = look_up(first, tile_of) + turn_of
    by_turn = (values.index_select(0, runner) for values in candidates)
    least = offsets.new_full((len(counts), len(offsets)), torch.inf)
    winner = torch.zeros_like(least)  # the turn, a float: comparing and choosing without booleans is quicker
    room = torch.empty_like(least), torch.empty_like(least)
    pixels = torch.cat([offsets, offsets.new_ones(len(offsets), 1)], dim=1).T
    sizes = running.sum(1).tolist()
    for turn, parts in enumerate(zip(*(values.split(sizes) for values in by_turn), strict=True)):
        along_form, across_form, half, handicap = parts
        along = _exact_matmul(along_form, pixels, out=room[0][: len(half)])
        across = _exact_matmul(across_form, pixels, out=room[1][: len(half)])
        beyond = along.abs_().sub_(half).clamp_min_(0)
        cost = torch.addcmul(handicap, beyond, beyond, out=beyond).addcmul_(across, across)
        so_far, latest = least[: len(cost)], winner[: len(cost)]
        better = across.copy_(cost).lt_(so_far)
        torch.minimum(so_far, cost, out=so_far)
        torch.maximum(latest, better.mul_(turn), out=latest)
    return winner.long()


def _exact_matmul(
    forms: Float[Tensor, "N 3"], points: Float[Tensor, "*batch 3 M"], *, out: Tensor | None = None
) -> Float[Tensor, "*batch N M"]:
    """The matrix product, never in TF32 or bfloat16, whatever PyTorch is told: near ties would go to wrong edges."""
    if forms.is_cpu and torch.get_float32_matmul_precision() == "highest":
        return torch.matmul(forms, points, out=out)
    columns, rows = forms.split(1, dim=-1), points.split(1, dim=-2)
    product = torch.mul(columns[0], rows[0], out=out)
    for column, row in zip(columns[1:], rows[1:], strict=True):
        product.addcmul_(column, row)
    return product


def look_up(table: Tensor, places: Tensor) -> Tensor:
    """The entries of a one-dimensional table at places of any shape."""
    return table.index_select(0, places.flatten()).view(places.shape)  # several times quicker than table[places]
