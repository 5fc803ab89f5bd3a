"""What steps leave for the log and the guards, kept on the device until it is read, all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autolink_gen.training.guarded_updates import Update


@dataclass
class StepNote:
    """One step, read: the losses that were skipped, whether it had a gradient penalty, and the metrics.

    ``dropped`` are the names of metrics that the step has not, since its update was not taken.
    """

    step: int
    penalised: bool
    skipped: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


@dataclass
class _Noted:
    """An update with its metrics, those that are tensors on the device, one after the other in one tensor."""

    loss_name: str
    own_names: Sequence[str]  # of the loss and the norm, which no step has whose update was not taken
    metrics: dict[str, float | None]  # None: a tensor's, in the order of those
    packed: Tensor  # first whether the update was taken


class StepNotes:
    """Notes of steps that nobody has read; to note something does not wait for the device."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, bool, list[_Noted]]] = []
        self._updates: list[_Noted] = []

    def add(
        self, update: Update, metrics: Mapping[str, float | Tensor], *, loss_name: str, own_names: Sequence[str]
    ) -> None:
        """Note an update of the present step; ``own_names`` are the metrics that it has only where it was taken."""
        tensors = [value for value in metrics.values() if isinstance(value, Tensor)]
        numbers = {name: None if isinstance(value, Tensor) else float(value) for name, value in metrics.items()}
        # A copy, too: a weight among them will have moved on when the notes are read.
        packed = torch.stack([value.detach().float().reshape(()) for value in (update.is_good, *tensors)])
        self._updates.append(_Noted(loss_name, own_names, numbers, packed))

    def end_step(self, step: int, *, penalised: bool) -> None:
        """End the present step, of this number."""
        self._steps.append((step, penalised, self._updates))
        self._updates = []

    def read(self) -> list[StepNote]:
        """The steps that ended since the last call, in order; waits for the device, once."""
        steps, self._steps = self._steps, []
        packed = [noted.packed for _, _, updates in steps for noted in updates]
        values = iter(torch.cat(packed).tolist() if packed else ())
        notes = []
        for step, penalised, updates in steps:
            note = StepNote(step, penalised)
            for noted in updates:
                is_good = next(values) == 1
                known = noted.metrics.items()
                metrics = {name: next(values) if value is None else value for name, value in known}
                if is_good:
                    note.metrics |= metrics
                else:
                    note.skipped.append(noted.loss_name)
                    note.dropped += noted.own_names
            notes.append(note)
        return notes
