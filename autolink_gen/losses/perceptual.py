"""Perceptual distance (AutoLink eq. 6): the difference of two images' features in a frozen network.

The networks here take no files: `autolink_gen.pretrained.features.load_features` finds weights and fills them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from autolink_gen.ops.precision import single
from autolink_gen.ops.ranges import to_signed

FeatureMaps = tuple[Tensor, ...]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class _Conv(NamedTuple):
    """One convolution with its ReLU; `name` is the ReLU's, by which a layer is asked for."""

    name: str
    in_channels: int
    out_channels: int
    kernel_size: int = 3
    stride: int = 1
    padding: int = 1


class _Pool(NamedTuple):
    """One max pooling."""

    kernel_size: int
    stride: int


# Written out, though torchvision has both networks (a test compares them): importing torchvision takes 1.4 s, more than
# all else that finding keypoints imports after torch.
_Plan = Sequence[_Conv | _Pool]


class MapGeometry(NamedTuple):
    """Where the positions of a feature map lie in its image: ``side`` a row, the first one's centre, the stride.

    In pixels, 0 being the centre of the first pixel.
    """

    channels: int
    side: int
    first_px: float
    stride_px: int


class ConvFeatures(nn.Module):
    """A frozen stack of convolutions and ReLUs that returns the outputs of the ReLUs asked for.

    `weights` maps `features.N.weight` and `features.N.bias`, torchvision's names, to tensors; other names are
    ignored. Without weights the convolutions are He-normal from `seed`. Layers behind the last one asked for
    are left out. Raises ValueError for an unknown layer and for missing or misshapen weights.
    """

    plan: ClassVar[_Plan]
    default_layers: ClassVar[tuple[str, ...]]
    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        weights: Mapping[str, Tensor] | None = None,
        *,
        layers: Sequence[str] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.layers = tuple(layers or self.default_layers)
        self._steps = _steps_until_last(self.plan, self.layers, owner=type(self).__name__)
        self.features, self._taps = _build(self._steps, self.layers)
        if weights is None:
            _start_he_normal(self.features, seed)
        else:
            self.fill(weights)
        # On the CPU: on the meta device torch would import its compiler for the divisions.
        mean, std = (torch.tensor(values, device="cpu") for values in (IMAGENET_MEAN, IMAGENET_STD))
        device = next(self.features.parameters()).device
        # ((x + 1) / 2 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (0.5 / std).view(3, 1, 1).to(device), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(3, 1, 1).to(device), persistent=False)
        self.requires_grad_(False).eval()
        # Kernels in this order are 5 to 10 % faster on a CPU, whatever the images' own order.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> FeatureMaps:
        """Images in [-1, 1] -> one map (B, C_l, H_l, W_l) >= 0 a layer, in the network's order.

        The ImageNet mean and deviation are taken off inside. Raises ValueError for images that are too
        small.
        """
        if min(images.shape[-2:]) < self.smallest_side:
            raise ValueError(
                f"images of {images.shape[-2]}x{images.shape[-1]} pixels are too small for "
                f"{type(self).__name__}: give at least {self.smallest_side} pixels a side, or set `resize`"
            )
        maps = []
        values = torch.addcmul(self.shift, images, self.scale)
        for index, layer in enumerate(self.features):
            values = layer(values)
            if index in self._taps:
                maps.append(values)
        return tuple(maps)

    @classmethod
    def tensor_shapes(cls) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the whole network's weights (out, in, kh, kw) and biases (out,), in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        index = 0
        for step in cls.plan:
            if isinstance(step, _Conv):
                kernel = (step.kernel_size, step.kernel_size)
                shapes[f"features.{index}.weight"] = (step.out_channels, step.in_channels, *kernel)
                shapes[f"features.{index}.bias"] = (step.out_channels,)
            index += 2 if isinstance(step, _Conv) else 1
        return shapes

    @property
    def smallest_side(self) -> int:
        """Least height and width of an image, in pixels, that leaves every layer at least one value."""
        side = 1
        for step in reversed(self._steps):
            padding = step.padding if isinstance(step, _Conv) else 0
            side = max((side - 1) * step.stride + step.kernel_size - 2 * padding, 1)
        return side

    @classmethod
    def geometry_of(cls, layers: Sequence[str], size_px: int) -> list[MapGeometry]:
        """Where the maps of these layers lie in an image of ``size_px`` pixels a side, in the network's order.

        Nothing is built. Raises ValueError for an unknown layer.
        """
        geometries = []
        side, first_px, stride_px = size_px, 0.0, 1
        for step in _steps_until_last(cls.plan, layers, owner=cls.__name__):
            padding = step.padding if isinstance(step, _Conv) else 0
            side = (side + 2 * padding - step.kernel_size) // step.stride + 1
            first_px += ((step.kernel_size - 1) / 2 - padding) * stride_px
            stride_px *= step.stride
            if isinstance(step, _Conv) and step.name in layers:
                geometries.append(MapGeometry(step.out_channels, side, first_px, stride_px))
        return geometries

    def fill(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the tensors that this network has; ValueError names what is missing or misshapen."""
        expected = self.state_dict()
        for name, weight in expected.items():
            if name not in weights or weights[name].shape != weight.shape:
                description = f"shape {tuple(weights[name].shape)}" if name in weights else "nothing"
                raise ValueError(
                    f"weights of {type(self).__name__}: {name} should have shape {tuple(weight.shape)}, "
                    f"found {description}; give tensors under torchvision's names"
                )
        self.load_state_dict({name: weights[name] for name in expected})


class VGG16Features(ConvFeatures):
    """VGG16's convolutions (Simonyan and Zisserman 2015, configuration D) under torchvision's names.

    Returns relu1_2, relu2_2, relu3_3 and relu4_3 unless told: the layers of the authors' AutoLink.
    """

    plan = (
        _Conv("relu1_1", 3, 64),
        _Conv("relu1_2", 64, 64),
        _Pool(2, 2),
        _Conv("relu2_1", 64, 128),
        _Conv("relu2_2", 128, 128),
        _Pool(2, 2),
        _Conv("relu3_1", 128, 256),
        _Conv("relu3_2", 256, 256),
        _Conv("relu3_3", 256, 256),
        _Pool(2, 2),
        _Conv("relu4_1", 256, 512),
        _Conv("relu4_2", 512, 512),
        _Conv("relu4_3", 512, 512),
        _Pool(2, 2),
        _Conv("relu5_1", 512, 512),
        _Conv("relu5_2", 512, 512),
        _Conv("relu5_3", 512, 512),
    )
    default_layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


class AlexNetFeatures(ConvFeatures):
    """AlexNet's convolutions (Krizhevsky 2014, one tower) under torchvision's names.

    Returns its five ReLUs unless told.
    """

    plan = (
        _Conv("relu1", 3, 64, kernel_size=11, stride=4, padding=2),
        _Pool(3, 2),
        _Conv("relu2", 64, 192, kernel_size=5, padding=2),
        _Pool(3, 2),
        _Conv("relu3", 192, 384),
        _Conv("relu4", 384, 256),
        _Conv("relu5", 256, 256),
    )
    default_layers = ("relu1", "relu2", "relu3", "relu4", "relu5")


class RandomFeatures(ConvFeatures):
    """Three small convolutions with He-normal weights from `seed`: no file needed, made for tests."""

    plan = (_Conv("relu1", 3, 8), _Pool(2, 2), _Conv("relu2", 8, 16), _Pool(2, 2), _Conv("relu3", 16, 16))
    default_layers = ("relu1", "relu2", "relu3")


class PerceptualLoss(nn.Module):
    """Difference of two batches of images in feature space, summed over the layers (AutoLink eq. 6).

    `features`, a network, maps images in [-1, 1] to a tuple of feature maps. `distance` is the mean over a layer's
    values of the absolute ("l1") or the squared ("mse") difference. `resize` brings images to that many
    pixels a side first (bilinear); None leaves them as they are. `unit_length` first scales each position's
    feature vector to length 1 over the channels, as LPIPS does (Zhang et al. 2018, eq. 1), so that every
    layer weighs about alike.

    The authors' code is "l1" on VGG16 with resize=224; the paper says "mse" at the image's size.
    """

    def __init__(
        self,
        features: nn.Module,
        *,
        distance: str = "l1",
        resize: int | None = None,
        unit_length: bool = False,
    ):
        super().__init__()
        if distance not in ("l1", "mse"):
            raise ValueError(f"distance is {distance!r}: use 'l1' or 'mse'")
        if resize is not None and resize < 1:
            raise ValueError(f"resize is {resize}: use a positive number of pixels, or None for the image's own size")
        self.features = features
        self.distance = distance
        self.resize = resize
        self.unit_length = unit_length

    def forward(self, images: Float[Tensor, "B 3 H W"], targets: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        """Images and targets in [0, 1] -> scalar loss >= 0; only `images` receives gradients."""
        return self.distance_to(images, self.target_features(targets))

    def target_features(self, targets: Float[Tensor, "B 3 H W"]) -> FeatureMaps:
        """Feature maps of targets in [0, 1], without a graph: compute once, compare often.

        Under autocast they are kept as the network gave them, in half precision, unless they have unit length.
        """
        with torch.no_grad():
            return self._features_of(targets)

    def distance_to(self, images: Float[Tensor, "B 3 H W"], target_features: FeatureMaps) -> Float[Tensor, ""]:
        """Loss of images in [0, 1] against maps that `target_features` gave."""
        measure = F.l1_loss if self.distance == "l1" else F.mse_loss
        maps = self._features_of(images)
        # Of sums and small differences little would be left in half precision.
        pairs = [(single(ours), single(theirs)) for ours, theirs in zip(maps, target_features, strict=True)]
        terms = [measure(ours, theirs) for ours, theirs in pairs]
        return torch.stack(terms).sum()

    def _features_of(self, images: Tensor) -> FeatureMaps:
        return feature_maps(self.features, to_signed(images), size=self.resize, unit_length=self.unit_length)


def feature_maps(
    network: nn.Module, images: Float[Tensor, "B 3 H W"], *, size: int | None, unit_length: bool
) -> FeatureMaps:
    """A network's maps of images in [-1, 1], brought to ``size`` pixels a side first, as the network gives them.

    ``unit_length`` scales each position to length 1 over the channels, in single precision at least.
    """
    if size is not None and images.shape[-2:] != (size, size):
        images = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    maps: FeatureMaps = network(images)
    return tuple(F.normalize(single(values), dim=1, eps=1e-6) for values in maps) if unit_length else maps


def _steps_until_last(plan: _Plan, layers: Sequence[str], *, owner: str) -> _Plan:
    """The plan up to the last layer asked for; ValueError for a layer that it has not."""
    ends = {step.name: index + 1 for index, step in enumerate(plan) if isinstance(step, _Conv)}
    unknown = [name for name in layers if name not in ends]
    if unknown:
        raise ValueError(f"layers of {owner}: {unknown[0]!r} is none of {', '.join(ends)}")
    return plan[: max(ends[name] for name in layers)]


def _build(steps: _Plan, layers: Sequence[str]) -> tuple[nn.Sequential, frozenset[int]]:
    """The steps' modules, unfilled, and the indices of the ReLUs to return."""
    modules: list[nn.Module] = []
    taps: set[int] = set()
    for step in steps:
        if isinstance(step, _Pool):
            modules.append(nn.MaxPool2d(step.kernel_size, step.stride))
            continue
        # skip_init leaves the global random state untouched.
        modules.append(nn.utils.skip_init(nn.Conv2d, *step[1:]))
        # Not in place: the maps that are returned must not be overwritten.
        modules.append(nn.ReLU())
        if step.name in layers:
            taps.add(len(modules) - 1)
    return nn.Sequential(*modules), frozenset(taps)


def _start_he_normal(modules: nn.Sequential, seed: int) -> None:
    """Fill convolutions with N(0, 2 / fan_in) from `seed`, biases with 0."""
    generator = torch.Generator().manual_seed(seed)
    for layer in modules:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            with torch.no_grad():
                deviation = math.sqrt(2 / layer.weight[0].numel())
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator, device="cpu") * deviation)
                layer.bias.zero_()
