"""LPIPS whose gradient is finite everywhere."""

import lpips
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from autolink_gen.ops.ranges import to_signed


class LpipsDistance(lpips.LPIPS):
    """LPIPS (Zhang et al. 2018, eq. 1) of the lpips package, with its values and its weights' names.

    The package divides features by the root of their squares, which has no slope at a position where none is
    active: the gradient of the whole image is NaN there.
    """

    def forward(self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 1 1"]:
        """Distances of images in [0, 1]."""
        first, second = to_signed(first), to_signed(second)
        maps = zip(self.net(self.scaling_layer(first)), self.net(self.scaling_layer(second)), strict=True)
        squares = [(F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)) ** 2 for a, b in maps]
        shares = (head(square).mean((2, 3), keepdim=True) for head, square in zip(self.lins, squares, strict=True))
        total: Tensor = sum(shares)
        return total
