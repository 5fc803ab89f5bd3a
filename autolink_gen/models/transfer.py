"""The pose-transfer network (AutoLink, Appendix C.2): paints one frame's pose with another's appearance."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from autolink_gen.common.settings import STRICT, readable_errors
from autolink_gen.models.blocks import Down, ImageSize, Width, conv3x3, leaky_relu, scale_channels, start_convolutions
from autolink_gen.models.folding import fold_blocks
from autolink_gen.models.quick_copy import WithQuickCopy
from autolink_gen.models.unet import UNet
from autolink_gen.ops.warping import keypoint_flow, warp

_CORRECTION = 0.1  # of the flow, in normalised units, for 1 painted
_MOVED_AT_FIRST = 1.5  # the logit of the moved source before training, beside 0 of the still one and of what is painted


@readable_errors
@dataclass(frozen=True, config=STRICT)
class TransferConfig:
    """The architecture of the network. Differs: the paper has none of the switches, and paints every pixel anew."""

    image_size: Annotated[ImageSize, Field(description="Width and height of the images in pixels.")] = 128
    width: Annotated[Width, Field(description="Multiplier of the UNet's channels.")] = 1.0
    appearance_width: Annotated[Width, Field(description="Multiplier of the appearance encoder's channels.")] = 0.5
    all_scales: Annotated[bool, Field(description="Appearance joins at every scale, not at the smallest alone.")] = (
        False
    )
    source_edges: Annotated[bool, Field(description="The encoder also sees the edge map of the source frame.")] = False
    clusters: Annotated[
        int, Field(ge=1, le=64, description="Clusters of keypoints, each with a channel of its own in the edge maps.")
    ] = 1
    warps: Annotated[
        bool,
        Field(
            description="Move appearance and source as the keypoints have moved, by a flow that the network corrects; "
            "mix in the source as it is."
        ),
    ] = False
    warp_sigma2: Annotated[
        float,
        Field(gt=0, description="Squared reach of a keypoint in the warp, in normalised units (see keypoint_flow)."),
    ] = 0.1


class SourceMaps(NamedTuple):
    """The appearance of source images: the images, in any resolution, the encoder's input, its feature maps."""

    images: Float[Tensor, "B 3 _ _"]
    encoder_input: Float[Tensor, "B _ S S"]
    features: list[Tensor]

    def each(self, change: Callable[[Tensor], Tensor]) -> "SourceMaps":
        """The same of every tensor changed likewise, as by expanding or choosing along the batch."""
        return SourceMaps(change(self.images), change(self.encoder_input), [change(maps) for maps in self.features])


class AppearanceEncoder(nn.Module):
    """Features of an image at full resolution, half, and so on to 1/16."""

    def __init__(self, in_channels: int, *, width: float) -> None:
        super().__init__()
        self.counts = [scale_channels(count, width) for count in (64, 128, 256, 512, 512)]
        self.stem = nn.Sequential(conv3x3(in_channels, self.counts[0]), leaky_relu())
        self.downs = nn.ModuleList([Down(self.counts[i], self.counts[i + 1]) for i in range(4)])

    def forward(self, x: Float[Tensor, "B I H W"]) -> list[Tensor]:
        """The five feature maps."""
        features = [self.stem(x)]
        for down in self.downs:
            features.append(down(features[-1]))
        return features


class TransferNetwork(WithQuickCopy):
    """Paints a frame from its edge map and the appearance of another frame."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        self.config = config
        edges = config.clusters
        num_inputs = 3 + edges * config.source_edges
        self.encoder = AppearanceEncoder(num_inputs, width=config.appearance_width)
        counts = [count if config.all_scales or scale == 4 else 0 for scale, count in enumerate(self.encoder.counts)]
        channels = (edges + num_inputs, 7) if config.warps else (edges, 3)
        self.decoder = UNet(*channels, width=config.width, guest_channels=counts)
        start_convolutions(self)
        if config.warps:  # the flow uncorrected, the mixture everywhere the same
            weight, bias = self.decoder.head.parameters()
            nn.init.zeros_(weight.data[3:])
            nn.init.constant_(bias.data[3:4], _MOVED_AT_FIRST)

    def forward(
        self,
        edge_maps: Float[Tensor, "B C S S"],
        keypoints: Float[Tensor, "B K 2"],
        *,
        source: Float[Tensor, "B 3 S S"],
        source_edge_maps: Float[Tensor, "B C S S"],
        source_keypoints: Float[Tensor, "B K 2"],
        strengths: Float[Tensor, " K"],
    ) -> Float[Tensor, "B 3 S S"]:
        """Images, about in [-1, 1], of these edge maps and keypoints with the appearance of ``source``.

        ``strengths`` tell how much each keypoint carries along: :func:`keypoint_strengths`.
        """
        appearance = self.appearance(source, source_edge_maps)
        return self.paint(
            edge_maps, keypoints, source=appearance, source_keypoints=source_keypoints, strengths=strengths
        )

    def fold(self) -> nn.Module:
        """Encoder and decoder, folded."""
        return fold_blocks(nn.ModuleList([self.encoder, self.decoder]))

    def appearance(self, source: Float[Tensor, "B 3 S S"], edge_maps: Float[Tensor, "B C S S"]) -> SourceMaps:
        """The appearance of images in [-1, 1], for :meth:`paint`."""
        encoder_input = torch.cat([source, edge_maps], dim=1) if self.config.source_edges else source
        encoder, _ = self._parts()
        return SourceMaps(source, encoder_input, encoder(encoder_input))

    def paint(
        self,
        edge_maps: Float[Tensor, "B C S S"],
        keypoints: Float[Tensor, "B K 2"],
        *,
        source: SourceMaps,
        source_keypoints: Float[Tensor, "B K 2"],
        strengths: Float[Tensor, " K"],
    ) -> Float[Tensor, "B 3 _ _"]:
        """Images, about in [-1, 1], of these edge maps with the appearance of a source, seen at ``source_keypoints``.

        With ``warps`` they are as fine as the images of the source: what is kept of it stays sharp.
        """
        images, encoder_input, features = source
        flow = self._flow(keypoints, source_keypoints, strengths) if self.config.warps else None
        if flow is not None:
            features = [_warp_maps(maps, flow) for maps in features]
        guests = features if self.config.all_scales else [None] * (len(features) - 1) + features[-1:]
        _, decoder = self._parts()
        if flow is None:
            alone: Tensor = decoder(edge_maps, guests)
            return alone
        # The encoder's input as well: what lies where before it moves.
        painted: Tensor = decoder(torch.cat([edge_maps, encoder_input], dim=1), guests)
        if images.shape[-2:] != painted.shape[-2:]:
            painted = F.interpolate(painted, images.shape[-2:], mode="bilinear", align_corners=False)
        colours, logits, correction = painted.split((3, 2, 2), dim=1)
        shares = F.pad(logits, (0, 0, 0, 0, 0, 1)).softmax(dim=1)
        mixed = torch.stack([_warp_maps(images, flow, _CORRECTION * correction), images, colours], dim=1)
        return (shares[:, :, None] * mixed).sum(1)

    def _parts(self) -> tuple[nn.Module, nn.Module]:
        encoder, decoder = self._quick[0].children() if self._quick else (self.encoder, self.decoder)
        return encoder, decoder

    def _flow(self, keypoints: Tensor, source_keypoints: Tensor, strengths: Tensor) -> Float[Tensor, "B 2 s s"]:
        """Where to look in the source, at a quarter of the resolution."""
        size, sigma2 = self.config.image_size // 4, self.config.warp_sigma2
        flow = keypoint_flow(keypoints, source_keypoints, strengths, sigma2=sigma2, size=size)
        return flow.permute(0, 3, 1, 2)


def _warp_maps(
    maps: Float[Tensor, "B C H W"],
    flow: Float[Tensor, "B 2 _ _"],
    correction: Float[Tensor, "B 2 H W"] | float = 0.0,
) -> Float[Tensor, "B C H W"]:
    """Maps warped by the flow, at any resolution, and its correction."""
    fitting = F.interpolate(flow, maps.shape[-2:], mode="bilinear", align_corners=True) + correction
    carried = warp(maps, fitting.permute(0, 2, 3, 1))
    return carried.contiguous(memory_format=torch.channels_last)  # what convolutions on a CPU prefer
