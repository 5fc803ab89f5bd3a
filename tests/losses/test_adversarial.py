"""Equations 7 to 9 by hand, and the gradients of the penalty against finite differences."""

import math

import pytest
import torch

from autolink_gen.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    keypoint_distances,
    relativistic_loss,
    structure_loss,
)
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_equation_7_by_hand():
    assert generator_loss(torch.tensor([0.0, 2.0])).item() == pytest.approx((math.log(2) + softplus(-2)) / 2)


def test_equation_8_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0])
    expected = (softplus(-1) + math.log(2)) / 2 + (softplus(-1) + softplus(-3)) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(expected)


def test_the_relativistic_loss_by_hand_and_its_two_sides():
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert relativistic_loss(one, other).item() == pytest.approx((softplus(-1) + softplus(2)) / 2)
    assert relativistic_loss(one + 5, other + 5).item() == pytest.approx(relativistic_loss(one, other).item())


def test_logits_far_out_stay_finite():
    far = torch.tensor([-1e4, 1e4])
    for loss in (generator_loss(far), discriminator_loss(far, far), relativistic_loss(far, far.flip(0))):
        assert torch.isfinite(loss)


def test_equation_9_by_hand():
    """The gradient of a linear logit is its weight, whatever the picture: |a|^2 = 3 * 4 * 0.25."""
    pictures = torch.rand(5, 3, 2, 2, requires_grad=True)
    assert gradient_penalty((0.5 * pictures).sum((1, 2, 3)), pictures).item() == pytest.approx(3.0)
    squares = gradient_penalty(pictures.square().sum((1, 2, 3)), pictures)  # here the gradient is 2x
    assert squares.item() == pytest.approx(4 * pictures.square().sum().item() / 5, rel=1e-5)


def test_distances_of_keypoints_are_means_with_finite_gradients_at_none():
    detected = torch.tensor([[[0.3, 0.4], [0.0, 0.0]], [[0.0, 0.1], [0.0, 0.0]]], requires_grad=True)
    distances = keypoint_distances(detected, torch.zeros(2, 2, 2))
    distances.sum().backward()
    assert torch.allclose(distances, torch.tensor([0.3, 0.0]))
    assert torch.allclose(detected.grad, torch.tensor([[[0.3, 0.4], [0.0, 0.0]], [[0.0, 0.5], [0.0, 0.0]]]))


def test_the_structure_loss_asks_for_no_more_than_real_pictures_have():
    painted = torch.tensor([0.5, 0.1, 0.2], requires_grad=True)
    loss = structure_loss(painted, torch.tensor([0.2, 0.3, 0.2]))
    loss.backward()
    assert loss.item() == pytest.approx(0.1)
    assert torch.allclose(painted.grad, torch.tensor([1 / 3, 0.0, 0.0]))


def test_gradients_of_the_penalty_agree_with_finite_differences():
    """Of a whole small discriminator, in double precision, for each of its parameters."""
    torch.manual_seed(0)
    network = Discriminator(GanConfig(image_size=64, width=0.01, sees_edges=True, minibatch_std=True)).double()
    pictures = (torch.rand(4, 3, 64, 64, dtype=torch.float64) * 2 - 1).requires_grad_()
    maps = torch.rand(4, 1, 64, 64, dtype=torch.float64)

    def penalty() -> torch.Tensor:
        return gradient_penalty(network(pictures, maps), pictures)

    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True)
    draw = torch.Generator().manual_seed(1)
    compared = 0
    for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
        place = int(torch.randint(parameter.numel(), (), generator=draw))
        flat, step = parameter.data.view(-1), 1e-6
        old = flat[place].item()
        flat[place] = old + step
        above = penalty().item()
        flat[place] = old - step
        below = penalty().item()
        flat[place] = old
        found = 0.0 if gradient is None else gradient.reshape(-1)[place].item()
        assert found == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-8), name
        compared += abs(found) > 1e-9
    assert compared > 8  # biases of the last layers have none, most weights do
