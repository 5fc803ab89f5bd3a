"""The spread of heatmaps: how sure a keypoint is."""

import torch
from jaxtyping import Float
from torch import Tensor


def heatmap_widths(heatmaps: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K"]:
    """The standard deviation of each heatmap's softmax about its mean, in units of [-1, 1].

    A map of one point has 0, one that says nothing 0.82: the root of the variances of x and y together.
    """
    shares = heatmaps.flatten(2).float().softmax(dim=-1).view(heatmaps.shape)
    variances = []
    for dim in (2, 3):  # of y, of x
        line = torch.linspace(-1, 1, heatmaps.shape[dim], dtype=shares.dtype, device=shares.device)
        along = shares.sum(dim=5 - dim)
        mean = (along * line).sum(dim=-1, keepdim=True)
        variances.append((along * (line - mean).square()).sum(dim=-1))
    return (variances[0] + variances[1]).sqrt()
