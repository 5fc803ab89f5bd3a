"""Rows of the table, and how long something takes on a device."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

Value = float | int | str | None
Values = dict[str, Value]
Choice = TypeVar("Choice")
_MOST_S = 3.0  # of all rounds of a measurement, about


@dataclass(frozen=True)
class Setting:
    """What is measured on: a device, a folder to write to, and whether all is made small.

    ``faces68`` is the root of that set, where it is at hand; a graph learns on it for ``minutes``.
    """

    device: str
    folder: Path
    small: bool = False
    faces68: Path | None = None
    minutes: float = 6.0
    recipes: tuple[str, ...] = ("gpu",)

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a CUDA device."""
        return self.device == "cuda"

    def pick(self, full: Choice, small: Choice) -> Choice:
        """The size of something here."""
        return small if self.small else full


class Case(NamedTuple):
    """A row that is to be measured."""

    name: str
    measure: Callable[[], Values]


@dataclass(frozen=True)
class Row:
    """A row of the table; ``error`` says in a line why there are no values."""

    section: str
    name: str
    values: Values = field(default_factory=dict)
    error: str | None = None
    took_s: float = 0.0


class SkippedError(Exception):
    """A row that is not for this machine, or that wants an option."""


def rows_of(section: str, cases: Iterator[Case], *, limit_s: float) -> Iterator[Row]:
    """Measure the cases, each by itself; those that begin after the limit are listed as not run."""
    began = time.monotonic()
    for case in cases:
        started = time.monotonic()
        if started - began > limit_s:
            yield Row(section, case.name, error=f"not run: {limit_s:.0f} s are up")
            continue
        try:
            values, error = case.measure(), None
        except SkippedError as reason:
            values, error = {}, f"skipped: {reason}"
        except Exception as problem:  # noqa: BLE001 - whatever it is, the other rows are measured
            values, error = {}, one_line(problem)
        yield Row(section, case.name, values, error, round(time.monotonic() - started, 1))
        _forget()


def one_line(problem: BaseException) -> str:
    """An error in a line."""
    if isinstance(problem, torch.OutOfMemoryError):
        return "out of memory"
    lines = str(problem).strip().splitlines() or [""]
    return f"{type(problem).__name__}: {lines[0][:200]}"


def _forget() -> None:
    """Give memory back that a row has used, its graphs and compiled networks too."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def wait(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any], device: str, *, times: int = 1) -> float:
    """Seconds of so many runs in a row."""
    wait(device)
    started = time.perf_counter()
    for _ in range(times):
        run()
    wait(device)
    return time.perf_counter() - started


def median_ms(
    run: Callable[[], Any], setting: Setting, *, device: str | None = None, rounds: int = 5, least_s: float = 0.05
) -> float:
    """Milliseconds of a run: the median of rounds, each of as many runs as take about ``least_s``; two go first.

    Of what takes long there are fewer rounds.
    """
    device = device or setting.device
    run()
    if setting.small:
        return 1e3 * seconds(run, device)
    once_s = max(1e-6, seconds(run, device))
    times = max(1, min(100, math.ceil(least_s / once_s)))
    rounds = max(1, min(rounds, round(_MOST_S / once_s)))
    return 1e3 * statistics.median(seconds(run, device, times=times) / times for _ in range(rounds))


def peak_mb(run: Callable[[], Any], device: str) -> float | None:
    """The most memory, in MB, that a run takes beyond what was taken before it; None where the device does not say."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def rounded(values: Values) -> Values:
    """The values, numbers to four digits."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}


def markdown(rows: list[Row]) -> str:
    """The rows of a section as a Markdown table; what they have no value for is left empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    lines = ["| " + " | ".join(["", *columns, "note"]) + " |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        cells = ["" if (value := row.values.get(name)) is None else f"{value}" for name in columns]
        lines.append("| " + " | ".join([row.name, *cells, row.error or ""]) + " |")
    return "\n".join(lines)
