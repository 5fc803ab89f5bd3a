"""What edges cost: by hand, and who learns from it."""

import pytest
import torch

from autolink_gen.losses.edges import edge_cost


def line(weights: dict[tuple[int, int], float]) -> torch.Tensor:
    matrix = torch.zeros(3, 3, dtype=torch.float64)
    for (i, j), weight in weights.items():
        matrix[i, j] = matrix[j, i] = weight
    return matrix


POINTS = torch.tensor([[[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]]], dtype=torch.float64)


def test_cost_by_hand():
    cost = edge_cost(POINTS, line({(0, 1): 2.0, (0, 2): 3.0}), floor=0.1)
    assert float(cost) == pytest.approx(2 * (0.25 + 0.1) + 3 * (1 + 0.1))


def test_two_short_edges_cost_less_than_the_long_one_they_replace():
    short = edge_cost(POINTS, line({(0, 1): 1.0, (1, 2): 1.0}), floor=0.02)
    assert short < edge_cost(POINTS, line({(0, 2): 1.0}), floor=0.02)


def test_an_edge_of_no_length_costs_the_floor():
    points = torch.zeros(2, 2, 2, dtype=torch.float64)
    assert float(edge_cost(points, torch.ones(2, 2, dtype=torch.float64), floor=0.02)) == pytest.approx(0.02)


def test_lengths_are_the_mean_over_pictures():
    points = torch.cat([POINTS, 0 * POINTS])
    assert float(edge_cost(points, line({(0, 2): 1.0}), floor=0.0)) == pytest.approx(0.5)


def test_weights_alone_learn():
    points, weights = POINTS.clone().requires_grad_(), line({(0, 1): 1.0}).requires_grad_()
    edge_cost(points, weights, floor=0.02).backward()
    assert points.grad is None
    assert torch.allclose(weights.grad, torch.tensor([[0, 0.27, 1.02], [0, 0, 0.27], [0, 0, 0]], dtype=torch.float64))
