"""The generator: a simplified StyleGAN2 that paints on an edge map (AutoLink, Appendix C.1)."""

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from autolink_gen.common.settings import STRICT, readable_errors
from autolink_gen.models.blocks import ImageSize, Width, leaky_relu, scale_channels, start_convolutions
from autolink_gen.models.modulation import StyledUp
from autolink_gen.ops.powers import power

EDGE_MAP_SIZE = 32
CHANNELS = {8: 512, 16: 512, 32: 256, 64: 128, 128: 64, 256: 32}  # at each resolution, for width 1
_START_SIZE = 8
_EDGE_GAIN = 2.0
_START_SPREAD = 0.3


@readable_errors
@dataclass(frozen=True, config=STRICT)
class GanConfig:
    """The architecture of generator and discriminator; the defaults are the paper's."""

    image_size: Annotated[ImageSize, Field(description="Width and height of the images in pixels.")] = 128
    width: Annotated[Width, Field(description="Multiplier of all channels.")] = 1.0
    discriminator_width: Annotated[
        Width | None, Field(description="Multiplier of the discriminator's channels; null: width.")
    ] = None
    style_size: Annotated[int, Field(ge=1, le=8192, description="Length of z and of w.")] = 256
    sees_edges: Annotated[bool, Field(description="Show the discriminator the edge map beside the image.")] = True
    minibatch_std: Annotated[bool, Field(description="Show the discriminator how much the images of a batch vary.")] = (
        False
    )
    edge_power: Annotated[
        float,
        Field(gt=0, description="Power that edge maps are raised to; 0.5 lets weak edges show beside strong ones."),
    ] = 1.0
    learned_start: Annotated[
        bool,
        Field(description="Add StyleGAN2's learned constant to the features of the edge map, so that places differ."),
    ] = False


class Generator(nn.Module):
    """Paints an image of a style z on an edge map.

    The edge map, brought to 32x32, becomes the 8x8 feature map that stands in for StyleGAN2's constant start, or is
    added to it. Neither noise, nor equalised learning rates, nor path regularisation, as the paper says.
    """

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        size, start = config.style_size, scale_channels(CHANNELS[_START_SIZE], config.width)
        self.mapping = nn.Sequential(
            nn.Linear(size, size), leaky_relu(), nn.Linear(size, size), leaky_relu(), nn.Linear(size, size)
        )
        self.from_edges = nn.Sequential(
            nn.Conv2d(1, start, 4, stride=2, padding=1),
            leaky_relu(),
            nn.Conv2d(start, start, 4, stride=2, padding=1),
            leaky_relu(),
        )
        if config.learned_start:
            self.start = nn.Parameter(torch.randn(1, start, _START_SIZE, _START_SIZE).mul_(_START_SPREAD))
        counts = [scale_channels(count, config.width) for side, count in CHANNELS.items() if side <= config.image_size]
        blocks = [StyledUp(start, start, size, upsample=False)]
        blocks += [StyledUp(channels, fewer, size) for channels, fewer in pairwise(counts)]
        self.blocks = nn.ModuleList(blocks)
        self.to_picture = nn.Conv2d(counts[-1], 3, 3, padding=1)
        start_convolutions(self)
        _start_linears(self)
        _start_edges(self.from_edges)

    def forward(self, edge_map: Float[Tensor, "B 1 h w"], z: Float[Tensor, "B D"]) -> Float[Tensor, "B 3 S S"]:
        """Images, about in [-1, 1], on edge maps of any size, in the styles of z from N(0, 1)."""
        return self.paint(edge_map, self.style(z))

    def style(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """The style w of z, which is first brought to unit mean square, as in StyleGAN."""
        styles: Tensor = self.mapping(z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8))
        return styles

    def paint(
        self, edge_map: Float[Tensor, "B 1 h w"], style: Float[Tensor, "B D"] | Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B 3 S S"]:
        """Images, about in [-1, 1], on edge maps of any size, in styles w, or in one w for each of the blocks."""
        # In half precision there is no such interpolation on a CPU.
        maps = power(edge_map.to(torch.promote_types(edge_map.dtype, torch.float32)), self.config.edge_power)
        small = F.interpolate(maps, (EDGE_MAP_SIZE, EDGE_MAP_SIZE), mode="bicubic", antialias=True)
        x = self.from_edges(small)
        if self.config.learned_start:
            x = x + self.start
        for index, block in enumerate(self.blocks):
            x = block(x, style if style.ndim == 2 else style[:, index])
        images: Tensor = self.to_picture(x)
        return images


def _start_edges(layers: nn.Sequential) -> None:
    """Start where there is no edge too, or styles would have nothing to scale there; and make up for sparse edges."""
    first, last = layers[0], layers[2]
    assert isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d) and last.bias is not None
    with torch.no_grad():
        first.weight.mul_(_EDGE_GAIN)
    if not last.bias.is_meta:
        nn.init.normal_(last.bias, std=_START_SPREAD)


def _start_linears(module: nn.Module) -> None:
    """Kaiming-normal mapping layers; scales of modulated convolutions spread by about 1, as StyleGAN2's do."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and not layer.weight.is_meta:
            gain = 0.5 if name.endswith("to_scale") else 1.0
            nn.init.normal_(layer.weight, std=gain * (2 / layer.in_features) ** 0.5)
            nn.init.zeros_(layer.bias)
