"""What a run has done, as its saves hold it."""

import math
from dataclasses import dataclass, field

from autolink_gen.text import shown


@dataclass
class Progress:
    """What a run has done; saved and restored with it."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = -1
    skipped_steps: int = 0
    bad_in_a_row: int = 0
    recent_losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name != "recent_losses"}
        for name, value in (*numbers.items(), *(("recent_losses", value) for value in self.recent_losses)):
            if not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, got {shown(value)}")
