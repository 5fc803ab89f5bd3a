"""The discriminator: residual down blocks, one logit an image (AutoLink, Appendix C.1)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.models.blocks import (
    NEGATIVE_SLOPE,
    HalvingConv2d,
    conv3x3,
    halve,
    leaky_relu,
    scale_channels,
    start_convolutions,
)
from autolink_gen.models.generator import CHANNELS, GanConfig
from autolink_gen.ops.powers import power

_LAST_SIZE = 8
_STD_GROUP = 4


class DiscriminatorDown(nn.Module):
    """Two convolutions, the second to half the resolution; a shortcut is added and the sum scaled to keep its variance.

    Halving before the last LeakyReLU, as StyleGAN2 does, leaves that convolution fewer than half its multiplications.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = conv3x3(in_channels, in_channels)
        self.second = HalvingConv2d(in_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        """Convolve, halve, add."""
        body = F.leaky_relu(self.first(x), NEGATIVE_SLOPE)
        body = F.leaky_relu(self.second(body), NEGATIVE_SLOPE)
        return (body + self.shortcut(halve(x))) * 0.5**0.5


class Discriminator(nn.Module):
    """Tells real images from painted ones: a high logit says real."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        width = config.discriminator_width or config.width
        sides = [side for side in sorted(CHANNELS, reverse=True) if _LAST_SIZE <= side <= config.image_size]
        counts = [scale_channels(CHANNELS[side], width) for side in sides]
        self.from_picture = nn.Sequential(nn.Conv2d(3 + config.sees_edges, counts[0], 1), leaky_relu())
        self.blocks = nn.Sequential(
            *(DiscriminatorDown(fewer, more) for fewer, more in pairwise(counts)),
            DiscriminatorDown(counts[-1], counts[-1]),
        )
        last = counts[-1]
        self.head = nn.Sequential(
            conv3x3(last + config.minibatch_std, last),
            leaky_relu(),
            nn.Flatten(),
            nn.Linear(last * (_LAST_SIZE // 2) ** 2, last),
            leaky_relu(),
            nn.Linear(last, 1),
        )
        start_convolutions(self)

    def forward(
        self, images: Float[Tensor, "B 3 S S"], edge_maps: Float[Tensor, "B 1 S S"] | None = None
    ) -> Float[Tensor, " B"]:
        """Logits of images in [-1, 1]; edge maps are looked at only where ``config.sees_edges``."""
        if self.config.sees_edges:
            assert edge_maps is not None
            images = torch.cat([images, power(edge_maps, self.config.edge_power)], dim=1)
        x = self.blocks(self.from_picture(images))
        if self.config.minibatch_std:
            x = with_minibatch_std(x)
        logits: Tensor = self.head(x)
        return logits.squeeze(1)


def with_minibatch_std(x: Float[Tensor, "B C H W"], *, group: int = _STD_GROUP) -> Float[Tensor, "B D H W"]:
    """Append a channel: the mean deviation of features over groups of the batch (Karras et al. 2018, sec. 3).

    Groups have ``group`` images, or all of a batch that does not divide into such.
    """
    batch, _, height, width = x.shape
    size = group if batch % group == 0 else batch
    groups = x.reshape(batch // size, size, -1)
    deviation = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=1)
    channel = deviation.repeat_interleave(size).view(batch, 1, 1, 1).expand(-1, -1, height, width)
    return torch.cat([x, channel], dim=1)
