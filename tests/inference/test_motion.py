"""Movement given from one set of keypoints to another."""

import numpy as np
import pytest

from autolink_gen.inference.motion import OneEuroFilter, RelativeMotion, absolute_motion, pose_distance, spread

RIGHT = np.array([1.0, 0.0])
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def test_spread_by_hand():
    assert spread(SQUARE) == pytest.approx(2**0.5)
    assert spread(SQUARE * 0.5 + 3) == pytest.approx(2**0.5 / 2)


def test_pose_distance_knows_neither_place_nor_size():
    assert pose_distance(SQUARE, SQUARE * 0.3 + 0.2) == pytest.approx(0, abs=1e-9)
    bent = SQUARE.copy()
    bent[2] += 0.5
    assert pose_distance(SQUARE, bent) > 0.1
    assert np.isfinite(pose_distance(SQUARE, np.zeros((4, 2))))


def test_relative_motion():
    source, reference = SQUARE * 0.5, SQUARE + 0.25
    moved = reference.copy()
    moved[0] += (0.2, -0.1)
    plain, scaled = (RelativeMotion(source, reference, adapt_scale=scale) for scale in (False, True))
    assert np.allclose(plain(reference), source)
    assert np.allclose(plain(moved)[0], source[0] + (0.2, -0.1))
    assert np.allclose(scaled(moved)[0], source[0] + (0.1, -0.05))
    assert np.allclose(scaled(moved)[1:], source[1:])


def test_absolute_motion():
    source, reference = SQUARE * 0.5 + 0.1, SQUARE - 0.25
    moved = reference + 0.4 * RIGHT
    assert absolute_motion(moved, source=source, reference=reference, adapt_scale=False) is moved
    laid = absolute_motion(reference, source=source, reference=reference, adapt_scale=True)
    assert np.allclose(laid, source)
    assert np.allclose(
        absolute_motion(moved, source=source, reference=reference, adapt_scale=True), source + 0.2 * RIGHT
    )


def test_a_resting_pose_is_smoothed_and_a_moving_one_is_followed():
    noise = np.random.default_rng(0).normal(0, 0.02, (200, 4, 2))
    rest, still = OneEuroFilter(), []
    for number, offset in enumerate(noise):
        still.append(rest(SQUARE + offset, time_s=number / 25))
    assert np.std(np.array(still)[50:], axis=0).mean() < 0.5 * 0.02
    moving = OneEuroFilter()
    for number in range(50):
        asked = SQUARE + number / 25 * 2.0
        got = moving(asked, time_s=number / 25)
    lagging = OneEuroFilter(beta=0.0)
    for number in range(50):
        late = lagging(SQUARE + number / 25 * 2.0, time_s=number / 25)
    assert np.abs(got - asked).max() < 0.2 < np.abs(late - asked).max()


def test_one_step_by_hand():
    smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    smooth(np.zeros((1, 2)), time_s=0.0)
    turn = 2 * np.pi * 0.1
    assert np.allclose(smooth(np.ones((1, 2)), time_s=0.1), turn / (turn + 1))


def test_times_and_settings_are_checked():
    smooth = OneEuroFilter()
    first = smooth(SQUARE, time_s=1.0)
    assert np.array_equal(first, SQUARE) and first is not SQUARE
    assert np.array_equal(smooth(SQUARE + 1, time_s=1.0), SQUARE), "no time has passed"
    with pytest.raises(ValueError, match=r"time_s is 0\.5 after 1\.0"):
        smooth(SQUARE, time_s=0.5)
    with pytest.raises(ValueError, match=r"min_cutoff is 0\.0"):
        OneEuroFilter(min_cutoff=0.0)
    with pytest.raises(ValueError, match=r"beta is -1\.0"):
        OneEuroFilter(beta=-1.0)
