"""Convolutions whose kernels a style scales (StyleGAN2 sec. 2.2)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.models.blocks import NEGATIVE_SLOPE, conv3x3


class ModulatedConv2d(nn.Module):
    """A 3x3 convolution whose kernel is, for each image, scaled by its style and brought back to unit norm.

    Scaling the kernel over its inputs equals scaling the inputs, and demodulating it equals scaling the outputs
    (StyleGAN2 eq. 1 and 3): so one plain convolution serves the whole batch.
    """

    def __init__(self, in_channels: int, out_channels: int, style_size: int) -> None:
        super().__init__()
        self.convolution = conv3x3(in_channels, out_channels)
        self.to_scale = nn.Linear(style_size, in_channels)

    def forward(self, x: Float[Tensor, "B I H W"], style: Float[Tensor, "B D"]) -> Float[Tensor, "B O H W"]:
        """Convolve in the style of each image."""
        scale = self.to_scale(style) + 1
        kernel = self.convolution.weight
        outputs = F.conv2d(x * scale[:, :, None, None], kernel, padding=1)
        norm = torch.rsqrt(scale.square() @ kernel.square().sum(dim=(2, 3)).T + 1e-8)
        bias = self.convolution.bias
        assert bias is not None
        return torch.addcmul(bias[:, None, None], outputs, norm[:, :, None, None])


class StyledUp(nn.Module):
    """Twice the resolution, or the same, then two modulated convolutions; a shortcut is added."""

    def __init__(self, in_channels: int, out_channels: int, style_size: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.upsample = upsample
        self.first = ModulatedConv2d(in_channels, out_channels, style_size)
        self.second = ModulatedConv2d(out_channels, out_channels, style_size)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "B I h w"], style: Float[Tensor, "B D"]) -> Float[Tensor, "B O H W"]:
        """Double, convolve in the style of each image, add."""
        short = self.shortcut(x)  # a 1x1 convolution and doubling may change places, and this way it is cheaper
        if self.upsample:
            x, short = _double(x), _double(short)
        x = F.leaky_relu(self.first(x, style), NEGATIVE_SLOPE)
        return short + F.leaky_relu(self.second(x, style), NEGATIVE_SLOPE)


def _double(x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
