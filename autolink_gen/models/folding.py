"""Equivalent networks for inference, of fewer and larger operations."""

import copy
from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from autolink_gen.models.blocks import NEGATIVE_SLOPE, Down, HalvingConv2d, ResidualDown, Up, halving_kernel
from autolink_gen.models.detector import Detector, HeatmapDetector
from autolink_gen.models.feature_detector import FeatureDetector

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def fold_detector(detector: Detector) -> "FoldedDetector":
    """A copy with equal keypoints, up to rounding, for inference alone; the detector stays as it is.

    Batch norms go into the convolutions before them; a convolution followed by halving is one with its kernel
    made in advance; the two first convolutions of a residual block, which read the same input, are one; channels
    lie last in memory. The copy does not follow later changes of the detector's weights.
    """
    layers = [_fold(layer) for layer in detector.layers]
    return FoldedDetector(nn.Sequential(*layers)).requires_grad_(requires_grad=False).eval()


def fold_feature_detector(detector: FeatureDetector) -> FeatureDetector:
    """The same of a detector on frozen features, which the copy shares with it."""
    folded = copy.deepcopy(detector, {id(detector.features): detector.features})
    for parts in (folded.laterals, folded.merges):
        for index, module in enumerate(parts):
            assert isinstance(module, nn.Sequential)
            parts[index] = fold_sequence(module)
    return folded.to(memory_format=torch.channels_last).requires_grad_(requires_grad=False).eval()


def fold_blocks(network: NetworkT) -> NetworkT:
    """A copy of a network whose down and up blocks are folded, with equal results up to rounding, in eval mode.

    Batch norms go into the convolutions before them, and the mean of 2x2 pixels too. As in `fold_detector`, the
    network stays as it is, channels lie last in memory, and the copy does not follow later changes.
    """
    folded = copy.deepcopy(network)
    for parent in list(folded.modules()):
        for name, block in list(parent.named_children()):
            if isinstance(block, Down | Up):
                setattr(parent, name, fold_sequence(block))
    return folded.to(memory_format=torch.channels_last).requires_grad_(requires_grad=False).eval()


def fold_sequence(layers: Iterable[nn.Module]) -> nn.Sequential:
    """The layers in turn, with batch norms, and the mean of 2x2 pixels, in the convolutions before them."""
    folded: list[nn.Module] = []
    for layer in layers:
        last = folded[-1] if folded else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(last, nn.Conv2d):
            folded[-1] = fuse_norm(last, layer)
        elif isinstance(layer, nn.AvgPool2d) and isinstance(last, nn.Conv2d):
            folded[-1] = _convolution(halving_kernel(last.weight), _bias(last), like=last, stride=2)
        else:
            folded.append(copy.deepcopy(layer))
    return nn.Sequential(*folded)


class FoldedDetector(HeatmapDetector):
    """A detector folded for inference by :func:`fold_detector`."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers.to(memory_format=torch.channels_last)

    def heatmaps(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B K S/4 S/4"]:
        """Unnormalised heatmaps of images in [-1, 1]."""
        heatmaps: Tensor = self.layers(images.contiguous(memory_format=torch.channels_last))
        return heatmaps.contiguous()


class FoldedResidualDown(nn.Module):
    """A residual block whose two first convolutions are one, the shortcut's channels before the body's."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B O H/2 W/2"]:
        """Shortcut plus body, then LeakyReLU."""
        shortcut, body = self.first(x).chunk(2, dim=1)
        body = self.second(F.leaky_relu(body, NEGATIVE_SLOPE))
        return F.leaky_relu_(body.add_(shortcut), NEGATIVE_SLOPE)


def stack_convolutions(convolutions: list[nn.Conv2d]) -> nn.Conv2d:
    """One convolution that yields the output channels of several, which read the same input, in turn."""
    weight = torch.cat([convolution.weight for convolution in convolutions])
    bias = torch.cat([_bias(convolution) for convolution in convolutions])
    return _convolution(weight, bias, like=convolutions[0])


def halving_convolution(convolution: nn.Module) -> nn.Conv2d:
    """The same convolution with its 4x4 kernel of stride 2 made in advance."""
    assert isinstance(convolution, HalvingConv2d)
    return _convolution(halving_kernel(convolution.weight), _bias(convolution), like=convolution, stride=2)


def fuse_norm(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """A convolution and the batch norm after it, as it is in eval mode, as one convolution."""
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return _convolution(weight, bias, like=convolution)


def _fold(layer: nn.Module) -> nn.Module:
    if isinstance(layer, ResidualDown):
        return _fold_residual(layer)
    if isinstance(layer, Up):
        return fold_sequence(layer)
    assert isinstance(layer, nn.Conv2d)
    return _convolution(layer.weight, _bias(layer), like=layer)


def _fold_residual(block: ResidualDown) -> FoldedResidualDown:
    (skip, skip_norm), (first, first_norm, _, second, second_norm) = block.shortcut, block.body
    both = [fuse_norm(halving_convolution(conv), norm) for conv, norm in ((skip, skip_norm), (first, first_norm))]
    return FoldedResidualDown(stack_convolutions(both), fuse_norm(second, second_norm))


def _bias(convolution: nn.Conv2d) -> Tensor:
    return convolution.weight.new_zeros(len(convolution.weight)) if convolution.bias is None else convolution.bias


def _convolution(weight: Tensor, bias: Tensor, *, like: nn.Conv2d, stride: int | None = None) -> nn.Conv2d:
    """A new convolution of its own memory, padded as another one and, unless told otherwise, of its stride."""
    out_channels, in_channels, size, _ = weight.shape
    convolution = nn.Conv2d(in_channels, out_channels, size, stride=stride or like.stride[0], padding=like.padding[0])
    convolution.to(weight).load_state_dict({"weight": weight, "bias": bias})
    return convolution
