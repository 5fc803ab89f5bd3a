"""What the training loops share: resume, saves, logs, guards and the progress bar."""

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from autolink_gen.checkpoints import WEIGHTS_NAME
from autolink_gen.config import RunLengthConfig
from autolink_gen.training.batches import StepSampler, endless_batches
from autolink_gen.training.folders import drop_later_lines
from autolink_gen.training.launch import Launch, share_batch
from autolink_gen.training.optimisers import make_average
from autolink_gen.training.saves import read_newest, rotate, step_folders, write_save

log = logging.getLogger(__name__)
_CRITIC = "critic."  # before the names of the critic's weights in a save


@dataclass
class Progress:
    """What a run has done; saved and restored with it."""

    step: int = 0
    best_loss: float = math.inf
    best_step: int = -1
    skipped_steps: int = 0
    bad_in_a_row: int = 0
    recent_losses: list[float] = field(default_factory=list)


class Run:
    """One run on disk, and its loop: ``for step in run.steps(): ... run.update(loss)``.

    ``model`` and ``optimiser`` are set up by Fabric (``network`` is the bare model), ``average`` follows the model
    where the configuration asks for it, and all are restored from the newest readable save when the run is opened.
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
        self._writer: Any = None
        self._bar: Any = None
        self._all_finite = True
        self._waited_s = 0.0
        self._restore()
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
        return self.folder / "checkpoints"

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
            batch = next(batches)
            self._waited_s += time.monotonic() - started
            yield batch

    def steps(self) -> Iterator[int]:
        """The steps that are left, until the end, a signal or the time limit; saves on the way and at the end."""
        if self.progress.step >= self.length.steps:  # finished already: no bar, no more logs
            if self.progress.step and self._is_unfinished():
                self.on_save(self)
            return
        started = time.monotonic()
        first = self.progress.step
        with self._signals(), self._logs(first):
            saved_at = first
            while self.progress.step < self.length.steps and not self.stopped_by:
                self._all_finite = True
                yield self.progress.step
                self._count_bad()
                self.progress.step += 1
                self._log_step(started, first)
                if self.progress.step % self.length.save_every == 0:
                    self.save()
                    saved_at = self.progress.step
                self._check_limits(started)
            if saved_at != self.progress.step:
                self.save()

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
        if not torch.isfinite(norm) and not self.launch.precision.startswith("16"):
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
        """Whether a kill fell between the newest save and the end of ``on_save``, which writes the weights last."""
        weights, saves = self.folder / WEIGHTS_NAME, step_folders(self.checkpoints)
        written = [path.stat().st_mtime_ns for path in (weights, saves[-1] / WEIGHTS_NAME) if path.is_file()]
        return self.fabric.is_global_zero and (len(written) < 2 or written[0] < written[1])

    def _restore(self) -> None:
        found = read_newest(self.checkpoints)
        if found is None:
            return
        weights, state = found
        own = {name: value for name, value in weights.items() if not name.startswith(_CRITIC)}
        self.network.load_state_dict(own)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.critic_network is not None:
            theirs = {name.removeprefix(_CRITIC): value for name, value in weights.items() if name not in own}
            self.critic_network.load_state_dict(theirs)
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])
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
        from torch.utils.tensorboard import SummaryWriter

        drop_later_lines(self.folder / "metrics.jsonl", first)
        self._writer = SummaryWriter(str(self.folder), purge_step=first)
        self._bar = tqdm(
            total=self.length.steps,
            initial=first,
            unit="step",
            disable=not self.launch.progress,
            smoothing=0.05,
        )
        try:
            yield
        finally:
            self._bar.close()
            self._writer.close()

    def _log_step(self, started: float, first: int) -> None:
        if self._bar is None:
            return
        step = self.progress.step
        self._bar.update(1)
        if step % self.length.log_every or not self.metrics:
            return
        passed_s = time.monotonic() - started
        values = {
            **self.metrics,
            "steps_per_second": round((step - first) / passed_s, 3),
            "waiting_share": round(self._waited_s / passed_s, 4),  # of the time, for data
            "skipped_steps": self.progress.skipped_steps,
        }
        self._bar.set_postfix(loss=f"{self.metrics.get('loss', math.nan):.4f}", refresh=False)
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
