"""A few of many, evenly spread."""

import numpy as np
import pytest

from autolink_gen.common.spread import evenly


@pytest.mark.parametrize(
    ("count", "number", "from_first", "to_last"),
    [
        (10, 4, [0, 2, 5, 7], [0, 3, 6, 9]),
        (7, 2, [0, 3], [0, 6]),
        (3, 8, [0, 1, 2], [0, 1, 2]),
        (5, 1, [0], [0]),
        (1, 1, [0], [0]),
        (0, 4, [], []),
        (4, 0, [], []),
    ],
)
def test_by_hand(count: int, number: int, from_first: list[int], to_last: list[int]) -> None:
    assert evenly(count, number) == from_first
    assert evenly(count, number, with_last=True) == to_last


@pytest.mark.parametrize("with_last", [False, True])
def test_none_comes_twice_and_gaps_differ_by_one_at_most(with_last: bool) -> None:
    for count in range(2, 200, 7):
        for number in range(2, count + 1):
            gaps = np.diff(evenly(count, number, with_last=with_last))
            assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
