"""Flows that follow keypoints, and maps moved by them."""

import pytest
import torch

from autolink_gen.ops.warping import keypoint_flow, warp


def points(*pairs: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([pairs], dtype=torch.float64)


def test_keypoints_that_stay_leave_everything_where_it_is():
    here = points((-0.5, 0.25), (0.5, -0.75))
    flow = keypoint_flow(here, here, sigma2=0.05, size=9)
    assert flow.shape == (1, 9, 9, 2)
    axis = torch.linspace(-1, 1, 9, dtype=torch.float64)
    assert torch.allclose(flow[0, :, :, 0], axis.expand(9, 9))
    assert torch.allclose(flow[0, :, :, 1], axis[:, None].expand(9, 9))
    picture = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    assert torch.allclose(warp(picture, flow), picture)


def test_flow_by_hand():
    here, there = points((0.0, 0.0)), points((0.5, -0.25))
    flow = keypoint_flow(here, there, sigma2=0.25, size=5)
    at_keypoint = 1 / (1 + torch.exp(torch.tensor(-4.0, dtype=torch.float64)))
    expected = at_keypoint * torch.tensor([0.5, -0.25], dtype=torch.float64)
    assert torch.allclose(flow[0, 2, 2], expected)
    half = torch.sigmoid(torch.tensor(-0.25 / 0.25 + 4.0, dtype=torch.float64))  # at (0.5, 0)
    assert torch.allclose(flow[0, 2, 3], torch.tensor([0.5, 0.0], dtype=torch.float64) + half * (there - here)[0, 0])


def test_a_dot_is_looked_up_where_its_keypoint_was():
    there = points((-0.5, 0.0), (0.8, 0.8))
    picture = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    picture[0, 0, 16, 8] = 1.0  # at (-0.5, 0)
    here = points((0.25, -0.5), (0.8, 0.8))
    moved = warp(picture, keypoint_flow(here, there, sigma2=0.05, size=33))
    assert moved[0, 0, 8, 20] > 0.6
    assert moved[0, 0, 8, 8] == moved[0, 0, 16, 20] == 0


def test_far_from_all_keypoints_nothing_moves():
    here, there = points((-0.9, -0.9)), points((-0.5, -0.9))
    flow = keypoint_flow(here, there, sigma2=0.02, size=9)
    assert torch.allclose(flow[0, 8, 8], torch.ones(2, dtype=torch.float64), atol=1e-6)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    here, there = (torch.rand(2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: keypoint_flow(a, b, sigma2=0.3, size=4), (here, there))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(Exception, match="keypoint_flow"):
        keypoint_flow(torch.zeros(3, 2), torch.zeros(3, 2), sigma2=0.1, size=4)
