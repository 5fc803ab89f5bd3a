"""Flows that follow keypoints, and maps moved by them."""

import pytest
import torch

from autolink_gen.ops.warping import keypoint_flow, keypoint_strengths, warp


def points(*pairs: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([pairs], dtype=torch.float64)


def even(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.float64)


def test_keypoints_that_stay_leave_everything_where_it_is():
    here = points((-0.5, 0.25), (0.5, -0.75))
    flow = keypoint_flow(here, here, even(2), sigma2=0.05, size=9)
    assert flow.shape == (1, 9, 9, 2)
    axis = torch.linspace(-1, 1, 9, dtype=torch.float64)
    assert torch.allclose(flow[0, :, :, 0], axis.expand(9, 9))
    assert torch.allclose(flow[0, :, :, 1], axis[:, None].expand(9, 9))
    picture = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    assert torch.allclose(warp(picture, flow), picture)


def test_flow_by_hand():
    here, there = points((0.0, 0.0)), points((0.5, -0.25))
    flow = keypoint_flow(here, there, even(1), sigma2=0.25, size=5)
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
    moved = warp(picture, keypoint_flow(here, there, even(2), sigma2=0.05, size=33))
    assert moved[0, 0, 8, 20] > 0.6
    assert moved[0, 0, 8, 8] == moved[0, 0, 16, 20] == 0


def test_far_from_all_keypoints_nothing_moves():
    here, there = points((-0.9, -0.9)), points((-0.5, -0.9))
    flow = keypoint_flow(here, there, even(1), sigma2=0.02, size=9)
    assert torch.allclose(flow[0, 8, 8], torch.ones(2, dtype=torch.float64), atol=1e-6)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    here, there = (torch.rand(2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    strengths = torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: keypoint_flow(a, b, strengths, sigma2=0.3, size=4), (here, there))


def test_the_map_is_the_weighted_least_squares_fit():
    """Against a solver, at one place: a ridge on the linear part of the map, none on the shift."""
    generator = torch.Generator().manual_seed(2)
    here, there = (torch.rand(1, 5, 2, generator=generator, dtype=torch.float64) - 0.5 for _ in range(2))
    strengths = torch.tensor([1.0, 0.7, 0.4, 0.2, 0.9], dtype=torch.float64)
    flow = keypoint_flow(here, there, strengths, sigma2=0.5, size=3)
    place = torch.zeros(2, dtype=torch.float64)  # the middle
    weights = strengths * (-here[0].square().sum(-1) / 0.5).exp()
    share, root = weights / weights.sum(), (weights / weights.sum()).sqrt()[:, None]
    centre = share @ here[0]
    rows = torch.cat([root * (here[0] - centre), 0.25**0.5 * torch.eye(2, dtype=torch.float64)])
    steps = there[0] - here[0]
    wanted = torch.cat([root * (steps - share @ steps), torch.zeros(2, 2, dtype=torch.float64)])
    linear = torch.linalg.lstsq(rows, wanted).solution
    moving = weights.sum() / (weights.sum() + torch.exp(torch.tensor(-4.0)))
    assert torch.allclose(flow[0, 1, 1], place + moving * (share @ steps + (place - centre) @ linear))


def test_keypoints_without_edges_carry_nothing():
    weights = torch.zeros(3, 3, dtype=torch.float64)
    weights[0, 1] = weights[1, 0] = 2.0
    weights[0, 2] = weights[2, 0] = 1e-6
    strengths = keypoint_strengths(weights)
    assert torch.allclose(strengths, torch.tensor([1.0, 1.0, 5e-7], dtype=torch.float64))
    here = points((-0.5, 0.0), (0.5, 0.0), (0.0, 0.5))
    there = points((-0.5, 0.0), (0.5, 0.0), (0.5, 0.5))
    moved, all_alike = (keypoint_flow(here, there, s, sigma2=0.5, size=9) for s in (strengths, even(3)))
    still = keypoint_flow(here, here, strengths, sigma2=0.5, size=9)
    assert (moved - still).abs().max() < 0.02
    assert (all_alike - still).abs().max() > 0.2
    assert torch.equal(keypoint_strengths(weights * 0), torch.zeros(3, dtype=torch.float64))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(Exception, match="keypoint_flow"):
        keypoint_flow(torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3), sigma2=0.1, size=4)


def test_a_keypoint_that_was_left_out_carries_nothing_wherever_it_goes():
    here, there = points((-0.5, 0.0), (0.5, 0.0), (0.0, 0.5)), points((-0.4, 0.0), (0.5, 0.1), (0.9, -0.9))
    strengths = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    with_it = keypoint_flow(here.requires_grad_(), there, strengths, sigma2=0.1, size=9)
    alone = keypoint_flow(here[:, :2], there[:, :2], strengths[:2], sigma2=0.1, size=9)
    assert torch.allclose(with_it, alone)
    with_it.sum().backward()
    assert here.grad.isfinite().all() and (here.grad[0, 2] == 0).all()
    assert keypoint_flow(here, there, strengths * 0, sigma2=0.1, size=4).isfinite().all()


def test_rounding_moves_no_place_by_a_thousandth_of_a_pixel():
    generator = torch.Generator().manual_seed(0)
    here, there = (torch.rand(4, 16, 2, generator=generator) * 2 - 1 for _ in range(2))
    strengths = torch.rand(16, generator=generator)
    exact = keypoint_flow(here.double(), there.double(), strengths.double(), sigma2=0.1, size=16)
    rounded = keypoint_flow(here, there, strengths, sigma2=0.1, size=16)
    assert (rounded - exact).abs().max() * 256 / 2 < 1e-3
