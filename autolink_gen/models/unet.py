"""The UNet that paints images from edge maps: for the graph learner, and for pose transfer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.models.blocks import Down, Up, conv3x3, leaky_relu, scale_channels


class UNet(nn.Module):
    """Four halvings and four doublings; each doubling is concatenated with the down feature of its size.

    ``width`` multiplies the channel counts; 1, with 4 channels in and 3 out, has 17.97 million parameters.
    ``guest_channels`` counts the channels that join at each of the five scales, the finest first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        guest_channels: Sequence[int] = (0, 0, 0, 0, 0),
    ) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scale_channels(count, width) for count in (64, 128, 256, 512))
        self.stem = nn.Sequential(conv3x3(in_channels, c64), leaky_relu())
        self.downs = nn.ModuleList([Down(c64, c128), Down(c128, c256), Down(c256, c512), Down(c512, c512)])
        g1, g2, g4, g8, g16 = guest_channels
        self.ups = nn.ModuleList(
            [
                Up(c512 + g16, c512, num_convs=2),
                Up(2 * c512 + g8, c256, num_convs=2),
                Up(2 * c256 + g4, c128, num_convs=2),
                Up(2 * c128 + g2, c64, num_convs=2),
            ]
        )
        self.head = conv3x3(2 * c64 + g1, out_channels)

    def forward(self, x: Float[Tensor, "B I H W"], guests: Sequence[Tensor | None] = ()) -> Float[Tensor, "B O H W"]:
        """The painted image; H and W are multiples of 16.

        ``guests``, none or five, are features that join those of x at full resolution, half, and so on to 1/16.
        """
        features = [self.stem(x)]
        for down in self.downs:
            features.append(down(features[-1]))
        for scale, guest in enumerate(guests):
            if guest is not None:
                features[scale] = torch.cat([features[scale], guest], dim=1)
        x = features.pop()
        for up in self.ups:
            x = torch.cat([up(x), features.pop()], dim=1)
        return self.head(x)
