"""A progress-bar hook that callers can pass to long-running functions."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from autolink_gen.common.text import printable

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Puts a bar around items, given their number and a label."""


def no_progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items without a progress bar."""
    return items


def progress_bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items under a progress bar, which appears after a second, in terminals and notebooks."""
    return _tqdm()(items, total=total, desc=printable(label), leave=False, delay=1)


def write_above_bars(text: str) -> None:
    """Write a line to the standard error, above a progress bar where there is one."""
    _tqdm().write(text, file=sys.stderr)


def _tqdm() -> Any:
    """tqdm for a terminal or a notebook, imported late because that is slow."""
    from tqdm.auto import tqdm

    return tqdm
