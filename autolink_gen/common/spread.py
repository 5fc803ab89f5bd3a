"""Evenly spread indices."""

import numpy as np


def evenly(count: int, number: int, *, with_last: bool = False) -> list[int]:
    """At most `number` rising indices, evenly spread over `count` items.

    They begin with the first item, and each stands for an equal share: 0, 2, 5, 7 of 10. With `with_last` they end with
    the last item: 0, 3, 6, 9 of 10.

    >>> evenly(10, 4), evenly(10, 4, with_last=True), evenly(3, 8)
    ([0, 2, 5, 7], [0, 3, 6, 9], [0, 1, 2])
    """
    number = min(number, count)
    if with_last:
        places: list[int] = np.linspace(0, count - 1, number).round().astype(int).tolist()
        return places
    return [i * count // number for i in range(number)]
