"""Moving feature maps as keypoints move."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from autolink_gen.ops.edges import pixel_grid

_STILL = -4.0  # the logit of the background


def keypoint_flow(
    here: Float[Tensor, "B K 2"], there: Float[Tensor, "B K 2"], *, sigma2: float, size: int
) -> Float[Tensor, "B size size 2"]:
    """For each pixel of a picture with keypoints ``here``: where to look, (x, y) in [-1, 1], in one with ``there``.

    Each place is moved by the mean of the keypoints' displacements, weighted by exp(-d^2 / sigma2), with d its
    distance from the keypoint; a still background has the weight of a keypoint at twice the distance
    sqrt(sigma2). Where all keypoints are where they were, the flow is the identity.
    """
    grid = pixel_grid(size, like=here).reshape(1, -1, 1, 2)
    distances = (grid - here[:, None]).square().sum(-1)
    logits = F.pad(-distances / sigma2, (0, 1), value=_STILL)
    shares = logits.softmax(dim=-1)[..., :-1]
    moved = grid.squeeze(2) + shares @ (there - here)
    return moved.reshape(len(here), size, size, 2)


def warp(maps: Float[Tensor, "B C H W"], flow: Float[Tensor, "B h w 2"]) -> Float[Tensor, "B C h w"]:
    """Maps looked at where ``flow`` says, bilinearly; beyond the border the border goes on."""
    return F.grid_sample(maps, flow, padding_mode="border", align_corners=True)
