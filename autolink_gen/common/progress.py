"""Progress hooks: callers of a long function may put a bar around what it goes through."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from autolink_gen.common.text import printable

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Puts a bar around items, given their number and a label."""


def no_progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items as they are; stands in for a progress bar over `total` of them."""
    return items


def progress_bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items under a bar with the time left, in a terminal or a notebook, if they take more than a second."""
    return _tqdm()(items, total=total, desc=printable(label), leave=False, delay=1)


def write_above_bars(text: str) -> None:
    """Write a line to the standard error, above a progress bar where there is one."""
    _tqdm().write(text, file=sys.stderr)


def _tqdm() -> Any:
    """tqdm for a terminal or a notebook: imported when a bar is shown, as that takes a while."""
    from tqdm.auto import tqdm

    return tqdm
