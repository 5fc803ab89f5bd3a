"""Guards against numbers that are not finite: bad steps are skipped, too many end the run."""

import math

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

    A forward pass moves them, whatever becomes of its loss.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the buffers."""
        live = list(self.network.buffers())
        if not self._kept:
            self._kept = [buffer.clone() for buffer in live]
        elif live:
            torch._foreach_copy_(self._kept, live)

    @torch.no_grad()
    def put_back(self) -> None:
        """Restore the buffers from the copy."""
        if self._kept:
            torch._foreach_copy_(list(self.network.buffers()), self._kept)

    @torch.no_grad()
    def are_finite(self) -> bool:
        """Whether all buffers are finite; a variance may overflow where the loss, divided by it, does not."""
        floats = [buffer for buffer in self.network.buffers() if buffer.is_floating_point() and buffer.numel()]
        return not floats or bool(torch.isfinite(torch.stack(torch._foreach_norm(floats, ord=math.inf))).all())


def count_step(progress: TrainingProgress, skipped: list[str], *, penalised: bool, most: int) -> str | None:
    """Count a step, whose losses in ``skipped`` were skipped; returns the reason to end the run, or None.

    ``most`` steps in a row end it, so many penalties in a row (``penalised``: the step had one), and more than one
    step in twenty of late: what fails at every eighth step fails in vain as well.
    """
    step, late = progress.step, _steps_of_late(most)
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


def stopping_error(step: int, reason: str, *, skipped: list[str], last_save: str) -> DivergedTrainingError:
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
