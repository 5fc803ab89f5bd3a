"""The logs of a run: metrics.jsonl, TensorBoard events, a progress bar."""

import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autolink_gen.common.extras import MissingExtraError, needs
from autolink_gen.common.files import reason_of
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.folders import METRICS_NAME
from autolink_gen.training.launch import Launch
from autolink_gen.training.metrics_file import drop_later_lines

log = logging.getLogger(__name__)


class RunLog:
    """Logs a run in ``folder`` from step ``first`` on; drops older lines after it."""

    def __init__(self, folder: Path, length: RunLengthConfig, *, first: int, launch: Launch) -> None:
        self.file, self.length, self.first = folder / METRICS_NAME, length, first
        self.started = time.monotonic()
        drop_later_lines(self.file, first)
        self._events = _events(folder, first=first)
        self._bar = tqdm(total=length.steps, initial=first, unit="step", disable=not launch.progress, smoothing=0.05)
        self._max_s = None if launch.max_minutes is None else 60 * launch.max_minutes
        self._beside_bar: dict[str, str] = {}
        self._compiled_s = 0.0

    def note(self, step: int, metrics: dict[str, float], *, waited_s: float, skipped_steps: int) -> None:
        """Move the bar to a step and, when it is time, write its metrics; ``waited_s`` seconds went by for data."""
        is_time = bool(metrics) and step % self.length.log_every == 0
        self._move_bar(metrics if is_time else {})
        if not is_time:
            return
        passed_s = time.monotonic() - self.started
        values = {
            **metrics,
            "steps_per_second": round((step - self.first) / passed_s, 3),
            "waiting_share": round(waited_s / passed_s, 4),  # of the time, for data
            "skipped_steps": skipped_steps,
        }
        with self._writing():
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            for name, value in values.items() if self._events else ():
                self._events.add_scalar(name, value, step)

    def _move_bar(self, metrics: dict[str, float]) -> None:
        """One step on, with the newest loss, and the time until the run stops where ``max_minutes`` stops it."""
        if metrics:
            self._beside_bar["loss"] = f"{metrics.get('loss', math.nan):.4f}"
        if self._max_s is not None:
            left_s = max(0.0, self._max_s - (time.monotonic() - self.started))
            self._beside_bar["stops_in"] = tqdm.format_interval(left_s)
        self._bar.set_postfix(self._beside_bar, refresh=False)
        self._bar.update(1)

    @contextmanager
    def compiling(self, name: str) -> Iterator[None]:
        """Say on the bar what is compiled, and then how long all of it took; no step's time counts it."""
        started = time.monotonic()
        self._bar.set_postfix_str(f"compiling {name}")
        try:
            yield
        finally:
            self._compiled_s += time.monotonic() - started
            self._beside_bar["compiled_in"] = tqdm.format_interval(self._compiled_s)
            self._bar.set_postfix(self._beside_bar)
            self._bar.unpause()

    def close(self) -> None:
        """End the bar and the events."""
        self._bar.close()
        with self._writing():
            if self._events:
                self._events.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"could not write the logs in {self.file.parent}: {reason_of(error)}; free some space, then repeat the "
                f"command: it goes on from the last save"
            ) from error


def _events(folder: Path, *, first: int) -> Any:
    """TensorBoard's writer, or None, which is logged, where it is not installed."""
    try:
        with needs("tensorboard", "writing TensorBoard's events"):
            from torch.utils.tensorboard import SummaryWriter
    except MissingExtraError as error:
        log.info("%s; the same numbers are in %s", error, folder / METRICS_NAME)
        return None
    return SummaryWriter(str(folder), purge_step=first)
