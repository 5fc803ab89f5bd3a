"""Progress of long work: a bar in a terminal or a notebook, a line now and then elsewhere, nothing where hidden."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from autolink_gen.common.text import printable

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Puts a bar around items, given their number and a label."""

_LINE_EVERY_S = 30.0
# Its level hides bars and lines, from Python too: logging.getLogger("autolink_gen.progress").setLevel("WARNING").
_log = logging.getLogger("autolink_gen.progress")


def no_progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items without a progress bar."""
    return items


def progress_bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items under a progress bar, which appears after a second.

    What is no terminal or notebook, a log file say, gets a line each half minute instead.
    """
    if shows_bars():
        return _tqdm()(items, total=total, desc=printable(label), leave=False, delay=1)
    return items if is_hidden() else _with_lines(items, total, label)


def shows_bars() -> bool:
    """Whether bars are drawn: where a person sees them, unless they are hidden."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return not is_hidden() and (is_terminal or "ipykernel" in sys.modules)


def is_hidden() -> bool:
    """Whether no progress is shown at all."""
    return _log.level > logging.INFO


def hide_progress(hidden: bool) -> None:
    """Show no progress from now on, or show it again."""
    _log.setLevel(logging.WARNING if hidden else logging.NOTSET)


def write_above_bars(text: str) -> None:
    """Write a line to the standard error, above a progress bar where there is one."""
    _tqdm().write(text, file=sys.stderr)


def _with_lines(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    said_at = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - said_at >= _LINE_EVERY_S:
            said_at = time.monotonic()
            write_above_bars(f"{printable(label)}: {done} of {total}")
        yield item


def _tqdm() -> Any:
    """tqdm for a terminal or a notebook, imported late because that is slow."""
    from tqdm.auto import tqdm

    return tqdm
