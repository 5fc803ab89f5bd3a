"""Building blocks, each once: convolutions, and residual, down and up blocks."""

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from autolink_gen.common.settings import one_of

NEGATIVE_SLOPE = 0.2
IMAGE_SIZES = (64, 128, 256)
ImageSize = Annotated[int, AfterValidator(one_of(*IMAGE_SIZES))]
# A multiplier of channel counts: a network 16 times as wide as the paper's has hundreds of times its weights.
Width = Annotated[float, Field(gt=0, le=16)]


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A padded 3x3 convolution with bias."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def leaky_relu() -> nn.LeakyReLU:
    """LeakyReLU 0.2."""
    return nn.LeakyReLU(NEGATIVE_SLOPE)


def halve(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H/2 W/2"]:
    """Half the resolution by the mean of 2x2 pixels, which is what bilinear halving comes to."""
    return F.avg_pool2d(x, 2)


def halving_kernel(kernel: Float[Tensor, "O I 3 3"]) -> Float[Tensor, "O I 4 4"]:
    """The 4x4 kernel whose stride-2 convolution equals the 3x3 convolution followed by halving.

    The mean of four neighbouring outputs is one output of the mean of four shifted kernels: 16 instead of 36
    multiplications an output. Both pad by one pixel.
    """
    shifted = [F.pad(kernel, (dx, 1 - dx, dy, 1 - dy)) for dx in (0, 1) for dy in (0, 1)]
    return torch.stack(shifted).mean(0)


class HalvingConv2d(nn.Conv2d):
    """A padded 3x3 convolution followed by halving, computed as one 4x4 convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H/2 W/2"]:
        """Convolve and halve."""
        return F.conv2d(x, halving_kernel(self.weight), self.bias, stride=2, padding=1)


class ResidualDown(nn.Module):
    """Half the resolution, with a convolved shortcut (the detector's block)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(HalvingConv2d(in_channels, out_channels), nn.BatchNorm2d(out_channels))
        self.body = nn.Sequential(
            HalvingConv2d(in_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            leaky_relu(),
            conv3x3(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H/2 W/2"]:
        """Shortcut plus body, then LeakyReLU."""
        return F.leaky_relu(self.shortcut(x) + self.body(x), NEGATIVE_SLOPE)


class Up(nn.Sequential):
    """Twice the resolution, then ``num_convs`` times convolution, batch norm, LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, num_convs: int) -> None:
        layers: list[nn.Module] = [nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)]
        for index in range(num_convs):
            channels = out_channels if index else in_channels
            layers += [conv3x3(channels, out_channels), nn.BatchNorm2d(out_channels), leaky_relu()]
        super().__init__(*layers)


class Down(nn.Sequential):
    """Convolution, batch norm, LeakyReLU, convolution, batch norm, halve, LeakyReLU (the decoder's block)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            conv3x3(in_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            leaky_relu(),
            conv3x3(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            nn.AvgPool2d(2),
            leaky_relu(),
        )


def start_convolutions(module: nn.Module) -> None:
    """Kaiming-normal weights for LeakyReLU 0.2 and zero biases in every convolution of ``module`` that learns.

    Layers on the meta device have no numbers: torch would import its compiler, a second and more, to draw none.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad and not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, a=NEGATIVE_SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def scale_channels(channels: int, width: float) -> int:
    """A channel count at the given width: at least 4, and a multiple of 4, which vector units like."""
    return max(4, 4 * round(channels * width / 4))
