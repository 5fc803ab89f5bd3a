"""Scaling activations equals StyleGAN2's definition: a kernel of its own for each picture."""

import pytest
import torch
import torch.nn.functional as F

from autolink_gen.models.modulation import ModulatedConv2d, StyledUp


def by_kernels(layer: ModulatedConv2d, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """StyleGAN2 eq. 1 and 3 as they stand, by one grouped convolution over the batch."""
    batch, _, height, width = x.shape
    scale = layer.to_scale(style) + 1
    kernels = layer.convolution.weight[None] * scale[:, None, :, None, None]
    kernels = kernels * torch.rsqrt(kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    stacked = F.conv2d(x.reshape(1, -1, height, width), kernels.flatten(0, 1), padding=1, groups=batch)
    return stacked.view(batch, -1, height, width) + layer.convolution.bias[:, None, None]


@pytest.fixture
def layer() -> ModulatedConv2d:
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 7, 6).double()
    torch.nn.init.normal_(layer.convolution.bias)
    return layer


def test_outputs_and_gradients_are_those_of_kernels_of_their_own(layer):
    x = torch.randn(3, 5, 8, 9, dtype=torch.float64, requires_grad=True)
    style = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    wanted = [x, style, *layer.parameters()]
    outputs = [layer(x, style), by_kernels(layer, x, style)]
    assert outputs[0].shape == (3, 7, 8, 9)
    assert torch.allclose(*outputs, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(outputs[0])
    for ours, theirs in zip(*(torch.autograd.grad(out, wanted, upstream) for out in outputs), strict=True):
        assert ours.abs().max() > 0
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_the_length_of_a_scale_does_not_matter(layer):
    """Demodulation: twice the scales, the same outputs."""
    x, style = torch.randn(2, 5, 4, 4, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    before = layer(x, style)
    with torch.no_grad():
        layer.to_scale.weight.mul_(2)
        layer.to_scale.bias.mul_(2).add_(1)  # 2 (scale + 1) = (2 scale + 1) + 1
    assert torch.allclose(layer(x, style), before, atol=1e-8)


@pytest.mark.parametrize(("upsample", "side"), [(True, 16), (False, 8)])
def test_a_block_doubles_or_keeps_the_size(upsample, side):
    block = StyledUp(4, 6, 5, upsample=upsample)
    assert block(torch.randn(2, 4, 8, 8), torch.randn(2, 5)).shape == (2, 6, side, side)


def test_the_shortcut_is_added():
    block = StyledUp(4, 4, 5, upsample=False)
    for convolution in (block.first.convolution, block.second.convolution):
        torch.nn.init.zeros_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x, torch.randn(2, 5)), x)
