"""The shared part of the training loops: resume, saves, logs, guards, progress bar."""

import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from autolink_gen.checkpoints import WEIGHTS_NAME, read_header
from autolink_gen.common.fabric import Fabric
from autolink_gen.common.files import reading, reason_of
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.batch_source import share_of_batches
from autolink_gen.training.compiling import uncompiled
from autolink_gen.training.folders import CHECKPOINTS_NAME
from autolink_gen.training.guarded_updates import GuardedUpdates
from autolink_gen.training.guards import count_step, stopping_error, unsaved_error
from autolink_gen.training.launch import Launch
from autolink_gen.training.optimisers import MovingAverage
from autolink_gen.training.run_log import RunLog
from autolink_gen.training.run_progress import TrainingProgress
from autolink_gen.training.run_state import restore, state_of, weights_of
from autolink_gen.training.saves import Save, first_not_finite_of, rotate, save_name, step_folders, write_save
from autolink_gen.training.step_notes import StepNotes
from autolink_gen.training.stop_signals import Signals
from autolink_gen.training.workers import LostWorkerError, lost_images, lost_worker

log = logging.getLogger(__name__)
_TIME_LIMIT = "the time limit"


class Run:
    """One run on disk, and its loop: ``for step in run.steps(): ... run.update(loss)``.

    ``model`` and ``optimiser`` are set up by Fabric (``network`` is the bare model), ``average`` follows the model
    where the configuration asks for it, and all are restored from ``saved``, which is emptied, where there is one.
    ``critic``, for a run that has an opponent, is its network and optimiser; ``update_critic`` moves it.
    ``measure``, called before each save, gives the number by which the best save is told, the least being the best;
    without it that is the mean loss. ``on_save`` is called after each save with the run.
    """

    def __init__(
        self,
        fabric: Fabric,
        launch: Launch,
        length: RunLengthConfig,
        *,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        on_save: Callable[["Run"], None],
        saved: Save | None = None,
        critic: tuple[nn.Module, torch.optim.Optimizer] | None = None,
        measure: Callable[["Run"], float] | None = None,
    ) -> None:
        self.fabric, self.launch, self.length = fabric, launch, length
        self.average = MovingAverage(model, length.ema).to(fabric.device) if length.ema else None
        self.network = model
        self.model, self.optimiser = fabric.setup(model, optimiser)
        self._updates = [GuardedUpdates(fabric, model, self.model, self.optimiser, average=self.average)]
        self.critic_network = critic[0] if critic else None
        self.critic: Any = None
        self.critic_optimiser: Any = None
        if critic:
            self.critic, self.critic_optimiser = fabric.setup(*critic)
            self._updates.append(GuardedUpdates(fabric, critic[0], self.critic, self.critic_optimiser))
        self.on_save, self.measure = uncompiled()(on_save), measure and uncompiled()(measure)
        self.folder = launch.folder
        self.progress = TrainingProgress()
        self.metrics: dict[str, float] = {}
        self.stopped_by: str | None = None
        self._log: RunLog | None = None
        self._going: Generator[int, None, None] | None = None
        self._signals = Signals()
        self._notes = StepNotes()
        self._skipped: list[str] = []
        self._penalised = False
        self._saved_at = 0
        self._waited_s = 0.0
        if saved is not None:
            self._take_up(saved)
        self.first_step = self.progress.step
        launch.announce(self.first_step)

    @property
    def eval_network(self) -> nn.Module:
        """The network to evaluate: the moving average where there is one, else the network itself."""
        return self.average.module if self.average is not None else self.network

    @property
    def grid_is_due(self) -> bool:
        """Whether this save draws sample images: at intervals and at the end, but not in a hurried stop."""
        step, length = self.progress.step, self.length
        if self.stopped_by is not None:
            return self.stopped_by == _TIME_LIMIT
        return step >= length.steps or step % length.grid_every == 0

    def compiling(self, name: str) -> AbstractContextManager[None]:
        """Within the block the progress bar says that a part of the step is being compiled."""
        return self._log.compiling(name) if self._log is not None else nullcontext()

    @property
    def is_stopping(self) -> bool:
        """Whether the run ends with this step, as a signal or the time limit asked."""
        return bool(self.stopped_by or self._signals.stop)

    @property
    def checkpoints(self) -> Path:
        """The folder of the saves."""
        return self.folder / CHECKPOINTS_NAME

    def batches(self, dataset: Dataset[Tensor], *, workers: int | None) -> Iterator[Tensor]:
        """This process's share of every batch from the next step on, on its device.

        Raises ValueError where a batch does not divide.
        """
        at, nodes = self.progress.step, self.launch.nodes
        source = share_of_batches(dataset, self.fabric, self.length, start_step=at, workers=workers, nodes=nodes)
        while True:
            started = time.monotonic()
            try:
                batch = next(source)
            except (ValueError, OSError) as error:
                raise self._without_batch(error, source.workers or 0) from error
            self._waited_s += time.monotonic() - started
            yield batch

    def steps(self) -> Iterator[int]:
        """The remaining steps, until the end, a signal or the time limit; saves at intervals and at the end."""
        self._going = self._steps()
        return self._going

    def close(self) -> None:
        """End the logs and give signals back, where an error ended the loop."""
        if self._going is not None:
            self._going.close()

    def _steps(self) -> Generator[int, None, None]:
        if self.progress.step and self._is_unfinished():
            self.on_save(self)
        if self.progress.step >= self.length.steps:  # finished already: no bar, no more logs
            return
        started = time.monotonic()
        first = self.progress.step
        self._saved_at = first
        is_due = save_requested = False
        with self._signals.listen(), self._logs(first):
            while self.progress.step < self.length.steps and not self.stopped_by:
                self._penalised = False
                for updates in self._updates:
                    updates.keep_statistics()
                yield self.progress.step
                has_read = self._end_step(is_due=is_due)
                heeds = has_read or self.fabric.world_size == 1  # for what several agree on they wait for each other
                if self._log is not None:
                    skipped = self.progress.skipped_steps
                    self._log.note(self.progress.step, self.metrics, waited_s=self._waited_s, skipped_steps=skipped)
                save_requested = (heeds and self._heed_signals()) or save_requested
                is_due = is_due or save_requested or self.progress.step % self.length.save_every == 0
                if is_due and not self.stopped_by:
                    self._read_notes()
                    if not self._skipped:
                        self.save()
                if self._saved_at == self.progress.step:
                    if save_requested and self.fabric.is_global_zero:
                        log.warning("saved at step %d, as a signal asked; training goes on", self.progress.step)
                    is_due = save_requested = False
                if heeds:
                    self._check_time(started)
            if self._saved_at != self.progress.step:
                self.save()
            if self._saved_at != self.progress.step:
                name, last = self._not_finite() or "another process", self._last_save()
                raise unsaved_error(self.progress.step, name, last_save=last)

    def _end_step(self, *, is_due: bool) -> bool:
        """Count the step, and return whether what it noted was read; ValueError where too many were skipped."""
        step, length = self.progress.step, self.length
        self._notes.end_step(step, penalised=self._penalised)
        waits = (step + 1) % length.log_every and (step + 1) % length.save_every and step + 1 < length.steps
        reads = is_due or not waits or not self._updates[0].is_on_device
        if reads:
            self._read_notes()
        self.progress.step += 1
        return reads

    def _read_notes(self) -> None:
        """Take up what the steps since the last call have noted; ValueError where too many were skipped."""
        for note in self._notes.read():
            self.metrics = {name: value for name, value in self.metrics.items() if name not in note.dropped}
            self.metrics |= note.metrics
            if "loss" in note.metrics:
                self.progress.recent_losses.append(note.metrics["loss"])
            self._skipped, most = note.skipped, self.length.max_bad_steps
            reason = count_step(self.progress, note.step, skipped=note.skipped, penalised=note.penalised, most=most)
            if note.skipped:
                what = " and ".join(note.skipped)
                log.warning("step %d skipped: %s, or its gradient, is not finite", note.step + 1, what)
            if reason is not None:
                raise stopping_error(note.step + 1, reason, skipped=note.skipped, last_save=self._last_save())

    def _last_save(self) -> str:
        """The last save in words, with a warning where no step after it was good."""
        if not self._saved_at:
            return "there is no save yet"
        words = f"the last save is of step {self._saved_at}"
        older = step_folders(self.checkpoints)[:-1]
        if self.progress.bad_in_a_row <= self.progress.step - self._saved_at or not older:
            return words
        last = self.checkpoints / save_name(self._saved_at)
        return f"{words}, and no step after it was good: move {last} away to go on from the save before it"

    def _without_batch(self, error: ValueError | OSError, workers: int) -> ValueError | OSError:
        """Save the run where the next batch cannot be read; returns the error to raise."""
        step, signalled = self.progress.step, self.stopped_by or self._signals.stop
        if self._saved_at != step and self.fabric.world_size == 1:
            self.stopped_by = signalled or "images that cannot be read"
            try:
                self.save()
            except (ValueError, OSError) as other:  # of the images that users look at, as a rule: they are gone too
                log.warning("%s", reason_of(other))
        if isinstance(error, LostWorkerError):
            return lost_worker(error, step, last_save=self._last_save(), signalled=signalled, workers=workers)
        return lost_images(error, step, last_save=self._last_save())

    def _not_finite(self) -> str | None:
        """The name of a tensor with numbers that are not finite; None where there is none."""
        return first_not_finite_of(weights_of(self), state_of(self))

    def update(self, loss: Tensor, *, clip_norm: float | None = None, **metrics: float | Tensor) -> Tensor:
        """Backward pass and optimiser step, or neither where the loss, its gradient or a statistic is not finite.

        Returns whether the step was taken, on the device. Too many that were not, in a row or of late, end the run with
        advice.
        """
        update = self._updates[0].update(loss, clip_norm=clip_norm)
        own = {"loss": loss} if update.norm is None else {"loss": loss, "gradient_norm": update.norm}
        self._notes.add(update, {**own, **metrics}, loss_name="the loss", own_names=("loss", "gradient_norm"))
        return update.is_good

    def update_critic(
        self, loss: Tensor, *, penalty: Tensor | None = None, clip_norm: float | None = None, **metrics: float | Tensor
    ) -> Tensor:
        """Like `update`, for the critic; ``penalty`` is the gradient penalty in the loss, at steps that have one."""
        self._penalised = penalty is not None
        loss_name = "the critic's loss" + (" with its gradient penalty" if self._penalised else "")
        update = self._updates[1].update(loss, clip_norm=clip_norm)
        own = {"critic_loss": loss, "critic_gradient_norm": update.norm, "gradient_penalty": penalty}
        known = {name: value for name, value in own.items() if value is not None}
        self._notes.add(update, {**known, **metrics}, loss_name=loss_name, own_names=tuple(own)[:2])
        return update.is_good

    def _everywhere(self, finite: bool) -> bool:
        if self.fabric.world_size == 1:
            return finite
        return self._sum(float(finite)) == self.fabric.world_size

    def _anywhere(self, true: bool) -> bool:
        return true if self.fabric.world_size == 1 else self._sum(float(true)) > 0

    def _sum(self, value: float) -> float:
        total = self.fabric.all_reduce(torch.tensor(value), reduce_op="sum")
        assert isinstance(total, Tensor)
        return float(total)

    def save(self) -> None:
        """Save the run, unless its numbers are not finite, and call ``on_save``.

        Raises OSError where it cannot be written.
        """
        self._read_notes()
        name = self._not_finite()
        if not self._everywhere(name is None):
            log.warning("no save at step %d: %s holds numbers that are not finite", self.progress.step, name)
            return
        losses, self.progress.recent_losses = self.progress.recent_losses, []
        if self.fabric.is_global_zero:
            self._rank(losses)
            write_save(self.checkpoints, self.progress.step, weights_of(self), state_of(self))
            self._saved_at = self.progress.step
            rotate(self.checkpoints, keep_last=self.length.keep_last, best_step=self.progress.best_step)
            self.on_save(self)
            if self._log is not None:
                self._log.pictures(self.progress.step)
        self._saved_at = self.progress.step
        self.fabric.barrier()

    def _rank(self, losses: list[float]) -> None:
        """Remember this save if it is the best."""
        value = self.measure(self) if self.measure else sum(losses) / len(losses) if losses else math.inf
        if value < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step = value, self.progress.step

    def _is_unfinished(self) -> bool:
        """Whether the run was killed after the newest save, before ``on_save`` had written the weights.

        Weights that do not say their step, as those of old, are written once more.
        """
        if not self.fabric.is_global_zero:
            return False
        try:
            return read_header(self.folder / WEIGHTS_NAME).step != self.progress.step
        except ValueError:
            return True

    def _take_up(self, saved: Save) -> None:
        """Go on from a save; BadFileError where it is not this run's."""
        with reading(saved.folder, "save of this run", remedy="give --fresh to move the run aside and start anew"):
            restore(self, saved.weights, saved.state)
            if self.progress.step != saved.step:
                raise ValueError(f"its training state is that of step {self.progress.step}")
        saved.weights.clear()  # or a copy of all that is trained would stay in memory as long as the run goes on
        saved.state.clear()
        if self.fabric.is_global_zero:
            rotate(self.checkpoints, keep_last=self.length.keep_last, best_step=self.progress.best_step)

    def _heed_signals(self) -> bool:
        """Note a signal to stop; returns whether a signal asks for a save."""
        self.stopped_by = self.stopped_by or self._signals.stop
        save_requested, self._signals.save = self._signals.save, False
        self._agree_to_stop()
        return self._anywhere(save_requested)

    def _check_time(self, started: float) -> None:
        if self.launch.max_minutes is not None and time.monotonic() - started >= 60 * self.launch.max_minutes:
            self.stopped_by = self.stopped_by or _TIME_LIMIT
        if self.launch.max_minutes is not None:
            self._agree_to_stop()

    def _agree_to_stop(self) -> None:
        """All processes stop at the same step, or those that go on would wait for ever."""
        if self._anywhere(self.stopped_by is not None):
            self.stopped_by = self.stopped_by or "another process"

    @contextmanager
    def _logs(self, first: int) -> Iterator[None]:
        if not self.fabric.is_global_zero:
            yield
            return
        self._log = RunLog(self.folder, self.length, first=first, launch=self.launch)
        try:
            yield
        finally:
            self._log.close()
