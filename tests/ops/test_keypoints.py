"""Soft-argmax, and which keypoints have edges."""

import pytest
import torch

from autolink_gen.ops.keypoints import linked_keypoints, soft_argmax


def test_a_peak_is_found_in_x_y_order():
    heatmaps = torch.full((1, 1, 5, 9), -50.0)
    heatmaps[0, 0, 1, 6] = 50.0  # row 1 of 5, column 6 of 9
    torch.testing.assert_close(soft_argmax(heatmaps), torch.tensor([[[0.5, -0.5]]]))


def test_a_flat_heatmap_gives_the_centre():
    torch.testing.assert_close(soft_argmax(torch.zeros(2, 3, 8, 8)), torch.zeros(2, 3, 2), atol=1e-6, rtol=0)


def test_two_pixels_by_hand():
    heatmaps = torch.tensor([[[[0.0, 3.0**0.5]]]])
    right = torch.tensor(3.0**0.5).exp() / (1 + torch.tensor(3.0**0.5).exp())
    assert soft_argmax(heatmaps)[0, 0, 0].item() == pytest.approx((2 * right - 1).item(), rel=1e-5)


def test_gradcheck():
    heatmaps = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(soft_argmax, (heatmaps.requires_grad_(),))


def test_half_precision_keeps_its_coordinates_precise():
    heatmaps = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    keypoints = soft_argmax(heatmaps)
    assert keypoints.dtype == torch.float32
    torch.testing.assert_close(keypoints, soft_argmax(heatmaps.float()))


def test_keypoints_with_edges_are_found():
    weights = torch.zeros(5, 5)
    assert linked_keypoints(weights).tolist() == [0, 1, 2, 3, 4], "where none has an edge, all count"
    weights[1, 4] = weights[4, 1] = 1e-30
    assert linked_keypoints(weights.requires_grad_()).tolist() == [1, 4]
