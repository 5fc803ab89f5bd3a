"""Poses smoothed over time: which ways there are, and what a median does at the ends and beside lost poses."""

import numpy as np
import pytest
from helpers.messages import raises_mentioning

from autolink_gen.inference.smoothing import Smoother, Smoothing


def medians(values: list[float | None], *, window: int) -> list[tuple[float | None, int]]:
    """What comes out for poses of one keypoint at (value, 0), with the number of frames pushed by then."""
    smoother, out = Smoother[int](Smoothing("median", window)), []
    for number, value in enumerate(values):
        pose = None if value is None else np.array([[value, 0.0]])
        out += [(item, found, number + 1) for found, item in smoother.push(pose, number, time_s=number / 25)]
    out += [(item, found, len(values)) for found, item in smoother.finish()]
    assert [item for item, *_ in out] == list(range(len(values)))
    return [(None if found is None else float(found[0, 0]), pushed) for _, found, pushed in out]


def test_a_median_by_hand() -> None:
    values = [0.0, 9.0, 1.0, 2.0, 3.0, 9.0, 4.0]
    expected = [0.0, 1.0, 2.0, 3.0, 3.0, 4.0, 4.0]  # of one, three and five frames, and so back
    assert [value for value, _ in medians(values, window=5)] == expected


def test_a_median_waits_for_half_its_window_alone() -> None:
    assert [pushed for _, pushed in medians([0.0] * 6, window=5)] == [3, 4, 5, 6, 6, 6]


def test_lost_poses_stay_lost_and_count_for_no_other() -> None:
    found = [value for value, _ in medians([0.0, None, 8.0, 2.0, None, None, None], window=3)]
    assert found == [0.0, None, 5.0, 5.0, None, None, None]


def test_ways_to_smooth_are_read() -> None:
    for words, expected in {
        "one-euro": Smoothing(),
        "median": Smoothing("median", 5),
        "median:9": Smoothing("median", 9),
        True: Smoothing(),
        False: None,
        None: None,
    }.items():
        assert Smoothing.parse(words) == expected


@pytest.mark.parametrize("words", ["mean", "median:", "median:4", "median:1", "median:101", "median:-3", "one-euro:5"])
def test_ways_that_there_are_not_are_refused(words: str) -> None:
    with raises_mentioning(ValueError, "smooth", "median"):
        Smoothing.parse(words)
