"""A keypoint detector on a classifier's frozen features, by default the perceptual loss's."""

import itertools
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.losses.perceptual import (
    AlexNetFeatures,
    ConvFeatures,
    FeatureMaps,
    MapGeometry,
    RandomFeatures,
    VGG16Features,
    feature_maps,
)
from autolink_gen.models.blocks import conv3x3, leaky_relu, scale_channels
from autolink_gen.models.detector import HeatmapDetector
from autolink_gen.ops.keypoints import soft_argmax

FeatureNames = Literal["alexnet", "vgg16", "random"]
_NETWORKS = {"alexnet": AlexNetFeatures, "vgg16": VGG16Features, "random": RandomFeatures}
_CHANNELS = 192  # at width 1
_FINEST = 4  # maps with more than a quarter of the resolution are left out


def round_to_half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights rounded to half precision, as stored models have them, in their own type."""
    return {name: value.half().to(value.dtype) for name, value in weights.items()}


def usable_maps(features: FeatureNames, num_maps: int | None, *, size: int) -> list[MapGeometry]:
    """Of the network's first ``num_maps`` maps, None: all, those that are coarse enough, of ``size`` pixels a side.

    Raises ValueError where the network has not so many, or none is coarse enough.
    """
    network = _NETWORKS[features]
    maps = network.geometry_of(network.default_layers, size)
    smallest = 1 + sum(place.side > size // _FINEST for place in maps)
    if num_maps is not None and not smallest <= num_maps <= len(maps):
        finer = f": its first {smallest - 1} are finer than a quarter of the image" if smallest > 1 else ""
        raise ValueError(f"features_maps must be from {smallest} to {len(maps)} for {features}, got {num_maps}{finer}")
    return maps[smallest - 1 : num_maps]


class FeatureDetector(HeatmapDetector):
    """Maps of a frozen network at unit length, brought to one width, joined coarse to fine, one heatmap a keypoint.

    ``num_maps``: how many of the network's maps are looked at, its first ones; None: all. What lies behind them is
    neither computed nor stored. Raises ValueError as `usable_maps` does.

    Differs: the paper's detector learns from nothing.
    """

    def __init__(
        self,
        num_keypoints: int,
        *,
        image_size: int,
        features: FeatureNames,
        size: int,
        width: float,
        num_maps: int | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        network = _NETWORKS[features]
        self.features: ConvFeatures = network(layers=network.default_layers[:num_maps])
        channels = scale_channels(_CHANNELS, width)
        places = usable_maps(features, num_maps, size=size)
        self.first_map = len(self.features.layers) - len(places)
        sides = [place.side for place in places]
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(place.channels, channels, 1), nn.BatchNorm2d(channels)) for place in places
        )
        self.merges = nn.ModuleList(
            nn.Sequential(conv3x3(channels, channels), nn.BatchNorm2d(channels), leaky_relu()) for _ in set(sides)
        )
        self.head = conv3x3(channels, num_keypoints)
        self._sides = sides
        finest = places[0]
        # Centres of the first and the last position in the image, in [-1, 1].
        ends = [finest.first_px, finest.first_px + (finest.side - 1) * finest.stride_px]
        low, high = (2 * ((end + 0.5) * image_size / size - 0.5) / (image_size - 1) - 1 for end in ends)
        self.span, self.shift = (high - low) / 2, (high + low) / 2

    def take_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Fill the frozen network, rounded to half precision, in which models are stored.

        Raises ValueError for missing and misshapen weights.
        """
        self.features.fill(round_to_half(weights))

    def maps(self, images: Float[Tensor, "B 3 S S"]) -> FeatureMaps:
        """The frozen network's maps of images in [-1, 1], each position of length 1 over the channels."""
        return feature_maps(self.features, images, size=self.size, unit_length=True)

    def heatmaps(self, images: Float[Tensor, "B 3 S S"], maps: FeatureMaps | None = None) -> Float[Tensor, "B K H H"]:
        """Unnormalised heatmaps of images in [-1, 1], or of the ``maps`` of them."""
        maps = (self.maps(images) if maps is None else maps)[self.first_map :]
        parts = [lateral(values) for lateral, values in zip(self.laterals, maps, strict=True)]
        joined: Tensor | None = None
        by_side = itertools.groupby(zip(reversed(self._sides), reversed(parts), strict=True), key=lambda pair: pair[0])
        for merge, (side, group) in zip(self.merges, by_side, strict=True):
            total = torch.stack([heatmap for _, heatmap in group]).sum(0)
            if joined is not None:
                total = total + F.interpolate(joined, (side, side), mode="bilinear", align_corners=False)
            joined = merge(total)
        heatmaps: Tensor = self.head(joined)
        return heatmaps

    def keypoints(self, heatmaps: Float[Tensor, "B K H H"]) -> Float[Tensor, "B K 2"]:
        """Keypoints (x, y) in [-1, 1] of heatmaps, whose outer positions lie inside the image."""
        return soft_argmax(heatmaps) * self.span + self.shift

    def forward(self, images: Float[Tensor, "B 3 S S"], maps: FeatureMaps | None = None) -> Float[Tensor, "B K 2"]:
        """Keypoints (x, y) in [-1, 1] of images in [-1, 1], or of the ``maps`` of them."""
        return self.keypoints(self.heatmaps(images, maps))
