"""Powers of maps: their values, and slopes that are finite where a root has none."""

import pytest
import torch

from autolink_gen.ops.powers import power


def test_values_are_those_of_the_power():
    maps = torch.tensor([0.0, 1e-30, 0.25, 1.0, 4.0])
    assert torch.equal(power(maps, 0.5), maps**0.5)
    assert torch.equal(power(maps, 2.0), maps**2.0)
    assert power(maps, 1.0) is maps
    assert power(maps.bfloat16(), 0.5).dtype == torch.bfloat16


@pytest.mark.parametrize("exponent", [0.5, 1.5, 2.0])
def test_slopes_are_those_of_the_power_and_zero_at_zero(exponent):
    maps = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: power(x, exponent), maps)
    assert torch.autograd.gradgradcheck(lambda x: power(x, exponent), maps)
    maps = torch.tensor([0.0, 4.0], requires_grad=True)
    (slopes,) = torch.autograd.grad(power(maps, exponent).sum(), maps, create_graph=True)
    torch.testing.assert_close(slopes, torch.tensor([0.0, exponent * 4 ** (exponent - 1)]))
    (curves,) = torch.autograd.grad(slopes.square().sum(), maps)
    assert curves[0] == 0 and curves[1].isfinite()
