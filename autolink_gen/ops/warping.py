"""Moving feature maps as keypoints move."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from autolink_gen.ops.segments import pixel_grid

_STILL = -4.0  # the logit of the background
_LEAST = 1e-3  # of a keypoint's strength


def keypoint_strengths(edge_weights: Float[Tensor, "K K"]) -> Float[Tensor, " K"]:
    """The weight of each keypoint: its heaviest edge over the heaviest of all."""
    return edge_weights.amax(0) / edge_weights.amax().clamp_min(1e-12)


def keypoint_flow(
    here: Float[Tensor, "B K 2"],
    there: Float[Tensor, "B K 2"],
    strengths: Float[Tensor, " K"],
    *,
    sigma2: float,
    size: int,
) -> Float[Tensor, "B size size 2"]:
    """For each pixel of an image with keypoints ``here``: where to look, (x, y) in [-1, 1], in one with ``there``.

    Moving least squares (Schaefer, McPhail and Warren 2006): each place is moved by the affine map that fits the
    keypoints best, weighted by ``strengths`` exp(-d^2 / sigma2), with d their distance from the place. A ridge of
    sigma2 / 2 keeps the map a mere shift where few keypoints are near. A still background has the weight of a
    keypoint of strength 1 at twice the distance sqrt(sigma2): far away nothing moves. Where all keypoints are where
    they were, the flow is the identity.
    """
    grid = pixel_grid(size, like=here).reshape(1, -1, 1, 2)
    logits = _logits(strengths) - (grid - here[:, None]).square().sum(-1) / sigma2
    moving = F.pad(logits, (0, 1), value=_STILL).softmax(dim=-1)[..., :-1].sum(-1, keepdim=True)
    shares = logits.softmax(dim=-1)  # (B, places, K)
    steps = there - here
    centre, shift = shares @ here, shares @ steps
    spread = shares @ _products(here, here) - _products(centre, centre)
    moment = shares @ _products(here, steps) - _products(centre, shift)
    offset = grid.squeeze(2) - centre
    turned = (_solve(spread, offset, ridge=sigma2 / 2)[..., None] * moment.unflatten(-1, (2, 2))).sum(-2)
    return (grid.squeeze(2) + moving * (shift + turned)).reshape(here.shape[0], size, size, 2)


def warp(maps: Float[Tensor, "B C H W"], flow: Float[Tensor, "B h w 2"]) -> Float[Tensor, "B C h w"]:
    """Maps looked at where ``flow`` says, bilinearly; beyond the border the border goes on."""
    return F.grid_sample(maps, flow, padding_mode="border", align_corners=True)


def _logits(strengths: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    """Faint keypoints count a little; those of strength 0, left out of the graph, do not where others do."""
    left_out = (strengths == 0) & (strengths > 0).any()
    return strengths.clamp_min(_LEAST).log().masked_fill(left_out, -torch.inf)


def _products(first: Float[Tensor, "B N 2"], second: Float[Tensor, "B N 2"]) -> Float[Tensor, "B N 4"]:
    """The outer products of pairs, their rows one after the other."""
    return (first[..., None] * second[..., None, :]).flatten(-2)


def _solve(matrix: Float[Tensor, "B N 4"], vector: Float[Tensor, "B N 2"], *, ridge: float) -> Float[Tensor, "B N 2"]:
    """The vectors times the inverses of symmetric matrices with a ridge on their diagonals."""
    a, b, _, c = matrix.unbind(-1)
    a, c = a + ridge, c + ridge
    x, y = vector.unbind(-1)
    return torch.stack([c * x - b * y, a * y - b * x], dim=-1) / (a * c - b * b)[..., None]
