"""The logs of a run: metrics.jsonl, services, what is shown meanwhile."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autolink_gen.common.extras import MissingExtraError
from autolink_gen.common.files import reason_of
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.folders import METRICS_NAME
from autolink_gen.training.launch import Launch
from autolink_gen.training.loggers import Logger, open_logger
from autolink_gen.training.metrics_file import drop_later_lines
from autolink_gen.training.run_display import display_of
from autolink_gen.training.saves import save_name

log = logging.getLogger(__name__)


class RunLog:
    """Logs a run in ``folder`` from step ``first`` on; drops older lines after it."""

    def __init__(self, folder: Path, length: RunLengthConfig, *, first: int, launch: Launch) -> None:
        self.file, self.length, self.first = folder / METRICS_NAME, length, first
        self.started = time.monotonic()
        drop_later_lines(self.file, first)
        self._loggers = _loggers(folder, launch.loggers, first=first)
        self._display = display_of(steps=length.steps, first=first, wanted=launch.progress)
        self._max_s = None if launch.max_minutes is None else 60 * launch.max_minutes
        self._compiled_s = 0.0

    def note(self, step: int, metrics: dict[str, float], *, waited_s: float, skipped_steps: int) -> None:
        """Show a step and, when it is time, write its metrics; ``waited_s`` seconds went by for data."""
        is_time = bool(metrics) and step % self.length.log_every == 0
        passed_s = time.monotonic() - self.started
        left_s = None if self._max_s is None else max(0.0, self._max_s - passed_s)
        self._display.step(step, metrics if is_time else {}, left_s=left_s)
        if not is_time:
            return
        values = {
            **metrics,
            "steps_per_second": round((step - self.first) / passed_s, 3),
            "waiting_share": round(waited_s / passed_s, 4),  # of the time, for data
            "skipped_steps": skipped_steps,
        }
        with self._writing():
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            for logger in self._loggers:
                logger.numbers(step, values)

    def pictures(self, step: int) -> None:
        """Pass on what the run has drawn at a step, if it has drawn anything."""
        folder = self.file.parent
        if not (sample := folder / "samples" / f"{save_name(step)}.png").is_file():
            return
        with self._writing():
            for logger in self._loggers:
                logger.picture(step, "samples", sample)
                if (graph := folder / "graph.png").is_file():
                    logger.picture(step, "graph", graph)

    @contextmanager
    def compiling(self, name: str) -> Iterator[None]:
        """Show what is compiled, and then how long all of it took."""
        started = time.monotonic()
        self._display.compiling(name)
        try:
            yield
        finally:
            self._compiled_s += time.monotonic() - started
            self._display.compiled(took_s=self._compiled_s)

    def close(self) -> None:
        """End the display and the services."""
        self._display.close()
        with self._writing():
            for logger in self._loggers:
                logger.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"could not write the logs in {self.file.parent}: {reason_of(error)}; free some space, then repeat the "
                f"command: it goes on from the last save"
            ) from error


def _loggers(folder: Path, wanted: Sequence[str | Logger] | None, *, first: int) -> list[Logger]:
    """Those that are named; None: TensorBoard's, or none, which is logged, where it is not installed."""
    if wanted is not None:
        wanted = [wanted] if isinstance(wanted, str) else wanted
        return [open_logger(one, folder, first=first) if isinstance(one, str) else one for one in wanted]
    try:
        return [open_logger("tensorboard", folder, first=first)]
    except MissingExtraError as error:
        log.info("%s; the same numbers are in %s", error, folder / METRICS_NAME)
        return []
