"""How widely heatmaps spread: a point, two points, nothing at all."""

import pytest
import torch

from autolink_gen.ops.heatmaps import heatmap_widths


def test_widths_by_hand():
    maps = torch.full((2, 2, 5, 9), -1e4)
    maps[0, 0, 1, 2] = 0  # one point
    maps[0, 1, 0, 0] = maps[0, 1, 4, 0] = 0  # two, at y of -1 and 1
    maps[1, 0, 2, 0] = maps[1, 0, 2, 8] = 0  # two, at x of -1 and 1
    maps[1, 1, 0, 0] = maps[1, 1, 4, 8] = 0  # two corners
    torch.testing.assert_close(heatmap_widths(maps), torch.tensor([[0.0, 1.0], [1.0, 2**0.5]]))


def test_a_map_that_says_nothing_is_as_wide_as_can_be_of_all_that_are_even():
    assert heatmap_widths(torch.full((1, 1, 64, 64), 3.0)).item() == pytest.approx((2 / 3) ** 0.5, abs=0.03)
    assert heatmap_widths(torch.zeros(1, 1, 8, 8, dtype=torch.float16)).dtype == torch.float32
