"""The differentiable edge map (AutoLink eq. 2-4): its definition, and a fast twin for training.

The score of edge (i, j) at pixel p is ``log w_ij - d_ij(p)^2 / sigma^2``; the edge map is the exponential of the
largest score. :func:`edge_map_dense` writes that down for all edges at once and is the oracle. :func:`edge_map`
finds the winning edge of each pixel first, without a gradient, and looks at few edges: it cuts the image into
tiles and drops from each tile the edges that cannot win in it, since distance changes by at most the distance
moved, and those whose exponential is zero all over it. What it keeps for the backward pass is the map and the
winners; gradients go to the winner of each pixel alone, as those of a maximum do.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

_TILE = 8  # pixels: the width of a tile of the search
_MAX_BOUNDS = 1 << 20  # scores bounded at a time: the search's memory does not depend on the number of edges


def pixel_grid(size: int, *, like: Tensor) -> Float[Tensor, "size size 2"]:
    """(x, y) of every pixel centre on ``linspace(-1, 1, size)``, with the dtype and device of ``like``."""
    line = _pixel_line(size, like=like)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def _pixel_line(size: int, *, like: Tensor) -> Float[Tensor, "size"]:
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
    thickness = torch.as_tensor(sigma2, dtype=keypoints.dtype, device=keypoints.device)
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
        """Keypoints (B, K, 2), log weights (E,) and sigma^2 to the map (B, 1, size, size) (AutoLink eq. 4)."""
        with torch.autocast(keypoints.device.type, enabled=False):
            winner = _winning_edges(keypoints, log_weights, sigma2, size)
        foot = _foot_points(keypoints, winner, size)
        # Not from the search's scores: a matrix product may have rounded those to fewer bits.
        values = _look_up(log_weights, winner).sub_(foot.distance2().div_(sigma2)).exp_()
        ctx.save_for_backward(keypoints, sigma2, values, winner)
        ctx.size, ctx.num_edges = size, log_weights.numel()
        return values.view(len(keypoints), 1, size, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The map's gradient (B, 1, size, size) to those of keypoints, log weights and sigma^2."""
        keypoints, sigma2, values, winner = ctx.saved_tensors
        score_grad = upstream.reshape(values.shape) * values  # d map / d score = map
        foot = _foot_points(keypoints, winner, ctx.size)
        grad_sigma2 = foot.distance2().mul_(score_grad).sum() / sigma2.square()
        # The foot point is the nearest of the segment: that it slides along changes nothing to first order.
        pull = score_grad * (2 / sigma2)
        pulls = [foot.x.mul_(pull), foot.y.mul_(pull)]
        end_pulls = [component * foot.t for component in pulls]
        bins = foot.edge_of_batch.flatten()
        sums = [keypoints.new_zeros(len(keypoints) * ctx.num_edges) for _ in range(5)]
        for total, share in zip(sums, [score_grad, *pulls, *end_pulls], strict=True):
            total.scatter_add_(0, bins, share.flatten())
        grad_weights, *by_edge = (total.view(len(keypoints), -1) for total in sums)
        both, end = torch.stack(by_edge[:2], -1), torch.stack(by_edge[2:], -1)
        i, j = edge_list(keypoints.shape[1], device=keypoints.device)
        grad_keypoints = torch.zeros_like(keypoints).index_add_(1, i, both - end).index_add_(1, j, end)
        return grad_keypoints, grad_weights.sum(0), grad_sigma2, None


class _FootPoints(NamedTuple):
    """From the nearest point of its winning edge to each pixel, and where on the edge that point lies."""

    x: Float[Tensor, "B P"]
    y: Float[Tensor, "B P"]
    t: Float[Tensor, "B P"]  # 0 at the edge's start, 1 at its end
    edge_of_batch: Int[Tensor, "B P"]  # the edge's number among the B E edges of all images

    def distance2(self) -> Float[Tensor, "B P"]:
        """Squared distance of each pixel from its winning edge, in normalised units."""
        return (self.x * self.x).addcmul_(self.y, self.y)


def _foot_points(keypoints: Tensor, winner: Int[Tensor, "B P"], size: int) -> _FootPoints:
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    start, along = keypoints[:, i], keypoints[:, j] - keypoints[:, i]
    length2 = along.square().sum(-1)
    rate = along / length2.masked_fill(length2 == 0, 1).unsqueeze(-1)
    first = torch.arange(len(keypoints), device=keypoints.device).unsqueeze(1) * len(i)
    edge = winner + first

    def of_winner(components: Tensor) -> list[Tensor]:
        return [_look_up(component.flatten(), edge) for component in components.unbind(-1)]

    line = _pixel_line(size, like=keypoints)
    x, y = of_winner(-start)
    x.view(-1, size, size).add_(line)
    y.view(-1, size, size).add_(line.unsqueeze(1))
    rate_x, rate_y = of_winner(rate)
    t = rate_x.mul_(x).addcmul_(rate_y, y).clamp_(0, 1)
    along_x, along_y = of_winner(along)
    return _FootPoints(x.addcmul_(t, along_x, value=-1), y.addcmul_(t, along_y, value=-1), t, edge)


def _look_up(table: Tensor, places: Tensor) -> Tensor:
    """The entries of a one-dimensional table at places of any shape."""
    return table.index_select(0, places.flatten()).view(places.shape)  # several times quicker than table[places]


def _winning_edges(keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> Int[Tensor, "B P"]:
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
    along, across = homogeneous @ edges.along, homogeneous @ edges.across  # (B, T, E) each, at the tiles' centres
    beyond = along.abs().sub_(edges.half.unsqueeze(1)).clamp_min_(0)
    distance = beyond.square_().addcmul_(across, across).sqrt_()
    radius = offsets.norm(dim=-1).max() * 1.001 / sigma2.sqrt()  # the thousandth is for rounding
    at_least = (log_weights - (distance + radius).square_()).amax(-1, keepdim=True)
    # What underflows cannot win, nor lose: the map is zero there.
    can_win = log_weights - distance.sub_(radius).clamp_min_(0).square_() >= at_least.clamp_min_(_log_of_zero(along))
    counts, order = can_win.sum(-1).flatten().sort(descending=True)
    tile, edge = can_win.view(-1, num_edges).index_select(0, order).nonzero(as_tuple=True)
    tile = _look_up(order, tile)
    place = tile * num_edges + edge  # among the bounds
    whose = torch.div(tile, len(centres), rounding_mode="floor") * num_edges + edge  # among all edges
    candidates = _Candidates(
        along=_lines_in_tile(edges.along, along, whose=whose, place=place),
        across=_lines_in_tile(edges.across, across, whose=whose, place=place),
        half=_look_up(edges.half.flatten(), whose).unsqueeze(-1),
        handicap=-_look_up(log_weights, edge).unsqueeze(-1),
    )
    turn = _race(candidates, counts, offsets)
    first = (counts.cumsum(0) - counts).unsqueeze(1)
    won = _look_up(torch.cat([edge, edge.new_zeros(1)]), first + turn)  # the one more is for tiles without any
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
    x, y, _ = (_look_up(component.flatten(), whose) for component in forms.unbind(1))
    return torch.stack([x, y, _look_up(at_centre.flatten(), place)], dim=-1)


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
    runner = _look_up(first, tile_of) + turn_of
    by_turn = (values.index_select(0, runner) for values in candidates)
    least = offsets.new_full((len(counts), len(offsets)), torch.inf)
    winner = torch.zeros_like(least)  # the turn, a float: comparing and choosing without booleans is quicker
    room = torch.empty_like(least), torch.empty_like(least)
    pixels = torch.cat([offsets, offsets.new_ones(len(offsets), 1)], dim=1).T
    sizes = running.sum(1).tolist()
    for turn, parts in enumerate(zip(*(values.split(sizes) for values in by_turn), strict=True)):
        along_form, across_form, half, handicap = parts
        along = torch.mm(along_form, pixels, out=room[0][: len(half)])
        across = torch.mm(across_form, pixels, out=room[1][: len(half)])
        beyond = along.abs_().sub_(half).clamp_min_(0)
        cost = torch.addcmul(handicap, beyond, beyond, out=beyond).addcmul_(across, across)
        so_far, latest = least[: len(cost)], winner[: len(cost)]
        better = across.copy_(cost).lt_(so_far)
        torch.minimum(so_far, cost, out=so_far)
        torch.maximum(latest, better.mul_(turn), out=latest)
    return winner.long()
