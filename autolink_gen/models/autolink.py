"""AutoLink: the detector, the learned graph and the decoder as one model (He, Wandt, Rhodin, NeurIPS 2022)."""

import copy
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from autolink_gen.common.ahead import read_ahead
from autolink_gen.common.batch_sizes import BatchSize
from autolink_gen.common.devices import exact_convolutions, to_device
from autolink_gen.common.settings import STRICT, readable_errors
from autolink_gen.data.inputs import Images, check_shape, image_batches, image_tensors, is_one, to_pixels_of_size
from autolink_gen.losses.perceptual import FeatureMaps
from autolink_gen.models.blocks import ImageSize, Width, start_convolutions
from autolink_gen.models.detector import Detector, detection_batch_size
from autolink_gen.models.feature_detector import FeatureDetector, FeatureNames, usable_maps
from autolink_gen.models.folding import fold_detector, fold_feature_detector
from autolink_gen.models.quick_copy import WithQuickCopy
from autolink_gen.models.unet import UNet
from autolink_gen.ops.edges import edge_channels, edge_map, point_map
from autolink_gen.ops.heatmaps import heatmap_widths
from autolink_gen.ops.likelihood import LikelihoodMap
from autolink_gen.ops.masking import random_block_mask
from autolink_gen.ops.ranges import to_signed, unit_images
from autolink_gen.ops.resizing import Squares, fit_square, resize
from autolink_gen.viz.graphs import draw_graph

FROZEN = "detector.features."  # begins the names of weights that are a classifier's and never learn
_LEAST_DRAWN_PX = 192  # of the shorter side of a drawing whose size is not given
_NO_EDGE = -1e4  # softplus of it is exactly 0 in every precision, and so is its gradient


@readable_errors
@dataclass(frozen=True, config=STRICT)
class AutoLinkConfig:
    """The architecture of an AutoLink model; the defaults are the paper's."""

    num_keypoints: Annotated[int, Field(ge=2, le=64, description="Number of keypoints; an edge needs two.")] = 8
    image_size: Annotated[ImageSize, Field(description="Width and height of the images in pixels.")] = 128
    width: Annotated[Width, Field(description="Multiplier of the channels of the detector and the decoder.")] = 1.0
    decoder_width: Annotated[Width | None, Field(description="Multiplier of the decoder's channels; null: width.")] = (
        None
    )
    sigma2: Annotated[
        float, Field(gt=0, description="Sigma^2, the squared thickness of an edge in normalised units (eq. 2-4).")
    ] = 5e-5
    mask_grid: Annotated[
        int, Field(ge=1, description="Blocks of the mask along each side of an image; divides image_size.")
    ] = 16
    mask_ratio: Annotated[float, Field(ge=0, lt=1, description="Share of the blocks that are hidden.")] = 0.8
    edge_weight_rate: Annotated[
        float, Field(gt=0, description="Multiplier of the raw edge weights inside softplus.")
    ] = 512.0
    edge_weight_start: Annotated[float, Field(description="Where the raw edge weights start, multiplied.")] = -4.0
    fit: Annotated[
        Literal["crop", "pad", "stretch"], Field(description="How an image that is not square is made square.")
    ] = "crop"
    learn_alpha: Annotated[bool, Field(description="Learn alpha; false leaves it at 1 (Table 3).")] = True
    learn_sigma2: Annotated[
        Literal["no", "one", "edge"],
        Field(description="Learn no thickness, one for all edges or one for each, starting at sigma2 (Table 3)."),
    ] = "no"
    drawing: Annotated[
        Literal["edges", "channels", "points"],
        Field(description="The decoder sees one edge map, a channel for each edge, or the keypoints alone (Table 3)."),
    ] = "edges"
    detector: Annotated[
        Literal["residual", "features"],
        Field(description="The paper's detector, or one on the frozen feature maps of a classifier."),
    ] = "residual"
    features: Annotated[
        FeatureNames | None,
        Field(description="Classifier of detector=features; null: the perceptual loss's, or alexnet without a run."),
    ] = None
    features_size: Annotated[
        int, Field(ge=32, le=1024, description="Width in pixels of the images that the classifier is given.")
    ] = 128
    features_maps: Annotated[
        int | None, Field(description="How many of the classifier's maps are used, its first ones; null: all.")
    ] = None

    def __post_init__(self) -> None:
        if self.mask_grid > self.image_size or self.image_size % self.mask_grid:
            raise ValueError(f"mask_grid must divide image_size, {self.image_size}, got {self.mask_grid}")
        if self.features_maps is not None and self.detector != "features":
            raise ValueError(f"features_maps must be left out unless detector is features, got {self.features_maps}")
        if self.features is not None:
            usable_maps(self.features, self.features_maps, size=self.features_size)
        if self.drawing == "points" and self.learn_sigma2 == "edge":
            raise ValueError("learn_sigma2 must be one or no with drawing=points, which has no edges, got edge")

    @property
    def input_size(self) -> int:
        """Width and height, in pixels, of the images that the detector is given."""
        return self.image_size if self.detector == "residual" else max(self.image_size, self.features_size)

    @property
    def num_edges(self) -> int:
        """Pairs of keypoints."""
        return self.num_keypoints * (self.num_keypoints - 1) // 2


class TrainingPass(NamedTuple):
    """The results of one training pass; images about in [-1, 1], keypoints (x, y) in [-1, 1].

    ``images`` are the whole batch under its first masks, then under its second, and so on.
    """

    keypoints: Float[Tensor, "B K 2"]
    edge_map: Float[Tensor, "B 1 S S"]
    images: Float[Tensor, "N 3 S S"]
    moved_keypoints: Float[Tensor, "M K 2"]


class AutoLink(WithQuickCopy):
    """Detects keypoints, draws the graph on them, and repaints a masked image from that drawing."""

    def __init__(self, config: AutoLinkConfig) -> None:
        super().__init__()
        self.config = config
        count = config.num_keypoints
        self.detector = make_detector(config)
        maps = config.num_edges if config.drawing == "channels" else 1
        self.decoder = UNet(3 + maps, 3, width=config.decoder_width or config.width)
        self.alpha = nn.Parameter(torch.ones(()), requires_grad=config.learn_alpha)
        # In place: of the rest torch's compiler, a second's import, would take charge on the meta device.
        start = torch.randn(count, count).div_(10).add_(config.edge_weight_start).div_(config.edge_weight_rate)
        # Learns edge_weight_rate times as fast as the rest, since the raw parameter is multiplied by it.
        has_edges = config.drawing != "points"
        self.raw_edge_weights = nn.Parameter(start, requires_grad=has_edges)
        self.sigma2 = config.sigma2  # training may start thicker
        self.likelihood: LikelihoodMap | None = None  # of keypoints by their heatmaps' widths; None: not calibrated
        if config.learn_sigma2 != "no":
            shape = (config.num_edges,) if config.learn_sigma2 == "edge" else ()
            self.log_thickness = nn.Parameter(torch.zeros(shape))  # of what multiplies sigma2
        start_convolutions(self)

    @property
    def edge_weights(self) -> Float[Tensor, "K K"]:
        """Strength of each edge, after softplus: symmetric, the diagonal zero."""
        upper = F.softplus(self.raw_edge_weights * self.config.edge_weight_rate).triu(1)
        return upper + upper.T

    def without_keypoints(self, indices: Sequence[int]) -> "AutoLink":
        """A copy whose edges to these keypoints weigh nothing, so that no edge map shows them.

        The keypoints keep their numbers, and the detector finds them all. Raises ValueError for a keypoint that does
        not exist, where no edge is left, and for a graph that is drawn without edges.
        """
        left_out, count = sorted(set(indices)), self.config.num_keypoints
        if left_out and not (left_out[0] >= 0 and left_out[-1] < count):
            raise ValueError(f"keypoints to leave out must be from 0 to {count - 1}, got {left_out}")
        if left_out and self.config.drawing == "points":
            raise ValueError("a graph that is drawn without edges (model.drawing=points) shows all keypoints")
        result = copy.deepcopy(self)
        with torch.no_grad():
            for index in left_out:
                result.raw_edge_weights[index, :] = _NO_EDGE / self.config.edge_weight_rate
                result.raw_edge_weights[:, index] = _NO_EDGE / self.config.edge_weight_rate
        if left_out and not (result.edge_weights > 0).any():
            raise ValueError(f"without the keypoints {left_out} no edge is left: leave fewer out")
        return result

    def edge_map(
        self,
        keypoints: Float[Tensor, "B K 2"],
        size: int = 128,
        *,
        edge_weights: Float[Tensor, "K K"] | None = None,
    ) -> Float[Tensor, "B 1 size size"]:
        """The graph drawn on keypoints (x, y) in [-1, 1] (AutoLink eq. 2-4); of several channels the largest value.

        ``edge_weights``, positive, stand in for the graph's own.
        """
        weights = self.edge_weights if edge_weights is None else edge_weights
        return self._maps(keypoints, weights, size).amax(dim=1, keepdim=True)

    def _maps(
        self, keypoints: Float[Tensor, "B K 2"], weights: Float[Tensor, "K K"], size: int
    ) -> Float[Tensor, "B M size size"]:
        """The decoder's view of the graph."""
        config, sigma2 = self.config, self.thickness()
        if config.drawing == "points":
            return point_map(keypoints, sigma2=sigma2, size=size)
        if config.drawing == "channels":
            return edge_channels(keypoints, weights, sigma2=sigma2, size=size)
        if config.learn_sigma2 == "edge":
            return edge_channels(keypoints, weights, sigma2=sigma2, size=size).amax(dim=1, keepdim=True)
        return edge_map(keypoints, weights, sigma2=sigma2, size=size)

    def thickness(self) -> float | Float[Tensor, ""] | Float[Tensor, "E"]:
        """sigma^2, which may learn."""
        return self.sigma2 if self.config.learn_sigma2 == "no" else self.sigma2 * self.log_thickness.exp()

    def reconstruct(
        self,
        images: Float[Tensor, "B 3 S S"],
        mask: Float[Tensor, "B 1 S S"],
        keypoints: Float[Tensor, "B K 2"],
    ) -> Float[Tensor, "B 3 S S"]:
        """Repaint images in [-1, 1] from what the mask keeps (1 = kept) and the graph (AutoLink eq. 5)."""
        return self._paint(images, mask, self._maps(keypoints, self.edge_weights, images.shape[-1]))

    def _paint(self, images: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
        return self.decoder(torch.cat([self.alpha * images * mask, maps], dim=1))

    def forward(
        self,
        images: Float[Tensor, "B 3 I I"],
        masks: Float[Tensor, "N 1 S S"],
        moved: Float[Tensor, "M 3 I I"] | None = None,
        *,
        looked_at: Float[Tensor, "B 3 I I"] | None = None,
        maps: FeatureMaps | None = None,
        kept_edges: Float[Tensor, "K K"] | None = None,
    ) -> TrainingPass:
        """Detect, draw and repaint images in [-1, 1], S = ``image_size`` pixels wide; a mask is 1 where one is kept.

        I, the images' own size, is ``input_size`` as a rule. There may be several masks for each image, those of the
        whole batch first, then its second ones. Keypoints are detected on ``moved`` images as well, in the same pass.
        The detector is shown ``looked_at`` in the images' place, where it is given; ``maps``, of these and then of the
        moved ones, are those of a detector on features, where they are known. ``kept_edges``, symmetric, is 1 for edges
        to draw and 0 for others.
        """
        looked = images if looked_at is None else looked_at
        both = looked if moved is None else torch.cat([looked, moved])
        found = self.detector(both) if maps is None else self.detector(both, maps)
        keypoints, moved_keypoints = found.tensor_split([len(images)])
        small = resize(images, masks.shape[-1])
        weights = self.edge_weights if kept_edges is None else self.edge_weights * kept_edges
        edge_maps = self._maps(keypoints, weights, small.shape[-1])
        views = len(masks) // len(small)
        painted = self._paint(small.repeat(views, 1, 1, 1), masks, edge_maps.repeat(views, 1, 1, 1))
        return TrainingPass(keypoints, edge_maps.amax(dim=1, keepdim=True), painted, moved_keypoints)

    def random_mask(self, batch: int, *, generator: torch.Generator | None = None) -> Float[Tensor, "B 1 S S"]:
        """Training masks with this model's grid and ratio (AutoLink sec. 3.2)."""
        config = self.config
        return random_block_mask(
            batch,
            size=config.image_size,
            grid=config.mask_grid,
            ratio=config.mask_ratio,
            generator=generator,
            device=self.alpha.device,
        )

    def fold(self) -> nn.Module:
        """The detector, folded, for :meth:`detect` and :meth:`locate`."""
        if isinstance(self.detector, FeatureDetector):
            return fold_feature_detector(self.detector)
        return fold_detector(self.detector)

    @torch.no_grad()
    def detect(self, images: Images) -> Float[Tensor, "B K 2"] | Float[Tensor, "K 2"]:
        """Keypoints (x, y) in [-1, 1] of whole images of any size.

        Takes a tensor (B, 3, H, W) or (3, H, W), of floats in [0, 1] or uint8; a file's path; a PIL image; a uint8
        array (H, W, 3) or (B, H, W, 3); or a list of images of any sizes. A tensor (3, H, W) gives (K, 2). All else
        gives a batch: one file gives (1, K, 2).

        -1 and 1 are the centres of the outer pixels. An image that is not square is cropped, padded or stretched as
        ``config.fit`` says, the way the training images were. Files and PIL images are turned as their EXIF data say,
        and transparency is laid over white. Raises ValueError for other shapes, types and ranges, and for files that
        cannot be read.
        """
        if isinstance(images, Tensor):
            check_shape(images)
            return self._detect_exactly(unit_images(images))
        size = BatchSize(detection_batch_size(self.config.input_size, self.alpha.device))
        batches = read_ahead(image_batches(images, batch_size=size.value), beside=self.alpha.device)
        return torch.cat([found for batch in batches for found in size.results(self._detect_exactly, batch)])

    def _detect_exactly(self, images: Tensor) -> Tensor:
        """The keypoints of bytes, or of floats known to lie in [0, 1], on any device."""
        images = to_device(images, self.alpha.device)
        with exact_convolutions(images.device):
            return self.detect_unchecked(unit_images(images) if images.dtype == torch.uint8 else images)

    def draw(
        self, images: Images, *, threshold: float = 0.1, size: int | None = None
    ) -> Image.Image | list[Image.Image]:
        """The graph drawn on images: one PIL image for one image, a list for several; takes what :meth:`detect` takes.

        Leaves out edges that weigh less than the share ``threshold`` of the strongest. ``size`` is the length of a
        drawing's longer side in pixels; unless given, drawings keep the size of the images, and small ones are enlarged
        by a whole factor. Raises ValueError as :meth:`detect` does.
        """
        edges = None if self.config.drawing == "points" else self.edge_weights
        drawings = []
        for image in image_tensors(images):
            pixels = to_pixels_of_size(image, size)
            least = _LEAST_DRAWN_PX if size is None else 1
            lines = draw_graph(pixels, self.detect(image), edges, threshold=threshold, min_side=least)
            drawings.append(Image.fromarray(lines))
        return drawings[0] if is_one(images) else drawings

    @torch.no_grad()
    def detect_unchecked(
        self, images: Float[Tensor, "B 3 H W"] | Float[Tensor, "3 H W"]
    ) -> Float[Tensor, "B K 2"] | Float[Tensor, "K 2"]:
        """Like `detect`, for floats known to lie in [0, 1]; does not wait for the device, as training loops need."""
        if images.ndim == 3:
            return self.detect_unchecked(images.unsqueeze(0)).squeeze(0)
        squares = self._square(images)
        return squares.in_whole(self.locate(squares.images.to(self.alpha)))

    @torch.no_grad()
    def detect_with_widths(
        self, images: Float[Tensor, "B 3 H W"] | UInt8[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """What :meth:`detect` finds, and how widely each heatmap spreads: the wider, the less sure is a keypoint."""
        squares = self._square(unit_images(images))
        detector: Any = self.acting(self.detector)
        with exact_convolutions(self.alpha.device):
            heatmaps = detector.heatmaps(to_signed(squares.images.to(self.alpha)))
        return squares.in_whole(detector.keypoints(heatmaps)), heatmap_widths(heatmaps) * detector.span

    def _square(self, images: Tensor) -> Squares:
        config = self.config
        return fit_square(images, fit=config.fit, size=config.input_size, span_size=config.image_size)

    def locate(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B K 2"]:
        """Keypoints of square images in [0, 1], of ``image_size``, by the folded detector where there is one.

        Unlike :meth:`detect`, it lets gradients through to the images.
        """
        keypoints: Tensor = self.acting(self.detector)(to_signed(images))
        return keypoints


def make_detector(config: AutoLinkConfig) -> Detector | FeatureDetector:
    """The detector that a configuration names, untrained."""
    if config.detector == "residual":
        return Detector(config.num_keypoints, width=config.width)
    return FeatureDetector(
        config.num_keypoints,
        image_size=config.image_size,
        features=config.features or "alexnet",
        size=config.features_size,
        width=config.width,
        num_maps=config.features_maps,
    )
