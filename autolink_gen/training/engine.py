"""What the training loops share: resume, saves, logs, guards and the progress bar."""

import logging
import math
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from autolink_gen.checkpoints import WEIGHTS_NAME, read_header
from autolink_gen.config import RunLengthConfig
from autolink_gen.files import reading
from autolink_gen.training.batches import StepSampler, endless_batches
from autolink_gen.training.folders import CHECKPOINTS_NAME
from autolink_gen.training.launch import Launch, share_batch
from autolink_gen.training.optimisers import load_moments, make_average
from autolink_gen.training.run_log import RunLog
from autolink_gen.training.run_progress import Progress
from autolink_gen.training.saves import Save, rotate, write_save
from autolink_gen.training.workers import LostWorkerError

log = logging.getLogger(__name__)
_CRITIC = "critic."  # before the names of the critic's weights in a save


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
        self.average = make_average(model, length.ema).to(fabric.device) if length.ema else None
        self.network = model
        self.model, self.optimiser = fabric.setup(model, optimiser)
        self.critic_network = critic[0] if critic else None
        self.critic: Any = None
        self.critic_optimiser: Any = None
        if critic:
            self.critic, self.critic_optimiser = fabric.setup(*critic)
        self.on_save, self.measure = on_save, measure
        self.folder = launch.folder
        self.progress = Progress()
        self.metrics: dict[str, float] = {}
        self.stopped_by: str | None = None
        self._log: RunLog | None = None
        self._going: Generator[int, None, None] | None = None
        self._all_finite = True
        self._saved_at = 0
        self._waited_s = 0.0
        if saved is not None:
            self._take_up(saved)
        self.first_step = self.progress.step
        launch.announce(self.first_step)

    @property
    def usable(self) -> nn.Module:
        """The weights to use: the average where there is one, else the model as it is."""
        return self.average.module if self.average is not None else self.network

    @property
    def grid_is_due(self) -> bool:
        """Whether pictures are drawn at this save: now and then, and at the end."""
        step, length = self.progress.step, self.length
        return self.stopped_by is not None or step >= length.steps or step % length.grid_every == 0

    @property
    def checkpoints(self) -> Path:
        """The folder of the saves."""
        return self.folder / CHECKPOINTS_NAME

    def batches(self, dataset: Dataset[Tensor], *, workers: int) -> Iterator[Tensor]:
        """This process's share of every batch from the next step on; ValueError where it does not divide."""
        sampler = StepSampler(
            len(dataset),  # type: ignore[arg-type]
            share_batch(self.length.batch_size, self.fabric.world_size),
            seed=self.length.seed,
            start_step=self.progress.step,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
        )
        batches = endless_batches(dataset, sampler, workers=workers)
        while True:
            started = time.monotonic()
            try:
                batch = next(batches)
            except LostWorkerError as error:
                raise self._without_worker(error, workers) from error
            self._waited_s += time.monotonic() - started
            yield batch

    def steps(self) -> Iterator[int]:
        """The steps that are left, until the end, a signal or the time limit; saves on the way and at the end."""
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
        with self._signals(), self._logs(first):
            while self.progress.step < self.length.steps and not self.stopped_by:
                self._all_finite = True
                yield self.progress.step
                self._count_bad()
                self.progress.step += 1
                if self._log is not None:
                    skipped = self.progress.skipped_steps
                    self._log.note(self.progress.step, self.metrics, waited_s=self._waited_s, skipped_steps=skipped)
                if self.progress.step % self.length.save_every == 0:
                    self.save()
                self._check_limits(started)
            if self._saved_at != self.progress.step:
                self.save()

    def _without_worker(self, error: LostWorkerError, workers: int) -> OSError:
        """Save what is done, and what to say of a process that reads pictures and was killed."""
        step, signalled = self.progress.step, self.stopped_by
        if self._saved_at != step and self.fabric.world_size == 1 and self._is_finite():
            self.stopped_by = signalled or "a killed process"
            self.save()
        last = f"the last save is of step {self._saved_at}" if self._saved_at else "there is no save yet"
        what = f"a process that reads pictures was killed at step {step}"
        if signalled:  # which reached that process too
            return LostWorkerError(f"{what}, by {signalled}; {last}: repeat the command to go on")
        less = f"with less memory by fewer such processes, --set data.workers={workers // 2}"
        why = f"for want of memory as a rule ({error})"
        return LostWorkerError(f"{what}, {why}; {last}: repeat the command to go on, {less}")

    def _is_finite(self) -> bool:
        networks = (self.network, self.average, self.critic_network)
        values = (value for network in networks if network is not None for value in network.state_dict().values())
        return all(bool(torch.isfinite(value).all()) for value in values)

    def update(self, loss: Tensor, *, clip_norm: float | None = None, **metrics: float | Tensor) -> bool:
        """Backward pass and optimiser step, or neither where the loss or its gradient is not finite.

        Returns whether the step was taken; ``max_bad_steps`` in a row that were not end the run with advice.
        """
        norm = self._move(self.model, self.optimiser, loss, clip_norm)
        if norm is None:
            return False
        if self.average is not None:
            self.average.update_parameters(self.network)
        self._note({"loss": loss, "gradient_norm": norm, **metrics})
        self.progress.recent_losses.append(self.metrics["loss"])
        return True

    def update_critic(self, loss: Tensor, *, clip_norm: float | None = None, **metrics: float | Tensor) -> bool:
        """The same for the critic."""
        assert self.critic is not None
        norm = self._move(self.critic, self.critic_optimiser, loss, clip_norm)
        if norm is None:
            return False
        self._note({"critic_loss": loss, "critic_gradient_norm": norm, **metrics})
        return True

    def _move(self, model: Any, optimiser: Any, loss: Tensor, clip_norm: float | None) -> Tensor | None:
        """The gradient's norm, or None where nothing moved."""
        optimiser.zero_grad(set_to_none=True)
        if not self._everywhere(bool(torch.isfinite(loss.detach()))):
            self._skip(optimiser)
            return None
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(model, optimiser, max_norm=clip_norm or math.inf, error_if_nonfinite=False)
        # In half precision the loss scaler meets overflows itself, and lowers its scale when it steps.
        assert norm is not None
        if not torch.isfinite(norm) and getattr(self.fabric.strategy.precision, "scaler", None) is None:
            self._skip(optimiser)
            return None
        optimiser.step()
        return norm

    def _note(self, values: dict[str, float | Tensor]) -> None:
        self.metrics |= {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}

    def _everywhere(self, finite: bool) -> bool:
        if self.fabric.world_size == 1:
            return finite
        return self._sum(float(finite)) == self.fabric.world_size

    def _sum(self, value: float) -> float:
        total = self.fabric.all_reduce(torch.tensor(value), reduce_op="sum")
        assert isinstance(total, Tensor)
        return float(total)

    def _skip(self, optimiser: Any) -> None:
        optimiser.zero_grad(set_to_none=True)
        self._all_finite = False

    def _count_bad(self) -> None:
        """Count a step of which a part was skipped; ValueError with advice after ``max_bad_steps`` in a row."""
        if self._all_finite:
            self.progress.bad_in_a_row = 0
            return
        self.progress.skipped_steps += 1
        self.progress.bad_in_a_row += 1
        log.warning("step %d skipped: the loss or its gradient is not finite", self.progress.step)
        if self.progress.bad_in_a_row >= self.length.max_bad_steps:
            raise ValueError(
                f"training stopped at step {self.progress.step}: {self.progress.bad_in_a_row} steps in a row had no "
                f"finite loss. The last save is from before. Start anew with --fresh and a lower learning rate "
                f"(--set optimiser.lr=...), with clipping (--set optimiser.clip_norm=1), or with --precision 32-true"
            )

    def save(self) -> None:
        """Save the run at this step, then let ``on_save`` refresh what users look at."""
        losses, self.progress.recent_losses = self.progress.recent_losses, []
        if self.fabric.is_global_zero:
            self._rank(losses)
            write_save(self.checkpoints, self.progress.step, self._weights(), self._state())
            rotate(self.checkpoints, keep_last=self.length.keep_last, best_step=self.progress.best_step)
            self.on_save(self)
        self._saved_at = self.progress.step
        self.fabric.barrier()

    def _rank(self, losses: list[float]) -> None:
        """Remember this save if it is the best."""
        value = self.measure(self) if self.measure else sum(losses) / len(losses) if losses else math.inf
        if value < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_step = value, self.progress.step

    def _weights(self) -> dict[str, Tensor]:
        weights = dict(self.network.state_dict())
        if self.critic_network is not None:
            weights |= {_CRITIC + name: value for name, value in self.critic_network.state_dict().items()}
        return weights

    def _state(self) -> dict[str, Any]:
        state = {
            "progress": vars(self.progress).copy(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "loss_scale": self.fabric.strategy.precision.state_dict(),  # of half precision; else empty
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if self.critic_optimiser is not None:
            state["critic_optimiser"] = self.critic_optimiser.state_dict()
        return state

    def _is_unfinished(self) -> bool:
        """Whether a kill fell between the newest save and the end of ``on_save``, which writes the weights last.

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
            self._restore(saved.weights, saved.state)
            if self.progress.step != saved.step:
                raise ValueError(f"its training state is that of step {self.progress.step}")
        saved.weights.clear()  # or a copy of all that is trained would stay in memory as long as the run goes on
        saved.state.clear()
        if self.fabric.is_global_zero:
            rotate(self.checkpoints, keep_last=self.length.keep_last, best_step=self.progress.best_step)

    def _restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        own = {name: value for name, value in weights.items() if not name.startswith(_CRITIC)}
        self.network.load_state_dict(own)
        load_moments(self.optimiser, state["optimiser"])
        if self.critic_network is not None:
            theirs = {name.removeprefix(_CRITIC): value for name, value in weights.items() if name not in own}
            self.critic_network.load_state_dict(theirs)
            load_moments(self.critic_optimiser, state["critic_optimiser"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        if state.get("loss_scale"):
            self.fabric.strategy.precision.load_state_dict(state["loss_scale"])
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])

    def _check_limits(self, started: float) -> None:
        limit = self.launch.max_minutes
        if limit is not None and time.monotonic() - started >= 60 * limit:
            self.stopped_by = self.stopped_by or "the time limit"
        if self.fabric.world_size > 1:  # all processes stop at the same step, or those that go on would wait for ever
            others = self._sum(float(self.stopped_by is not None)) > 0
            self.stopped_by = self.stopped_by or ("another process" if others else None)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            if self.stopped_by:  # asked twice: do not insist on a tidy end
                raise KeyboardInterrupt
            self.stopped_by = signal.Signals(number).name

        try:
            previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever runs it handles signals
            previous = {}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def _logs(self, first: int) -> Iterator[None]:
        if not self.fabric.is_global_zero:
            yield
            return
        self._log = RunLog(self.folder, self.length, first=first, progress=self.launch.progress)
        try:
            yield
        finally:
            self._log.close()
