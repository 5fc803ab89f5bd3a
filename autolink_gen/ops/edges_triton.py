"""The edge map and its gradients as Triton kernels, one program for a block of an image's pixels.

Forward, a program loops over the edges and keeps the best score and its edge for each pixel: about 14 operations for an
edge and a pixel, and one exponential a pixel. Backward, a program sums what the pixels of an edge give before it adds
to the edge's gradients, so that neighbours, which share a winner as a rule, do not queue for one number.

Winners are ``i * K + j`` of the edge (i, j). All arithmetic is single precision, and no matrix product takes part:
near ties go to the right edge whatever PyTorch is told of TF32.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations of kernels as its own.

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton import cdiv

# Pixels of a program, forward: many share the work that is done once an edge, few leave no part of a GPU idle.
_BLOCK, _SMALL_BLOCK, _MANY_PIXELS = 1024, 256, 2**20
_TILE_WIDTH, _TILE_HEIGHT = 32, 16  # pixels of a program, backward
_NUM_WARPS = 4
_NO_EDGE = tl.constexpr(2**30)  # a number that no edge has


@triton.jit
def _coordinate(index, size, step):
    """A pixel's coordinate, as `torch.linspace` has it: from either end, so that the last one is exactly 1."""
    return tl.where(index < size // 2, -1 + step * index, 1 - step * (size - 1 - index))


@triton.jit
def _from_segment(from_x, from_y, along_x, along_y):
    """How far along the segment the nearest point of it lies, and the way from there, given that from its start."""
    length2 = along_x * along_x + along_y * along_y
    rate = tl.where(length2 > 0, 1.0 / tl.where(length2 > 0, length2, 1.0), 0.0)
    t = (from_x * along_x + from_y * along_y) * rate
    t = tl.minimum(tl.maximum(t, 0.0), 1.0)
    return t, from_x - t * along_x, from_y - t * along_y


@triton.jit
def _draw_kernel(points, log_weights, sigma2, values, winners, count, size, step, block: tl.constexpr):
    image = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * block + tl.arange(0, block)
    is_inside = place < size * size
    x = _coordinate(place % size, size, step)
    y = _coordinate(place // size, size, step)
    inverse = 1.0 / tl.load(sigma2)
    best = tl.full((block,), float("-inf"), tl.float32)
    winner = tl.full((block,), 1, tl.int32)
    poison = inverse * 0  # not a number as soon as one is not finite, as the definition's maximum is then
    points += image * count * 2
    for i in range(count):
        start_x = tl.load(points + 2 * i)
        start_y = tl.load(points + 2 * i + 1)
        poison += start_x * 0 + start_y * 0
        from_x = x - start_x
        from_y = y - start_y
        for j in range(i + 1, count):
            along_x = tl.load(points + 2 * j) - start_x
            along_y = tl.load(points + 2 * j + 1) - start_y
            log_weight = tl.load(log_weights + i * count + j)
            poison += log_weight * 0
            _, off_x, off_y = _from_segment(from_x, from_y, along_x, along_y)
            score = log_weight - (off_x * off_x + off_y * off_y) * inverse
            is_better = score > best
            best = tl.where(is_better, score, best)
            winner = tl.where(is_better, i * count + j, winner)
    target = image * size * size + place
    tl.store(values + target, tl.exp(best) + poison, mask=is_inside)
    tl.store(winners + target, winner, mask=is_inside)


@triton.jit
def _backward_kernel(
    upstream, points, sigma2, values, winners, grad_points, grad_log_weights, grad_sigma2, count, size, step,
    tile_width: tl.constexpr, tile_height: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    tiles_across = tl.cdiv(size, tile_width)
    within = tl.arange(0, tile_width * tile_height)
    row = tl.program_id(1) // tiles_across * tile_height + within // tile_width
    column = tl.program_id(1) % tiles_across * tile_width + within % tile_width
    is_inside = (row < size) & (column < size)
    source = image * size * size + row * size + column
    winner = tl.load(winners + source, mask=is_inside, other=1)
    slope = tl.load(upstream + source, mask=is_inside, other=0.0)
    slope *= tl.load(values + source, mask=is_inside, other=0.0)  # d map / d score = map
    points += image * count * 2
    grad_points += image * count * 2
    i = winner // count
    j = winner % count
    start_x = tl.load(points + 2 * i)
    start_y = tl.load(points + 2 * i + 1)
    along_x = tl.load(points + 2 * j) - start_x
    along_y = tl.load(points + 2 * j + 1) - start_y
    from_x = _coordinate(column, size, step) - start_x
    from_y = _coordinate(row, size, step) - start_y
    t, off_x, off_y = _from_segment(from_x, from_y, along_x, along_y)
    inverse = 1.0 / tl.load(sigma2)
    by_thickness = tl.sum(slope * (off_x * off_x + off_y * off_y), 0) * inverse * inverse
    tl.atomic_add(grad_sigma2, by_thickness)
    # The foot point is the nearest of the segment: that it slides along changes nothing to first order.
    pull_x = off_x * slope * 2 * inverse
    pull_y = off_y * slope * 2 * inverse
    left = tl.where(is_inside & (slope != 0), winner, _NO_EDGE)  # a slope that is no number differs from 0, too
    edge = tl.min(left, 0)
    while edge < _NO_EDGE:
        is_its = left == edge
        start = grad_points + 2 * (edge // count)
        end = grad_points + 2 * (edge % count)
        tl.atomic_add(grad_log_weights + edge, tl.sum(tl.where(is_its, slope, 0.0), 0))
        tl.atomic_add(start, tl.sum(tl.where(is_its, pull_x * (1 - t), 0.0), 0))
        tl.atomic_add(start + 1, tl.sum(tl.where(is_its, pull_y * (1 - t), 0.0), 0))
        tl.atomic_add(end, tl.sum(tl.where(is_its, pull_x * t, 0.0), 0))
        tl.atomic_add(end + 1, tl.sum(tl.where(is_its, pull_y * t, 0.0), 0))
        left = tl.where(is_its, _NO_EDGE, left)
        edge = tl.min(left, 0)


def draw(keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The map (B, 1, size, size) and the winners (B, size^2), int32, of keypoints (B, K, 2), all single precision."""
    batch, count = keypoints.shape[:2]
    values = keypoints.new_empty(batch, 1, size, size)
    winners = keypoints.new_empty(batch, size * size, dtype=torch.int32)
    block = _BLOCK if winners.numel() >= _MANY_PIXELS else _SMALL_BLOCK
    if batch:
        with torch.cuda.device_of(keypoints):
            _draw_kernel[batch, cdiv(size * size, block)](
                keypoints.contiguous(), log_weights.contiguous(), sigma2, values, winners, count, size, _step(size),
                block=block, num_warps=_NUM_WARPS,
            )  # fmt: skip
    return values, winners


def backward(
    upstream: Tensor, keypoints: Tensor, sigma2: Tensor, values: Tensor, winners: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of keypoints (B, K, 2), of log weights (K, K) and of sigma^2, given the map's.

    Blocks add to them in an order of their own: two calls may differ by rounding.
    """
    (batch, count), size = keypoints.shape[:2], values.shape[-1]
    grad_points = keypoints.new_zeros(keypoints.shape)
    grad_log_weights, grad_sigma2 = keypoints.new_zeros(count, count), torch.zeros_like(sigma2)
    if batch:
        with torch.cuda.device_of(keypoints):
            _backward_kernel[batch, cdiv(size, _TILE_WIDTH) * cdiv(size, _TILE_HEIGHT)](
                upstream.contiguous(), keypoints.contiguous(), sigma2, values.contiguous(), winners.contiguous(),
                grad_points, grad_log_weights, grad_sigma2, count, size, _step(size),
                tile_width=_TILE_WIDTH, tile_height=_TILE_HEIGHT, num_warps=_NUM_WARPS,
            )  # fmt: skip
    return grad_points, grad_log_weights, grad_sigma2


def try_out(device: torch.device) -> None:
    """Compile and run both kernels on a map of four pixels; raises whatever the compiler raises."""
    one = torch.ones((), device=device)
    points, weights = one.new_zeros(1, 2, 2), one.new_zeros(2, 2)
    values, winners = draw(points, weights, one, 2)
    backward(values, points, one, values, winners)


def _step(size: int) -> float:
    """The distance of neighbouring pixels."""
    return 2 / (size - 1)
