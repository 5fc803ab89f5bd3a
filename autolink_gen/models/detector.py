"""The keypoint detector: an image to K heatmaps to K keypoints (AutoLink sec. 3.1)."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.common.batch_sizes import fitting_batch_size
from autolink_gen.models.blocks import ResidualDown, Up, conv3x3, scale_channels
from autolink_gen.ops.keypoints import soft_argmax

_BATCH = 16
_BYTES_PER_PX = 4096  # of the detector's input, at its most: VGG16's maps take 1032


def detection_batch_size(size: int, device: torch.device | str) -> int:
    """The images to look at at once, ``size`` pixels wide: 16, or more where a CUDA device has the memory."""
    return fitting_batch_size(device, usual=_BATCH, bytes_each=_BYTES_PER_PX * size**2)


class HeatmapDetector(nn.Module):
    """The base of detectors: one heatmap a keypoint, whose softmax has its mean at the keypoint."""

    span = 1.0  # of the image: the share from the first to the last position of a heatmap

    def heatmaps(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B K H H"]:
        """Unnormalised heatmaps of images in [-1, 1]; each detector makes its own."""
        raise NotImplementedError

    def keypoints(self, heatmaps: Float[Tensor, "B K H H"]) -> Float[Tensor, "B K 2"]:
        """Keypoints (x, y) in [-1, 1] of heatmaps."""
        return soft_argmax(heatmaps)

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B K 2"]:
        """Keypoints (x, y) in [-1, 1] of images in [-1, 1]."""
        return self.keypoints(self.heatmaps(images))


class Detector(HeatmapDetector):
    """Four residual halvings, two doublings, one heatmap a keypoint at a quarter of the resolution.

    ``width`` multiplies the channel counts; 1 has 7.73 million parameters at eight keypoints.
    """

    def __init__(self, num_keypoints: int, *, width: float = 1.0) -> None:
        super().__init__()
        channels = [3, *(scale_channels(count, width) for count in (64, 128, 256, 512))]
        downs = [ResidualDown(i, o) for i, o in pairwise(channels)]
        ups = [
            Up(channels[4], channels[3], num_convs=1),
            Up(channels[3], channels[2], num_convs=1),
        ]
        self.layers = nn.Sequential(*downs, *ups, conv3x3(channels[2], num_keypoints))

    @property
    def head(self) -> nn.Module:
        """The convolution that makes the heatmaps."""
        return self.layers[-1]

    def heatmaps(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B K S/4 S/4"]:
        """Unnormalised heatmaps of images in [-1, 1]."""
        return self.layers(images)
