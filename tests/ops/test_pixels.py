"""Keypoints in [-1, 1] as pixels, and back."""

import numpy as np
import pytest
import torch

from autolink_gen.ops.pixels import enlarge_pixels, from_pixels, to_fractions, to_pixels

KINDS = {
    "tensor": lambda values: torch.tensor(values, dtype=torch.float32),
    "array": lambda values: np.array(values, dtype=np.float64),
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_by_hand(kind: str) -> None:
    corners = KINDS[kind]([[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5]]])
    pixels = to_pixels(corners, size=(101, 41))
    assert pixels.tolist() == [[[0.0, 0.0], [100.0, 40.0], [50.0, 30.0]]]
    assert from_pixels(pixels, size=(101, 41)).tolist() == corners.tolist()
    assert type(pixels) is type(corners) and pixels.dtype == corners.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_a_square_is_given_by_its_side(kind: str) -> None:
    points = KINDS[kind](np.random.default_rng(0).uniform(-1, 1, (3, 5, 2)).tolist())
    pixels = to_pixels(points, size=97)
    assert (pixels == to_pixels(points, size=(97, 97))).all()
    assert (pixels == (points + 1) / 2 * 96).all()
    assert (from_pixels(pixels, size=97) == from_pixels(pixels, size=(97, 97))).all()


def test_a_side_of_one_pixel_has_its_centre_at_minus_one() -> None:
    assert to_pixels(np.array([[0.3, 1.0]]), size=(1, 5)).tolist() == [[0.0, 4.0]]
    assert from_pixels(np.array([[0.0, 4.0]]), size=(1, 5)).tolist() == [[-1.0, 1.0]]
    assert from_pixels(torch.zeros(1, 2), size=1).tolist() == [[-1.0, -1.0]]


def test_enlarged_pixels_keep_their_place() -> None:
    """The first of ten pixels becomes 0 to 2 of thirty, with the centre at 1; the outer borders stay borders."""
    assert enlarge_pixels(np.array([0.0, 9.0, -0.5, 9.5]), 3).tolist() == [1.0, 28.0, -0.5, 29.5]
    assert enlarge_pixels(np.array([[0.0, 0.0]]), np.array([2, 4])).tolist() == [[0.5, 1.5]]
    assert enlarge_pixels(torch.tensor([2.25]), 1).tolist() == [2.25]


def test_fractions_go_from_border_to_border() -> None:
    outer = to_fractions(np.array([[-1.0, 1.0]]), size=10)
    np.testing.assert_allclose(outer, [[0.05, 0.95]])
    assert to_fractions(torch.zeros(1, 2), size=7).tolist() == [[0.5, 0.5]]


def test_gradients() -> None:
    points = torch.rand(2, 3, 2, dtype=torch.float64, requires_grad=True)
    for change in (to_pixels, from_pixels):
        assert torch.autograd.gradcheck(lambda values, change=change: change(values, size=(9, 5)), (points,))
