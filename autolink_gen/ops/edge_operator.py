"""The edge map as an operator of PyTorch, ``torch.ops.autolink_gen.edge_map``, which ``torch.compile`` does not enter.

Its outputs are the map and, for each pixel, the winner of the maximum, as a number that only the backward pass of the
same device reads: what is kept for that pass does not grow with the number of edges. On CUDA one Triton kernel makes
both and another the gradients; elsewhere, in double precision and without Triton, plain PyTorch does.
"""

import warnings
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolink_gen.ops.edge_search import look_up, winning_edges
from autolink_gen.ops.segments import edge_list, pixel_line

_LIBRARY = torch.library.Library("autolink_gen", "DEF")
_LIBRARY.define("edge_map(Tensor keypoints, Tensor log_weights, Tensor sigma2, int size) -> (Tensor, Tensor)")
_LIBRARY.define(
    "edge_map_backward(Tensor upstream, Tensor keypoints, Tensor sigma2, Tensor values, Tensor winners) "
    "-> (Tensor, Tensor, Tensor)"
)


def draw_edges(
    keypoints: Float[Tensor, "B K 2"], log_weights: Float[Tensor, "K K"], sigma2: Float[Tensor, ""], size: int
) -> Float[Tensor, "B 1 size size"]:
    """The edge map of log weights, of which i < j are read (AutoLink eq. 4); all of one type, single or double."""
    values: Tensor = torch.ops.autolink_gen.edge_map(keypoints, log_weights, sigma2, size)[0]
    return values


def _draw(keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The operator: the map (B, 1, size, size) and the winners (B, size^2), int32."""
    if triton := _triton_kernels(keypoints):
        values, winners = triton.draw(keypoints, log_weights, sigma2, size)
        return values, winners
    i, j = edge_list(keypoints.shape[1], device=keypoints.device)
    by_edge = log_weights[i, j]
    with torch.autocast(keypoints.device.type, enabled=False):
        winner = winning_edges(keypoints, by_edge, sigma2, size)
    foot = _foot_points(keypoints, winner, size)
    # Not from the search's scores: they are of distances along and across an edge, which round otherwise.
    values = look_up(by_edge, winner).sub_(foot.distance2().div_(sigma2)).exp_()
    return values.view(len(keypoints), 1, size, size), winner.int()


def _draw_backward(
    upstream: Tensor, keypoints: Tensor, sigma2: Tensor, values: Tensor, winners: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of keypoints (B, K, 2), of log weights (K, K) and of sigma^2, given the map's."""
    if triton := _triton_kernels(keypoints):
        gradients: tuple[Tensor, Tensor, Tensor] = triton.backward(upstream, keypoints, sigma2, values, winners)
        return gradients
    batch, count = keypoints.shape[:2]
    i, j = edge_list(count, device=keypoints.device)
    flat = values.reshape(winners.shape)
    score_grad = upstream.reshape(flat.shape) * flat  # d map / d score = map
    foot = _foot_points(keypoints, winners, values.shape[-1])
    grad_sigma2 = foot.distance2().mul_(score_grad).sum() / sigma2.square()
    # The foot point is the nearest of the segment: that it slides along changes nothing to first order.
    pull = score_grad * (2 / sigma2)
    pulls = [foot.x.mul_(pull), foot.y.mul_(pull)]
    end_pulls = [component * foot.t for component in pulls]
    bins = foot.edge_of_batch.flatten()
    sums = [keypoints.new_zeros(batch * len(i)) for _ in range(5)]
    for total, share in zip(sums, [score_grad, *pulls, *end_pulls], strict=True):
        total.scatter_add_(0, bins, share.flatten())
    by_weight, *by_place = (total.view(batch, -1) for total in sums)
    both, end = torch.stack(by_place[:2], -1), torch.stack(by_place[2:], -1)
    grad_keypoints = torch.zeros_like(keypoints).index_add_(1, i, both - end).index_add_(1, j, end)
    grad_log_weights = keypoints.new_zeros(count, count).index_put_((i, j), by_weight.sum(0))
    return grad_keypoints, grad_log_weights, grad_sigma2


@cache
def _load_triton_kernels() -> Any:
    """The module of the kernels; None, with a warning, where CUDA is there and they cannot be used."""
    try:
        from autolink_gen.ops import edges_triton

        edges_triton.try_out(torch.device("cuda"))
    except Exception as error:  # noqa: BLE001 - whatever a compiler that is missing or of another age may raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        warnings.warn(f"edge maps are drawn without Triton, which is slower: {reason}", RuntimeWarning, stacklevel=2)
        return None
    return edges_triton


def _triton_kernels(keypoints: Tensor) -> Any:
    """The kernels for such keypoints, or None."""
    return _load_triton_kernels() if keypoints.is_cuda and keypoints.dtype == torch.float32 else None


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
        return [look_up(component.flatten(), edge) for component in components.unbind(-1)]

    line = pixel_line(size, like=keypoints)
    x, y = of_winner(-start)
    x.view(-1, size, size).add_(line)
    y.view(-1, size, size).add_(line.unsqueeze(1))
    rate_x, rate_y = of_winner(rate)
    t = rate_x.mul_(x).addcmul_(rate_y, y).clamp_(0, 1)
    along_x, along_y = of_winner(along)
    return _FootPoints(x.addcmul_(t, along_x, value=-1), y.addcmul_(t, along_y, value=-1), t, edge)


def _shapes(keypoints: Tensor, log_weights: Tensor, sigma2: Tensor, size: int) -> tuple[Tensor, Tensor]:
    batch = keypoints.shape[0]
    return keypoints.new_empty(batch, 1, size, size), keypoints.new_empty(batch, size * size, dtype=torch.int32)


def _shapes_backward(
    upstream: Tensor, keypoints: Tensor, sigma2: Tensor, values: Tensor, winners: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    count = keypoints.shape[1]
    return torch.empty_like(keypoints), keypoints.new_empty(count, count), torch.empty_like(sigma2)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    keypoints, _, sigma2, _ = inputs
    ctx.save_for_backward(keypoints, sigma2, *output)
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, upstream: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None]:
    keypoints, sigma2, values, winners = ctx.saved_tensors
    return *torch.ops.autolink_gen.edge_map_backward(upstream, keypoints, sigma2, values, winners), None


def _refuse(ctx: Any, *upstream: Tensor) -> tuple[None, ...]:
    raise RuntimeError("the edge map has no second derivative")


for _device in ("CPU", "CUDA", "MPS"):
    _LIBRARY.impl("edge_map", _draw, _device)
    _LIBRARY.impl("edge_map_backward", _draw_backward, _device)
torch.library.register_fake("autolink_gen::edge_map", _shapes, lib=_LIBRARY)
torch.library.register_fake("autolink_gen::edge_map_backward", _shapes_backward, lib=_LIBRARY)
torch.library.register_autograd("autolink_gen::edge_map", _differentiate, setup_context=_keep, lib=_LIBRARY)
torch.library.register_autograd("autolink_gen::edge_map_backward", _refuse, lib=_LIBRARY)
