"""What is shown while a run trains: a bar in a terminal or a notebook, lines elsewhere, or nothing."""

import math
import time
from collections.abc import Mapping
from typing import Protocol

from tqdm import tqdm

from autolink_gen.common.progress import is_hidden, shows_bars, write_above_bars


class RunDisplay(Protocol):
    """Shows how far a run is; ``metrics`` are empty but for the steps that are logged."""

    def step(self, step: int, metrics: Mapping[str, float], *, left_s: float | None) -> None:
        """One step more is done; ``left_s`` seconds are left where a time limit stops the run."""

    def compiling(self, name: str) -> None:
        """A part of the step is about to be compiled."""

    def compiled(self, *, took_s: float) -> None:
        """It is compiled; all of it so far ``took_s`` seconds."""

    def close(self) -> None:
        """The run ends."""


def display_of(*, steps: int, first: int, wanted: bool) -> RunDisplay:
    """The display of a run from step ``first`` to ``steps``, as it suits where the standard error goes."""
    if wanted and shows_bars():
        return Bar(steps=steps, first=first)
    return Lines(steps=steps, first=first) if wanted and not is_hidden() else Nothing()


class Bar:
    """A progress bar with the newest loss."""

    def __init__(self, *, steps: int, first: int) -> None:
        self._bar = tqdm(total=steps, initial=first, unit="step", smoothing=0.05)
        self._beside: dict[str, str] = {}

    def step(self, step: int, metrics: Mapping[str, float], *, left_s: float | None) -> None:
        """Move the bar."""
        if metrics:
            self._beside["loss"] = _loss(metrics)
        if left_s is not None:
            self._beside["stops_in"] = tqdm.format_interval(left_s)
        self._bar.set_postfix(self._beside, refresh=False)
        self._bar.update(1)

    def compiling(self, name: str) -> None:
        """Say on the bar what is compiled."""
        self._bar.set_postfix_str(f"compiling {name}")

    def compiled(self, *, took_s: float) -> None:
        """Say on the bar how long it took; no step's time counts it."""
        self._beside["compiled_in"] = tqdm.format_interval(took_s)
        self._bar.set_postfix(self._beside)
        self._bar.unpause()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


class Lines:
    """A line for each step that is logged, for what is no terminal."""

    def __init__(self, *, steps: int, first: int) -> None:
        self.steps, self.first = steps, first
        self._started = time.monotonic()
        self._compiled_s = 0.0

    def step(self, step: int, metrics: Mapping[str, float], *, left_s: float | None) -> None:
        """Write the step, its loss, the rate and the time left."""
        if not metrics:
            return
        step_s = (time.monotonic() - self._started - self._compiled_s) / max(1, step - self.first)
        rest_s = (self.steps - step) * step_s
        ends = f"{tqdm.format_interval(rest_s)} left"
        if left_s is not None and left_s < rest_s:
            ends = f"stops in {tqdm.format_interval(left_s)}"
        write_above_bars(f"step {step} of {self.steps}, loss {_loss(metrics)}, {1000 * step_s:.0f} ms a step, {ends}")

    def compiling(self, name: str) -> None:
        """Say what is compiled."""
        write_above_bars(f"compiling {name}")

    def compiled(self, *, took_s: float) -> None:
        """Say how long it took; no step's time counts it."""
        self._compiled_s = took_s
        write_above_bars(f"compiled in {tqdm.format_interval(took_s)}")

    def close(self) -> None:
        """Nothing is left to write."""


class Nothing:
    """No display."""

    def step(self, step: int, metrics: Mapping[str, float], *, left_s: float | None) -> None:
        """Show nothing."""

    def compiling(self, name: str) -> None:
        """Show nothing."""

    def compiled(self, *, took_s: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


def _loss(metrics: Mapping[str, float]) -> str:
    return f"{metrics.get('loss', math.nan):.4f}"
