"""A warning for a run that is resumed with another number of steps."""

import logging
from typing import Any

log = logging.getLogger(__name__)


def say_length(old: Any, new: Any, *, step: int) -> None:
    """Warn where a run's configuration has other steps than before, at this step, and its schedules jump by that.

    The learning rate along a cosine and the thickness of edges are functions of the share of the steps that is done.
    """
    before, now = old.training.steps, new.training.steps
    if step > now:
        log.warning(
            "%d steps are done, more than --steps %d: nothing is trained, and config.yaml keeps its %d",
            step, now, before,
        )  # fmt: skip
    elif step and before != now and (scheduled := _affected_schedules(new, least=min(step / before, step / now))):
        log.warning(
            "training.steps was %d, now %d: %s set by the share of the steps that is done, which at step %d is no "
            "longer %.0f %% but %.0f %%, so that %s; for one whole schedule train a new run, with --fresh or another "
            "--name, and --steps %d",
            before, now, scheduled, step, 100 * min(1, step / before), 100 * step / now,
            f"{'they rise' if ' and ' in scheduled else 'it rises'} again" if now > before else "the fall is shortened",
            now,
        )  # fmt: skip


def _affected_schedules(config: Any, *, least: float) -> str:
    """The schedules, in words, that change with the number of steps; ``least`` is the smaller share done."""
    thickness = getattr(config, "thickness", None)
    schedules = ["the learning rate"] if config.optimiser.schedule == "cosine" else []
    if thickness is not None and thickness.start is not None and least < thickness.until:
        schedules.append("the thickness of edges")
    return f"{' and '.join(schedules)} {'is' if len(schedules) == 1 else 'are'}" if schedules else ""
