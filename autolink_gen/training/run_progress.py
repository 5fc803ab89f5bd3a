"""The progress of a run, as its saves hold it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from autolink_gen.common.text import shown


@dataclass
class TrainingProgress:
    """The progress of a run: counts and losses, saved and restored with it."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = -1
    skipped_steps: int = 0
    bad_in_a_row: int = 0
    bad_penalties: int = 0  # steps with a gradient penalty that were skipped, in a row
    recent_losses: list[float] = field(default_factory=list)
    recent_skips: list[int] = field(default_factory=list)  # the steps that were skipped of late

    def __post_init__(self) -> None:
        lists: dict[str, Sequence[float]] = {"recent_losses": self.recent_losses, "recent_skips": self.recent_skips}
        numbers = [(name, value) for name, value in vars(self).items() if name not in lists]
        for name, value in (*numbers, *((name, value) for name, values in lists.items() for value in values)):
            if not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, got {shown(value)}")
