"""Guards against numbers that are not finite: bad steps are skipped, too many end the run."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autolink_gen.training.run_progress import TrainingProgress

_SHARE = 1 / 20  # of the steps of late that may be skipped
_ADVICE = (
    "Start anew with --fresh and a lower learning rate (--set optimiser.lr=...), with clipping "
    "(--set optimiser.clip_norm=1), or with --precision 32-true"
)


class DivergedTrainingError(ValueError):
    """Raised to end a run whose numbers are no longer finite."""


class RunningStatistics:
    """A copy of a network's buffers (batch norms' running statistics) from before a step.

    A forward pass moves them, whatever becomes of its loss. Nothing here waits for the device.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._kept: dict[torch.dtype, Tensor] = {}

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the buffers."""
        self._kept = {dtype: _joined(live) for dtype, live in self._live().items()}

    @torch.no_grad()
    def put_back_unless(self, is_good: Tensor | bool) -> None:
        """Restore the buffers from the copy, unless a flag on their device says that the step was good."""
        for dtype, live in self._live().items():
            kept = self._kept[dtype]
            if isinstance(is_good, Tensor):
                kept = torch.where(is_good, _joined(live), kept)
            elif is_good:
                continue
            parts = kept.split([buffer.numel() for buffer in live])
            torch._foreach_copy_(live, [part.view_as(buffer) for part, buffer in zip(parts, live, strict=True)])

    @torch.no_grad()
    def are_finite(self) -> Tensor | bool:
        """Whether all buffers are finite; a variance may overflow where the loss, divided by it, does not."""
        flags = [_joined(live).isfinite().all() for dtype, live in self._live().items() if dtype.is_floating_point]
        return torch.stack(flags).all() if flags else True

    def _live(self) -> dict[torch.dtype, list[Tensor]]:
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in self.network.buffers():
            if buffer.numel():
                by_type.setdefault(buffer.dtype, []).append(buffer)
        return by_type


def _joined(buffers: list[Tensor]) -> Tensor:
    return torch.cat([buffer.flatten() for buffer in buffers])


def count_step(
    progress: TrainingProgress, step: int, *, skipped: Sequence[str], penalised: bool, most: int
) -> str | None:
    """Count a step, whose losses in ``skipped`` were skipped; returns the reason to end the run, or None.

    ``most`` steps in a row end it, so many penalties in a row (``penalised``: the step had one), and more than one
    step in twenty of late: what fails at every eighth step fails in vain as well.
    """
    late = _steps_of_late(most)
    progress.recent_skips = [other for other in progress.recent_skips if other > step - late]
    if penalised:
        of_penalty = any("penalty" in name for name in skipped)
        progress.bad_penalties = progress.bad_penalties + 1 if of_penalty else 0
    if not skipped:
        progress.bad_in_a_row = 0
        return None
    progress.skipped_steps += 1
    progress.bad_in_a_row += 1
    progress.recent_skips.append(step)
    if progress.bad_in_a_row >= most:
        return f"{progress.bad_in_a_row} steps in a row were skipped"
    if progress.bad_penalties >= most:
        return f"{progress.bad_penalties} steps with a gradient penalty were skipped in a row"
    if len(progress.recent_skips) > _SHARE * late:
        return f"{len(progress.recent_skips)} of the last {min(late, step + 1)} steps were skipped"
    return None


def stopping_error(step: int, reason: str, *, skipped: Sequence[str], last_save: str) -> DivergedTrainingError:
    """The error of a run that is ended for its skipped steps."""
    return DivergedTrainingError(
        f"training stopped at step {step}: {reason}, for {' and '.join(skipped)}, or the gradient of it, was not "
        f"finite; {last_save}. {_ADVICE}"
    )


def unsaved_error(step: int, name: str, *, last_save: str) -> DivergedTrainingError:
    """The error of a run that ends with weights that cannot be used."""
    return DivergedTrainingError(
        f"step {step} is not saved, for {name} holds numbers that are not finite; {last_save}. {_ADVICE}"
    )


def _steps_of_late(most: int) -> int:
    """The steps among which skipped ones are counted: 200 where five in a row are the most."""
    return math.ceil(2 * most / _SHARE)
