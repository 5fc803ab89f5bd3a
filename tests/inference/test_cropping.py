"""Crops found from keypoints, and squares put back into their pictures."""

import numpy as np
import pytest

from autolink_gen.inference import cropping
from autolink_gen.inference.cropping import Crop, find_crop, middle_square

USUAL = np.array([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])


def picture_of(square: tuple[int, int, int], *, height: int = 240, width: int = 320) -> np.ndarray:
    """Black with a white square: left, top, side."""
    left, top, side = square
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    return pixels


def corners(squares: list[np.ndarray]) -> np.ndarray:
    """The corners of what is white, or NaN where nothing is."""
    found = []
    for square in squares:
        rows, columns = np.nonzero(square[..., 0] > 127)
        if not len(rows):
            found.append(np.full((4, 2), np.nan))
            continue
        low, high = ((np.array([f(columns), f(rows)]) + 0.5) / len(square) * 2 - 1 for f in (np.min, np.max))
        found.append(np.array([low, (high[0], low[1]), high, (low[0], high[1])]))
    return np.stack(found)


@pytest.mark.parametrize("square", [(140, 100, 40), (90, 60, 110), (250, 30, 30), (60, 120, 80)])
def test_the_object_comes_to_lie_as_usual(square):
    crop = find_crop([picture_of(square)], corners, USUAL)
    left, top, side = square
    assert crop.side == pytest.approx(2 * side, rel=0.1), "it fills half of the crop's width"
    assert crop.left + crop.side / 2 == pytest.approx(left + side / 2, abs=0.08 * side)
    assert crop.top + crop.side / 2 == pytest.approx(top + side / 2, abs=0.08 * side)


@pytest.mark.parametrize(("square", "expected"), [((60, 10, 220), Crop(50, 0, 240)), ((0, 100, 60), Crop(0, 70, 120))])
def test_a_crop_stays_inside_the_picture(square, expected):
    crop = find_crop([picture_of(square)], corners, USUAL)
    assert abs(crop.left - expected.left) <= 2 and abs(crop.top - expected.top) <= 2
    assert abs(crop.side - expected.side) <= 2
    assert min(crop.left, crop.top) >= 0 and crop.left + crop.side <= 320 and crop.top + crop.side <= 240


def test_the_median_of_several_frames_counts():
    pictures = [picture_of((100 + shift, 80, 60)) for shift in (-4, 0, 4, 100)]
    crop = find_crop(pictures, corners, USUAL)
    assert crop.left + crop.side / 2 == pytest.approx(132, abs=8)


def test_nothing_to_see_leaves_the_middle():
    empty = np.zeros((240, 320, 3), np.uint8)
    assert find_crop([empty], corners, USUAL) == middle_square(empty) == Crop(40, 0, 240)
    assert find_crop([picture_of((9, 9, 9))], corners, np.zeros((0, 4, 2))) == Crop(40, 0, 240)


def test_a_crop_over_the_border_goes_on_with_the_border():
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    taken = Crop(-1, -2, 4).take(pixels)
    assert taken.shape == (4, 4, 3)
    assert np.array_equal(taken[2:, 1:], pixels[:2, :3])
    assert np.array_equal(taken[0, 0], pixels[0, 0])


def test_a_square_is_put_back_strip_by_strip_as_at_once(monkeypatch):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    painted = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for crop in (Crop(10, 5, 40), Crop(-7, 20, 45)):
        expected = crop.put_back(painted, pixels)
        monkeypatch.setattr(cropping, "_STRIP_PX", 100)
        assert np.array_equal(crop.put_back(painted, pixels), expected)
        monkeypatch.undo()


def test_a_square_is_put_back_where_it_was_taken():
    pixels = picture_of((100, 60, 80))
    for crop in (Crop(80, 40, 120), Crop(-20, 150, 120)):
        assert np.abs(crop.put_back(crop.take(pixels), pixels).astype(int) - pixels).max() <= 1
        red = np.zeros((16, 16, 3), np.uint8)
        red[..., 0] = 200
        changed = crop.put_back(red, pixels)
        middle = crop.top + crop.side // 2, crop.left + crop.side // 2
        assert np.array_equal(changed[middle], [200, 0, 0])
        outside = np.ones(pixels.shape[:2], bool)
        outside[max(crop.top, 0) : crop.top + crop.side, max(crop.left, 0) : crop.left + crop.side] = False
        assert np.array_equal(changed[outside], pixels[outside])
