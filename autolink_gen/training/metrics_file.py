"""``metrics.jsonl``: what a run logs, a line of JSON at a time."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from autolink_gen.common.files import whole

_MOST_LINE = 2**16  # bytes; ours have a few hundred


def drop_later_lines(path: Path, step: int) -> None:
    """Drop the lines after the step that a run resumes from, and foreign lines."""
    if not path.is_file():
        return
    with whole(path) as temporary, temporary.open("wb") as file:
        file.writelines(line for line in _whole_lines(path) if _is_until(line, step))


def logged(path: Path, name: str) -> list[float]:
    """The values of a metric, in the order in which they were logged."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in _whole_lines(path) if _is_until(line, sys.maxsize)]
    return [row[name] for row in rows if isinstance(row.get(name), int | float)]


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The complete lines of usual length."""
    with path.open("rb") as file:
        is_rest = False
        while line := file.readline(_MOST_LINE):
            has_end = line.endswith(b"\n")
            if has_end and not is_rest:
                yield line
            is_rest = not has_end


def _is_until(line: bytes, step: int) -> bool:
    """Whether a line is one of ours, of a step up to this one."""
    try:
        logged = json.loads(line)["step"]
    # A line that a kill cut short, or another's: no UTF-8, no JSON, no mapping, nested without end.
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(logged, int) and logged <= step
