"""Processes that read pictures: their errors are those of the main process, and a killed one loses no step."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import synchronize
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from PIL import Image

from autolink_gen.common.files import reason_of
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.training.batches import StepSampler, endless_batches
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest, step_folders
from autolink_gen.training.workers import Flag, LostWorkerError, ShortageError, lost_worker, worker_batches

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed as POSIX has it")


def config(pictures: Path, *, workers: int, **training: object) -> GraphRunConfig:
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": str(pictures), "workers": workers},
            "perceptual": {"features": "random", "distance": "l1"},
            "training": {"steps": 8, "batch_size": 2, "save_every": 8, "grid_every": 8, "log_every": 1, **training},
        },
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(tmp_path / "pictures" / f"{index}.png")
    return tmp_path / "pictures"


def launch(folder: Path) -> Launch:
    return Launch(folder=folder, devices=1, progress=False)


def kill_workers_at(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Kill the processes that read pictures in the middle of a step; gives their ids."""
    plain, killed = Run.update, []
    others = {child.pid for child in multiprocessing.active_children()}  # of earlier tests, on their way out

    def update(run: Run, loss: torch.Tensor, **kwargs: object) -> bool:
        if run.progress.step == step:
            killed.extend(child.pid for child in multiprocessing.active_children() if child.pid not in others)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return plain(run, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)
    return killed


def test_a_killed_process_is_one_line_and_what_was_done_is_saved(pictures, tmp_path, monkeypatch):
    killed = kill_workers_at(monkeypatch, 1)
    with pytest.raises(OSError, match=r"was killed at step \d.*data\.workers=0") as caught:
        train_graph(config(pictures, workers=1), launch(tmp_path / "run"))
    assert len(killed) == 1
    assert str(killed[0]) in str(caught.value) or "onnection" in str(caught.value), "as soon as it is noticed"
    assert "\n" not in str(caught.value)
    handler = signal.getsignal(signal.SIGCHLD)
    assert not getattr(handler, "__module__", "").startswith("torch."), "it would raise in the middle of anything"
    (save,) = step_folders(tmp_path / "run" / "checkpoints")
    step = int(save.name.removeprefix("step-"))
    assert 2 <= step < 8 and f"at step {step}" in str(caught.value), "what was read beforehand is trained on"
    monkeypatch.undo()
    again = train_graph(config(pictures, workers=0), launch(tmp_path / "run"))
    straight = train_graph(config(pictures, workers=0), launch(tmp_path / "straight"))
    assert (again.first_step, again.progress.step) == (step, 8)
    (weights, state), (expected, expected_state) = (read_newest(run.checkpoints) for run in (again, straight))
    assert [name for name in expected if not torch.equal(weights[name], expected[name])] == []
    assert torch.equal(state["rng"], expected_state["rng"])


def test_an_interrupt_of_all_processes_stops_the_run_in_order(pictures, tmp_path, monkeypatch):
    """As Ctrl-C sends it."""
    plain = Run.update

    def update(run: Run, loss: torch.Tensor, **kwargs: object) -> bool:
        if run.progress.step == 1:
            for pid in (*(child.pid for child in multiprocessing.active_children()), os.getpid()):
                os.kill(pid, signal.SIGINT)
        return plain(run, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)
    run = train_graph(config(pictures, workers=1), launch(tmp_path / "run"))
    assert (run.progress.step, run.stopped_by) == (2, "SIGINT")
    assert [path.name for path in step_folders(run.checkpoints)] == ["step-00000002"]


def test_a_signal_that_kills_such_a_process_is_named(pictures, tmp_path, monkeypatch):
    kill_workers_at(monkeypatch, 1)
    with raises_mentioning(LostWorkerError, "SIGTERM", "save", tuple(f"step {number}" for number in range(10))):
        train_graph(config(pictures, workers=1), stopping(tmp_path / "run", monkeypatch))
    assert len(step_folders(tmp_path / "run" / "checkpoints")) == 1


def stopping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A launch of a run that is told to stop while it waits for pictures."""
    plain = Run._without_batch

    def told(run: Run, error: LostWorkerError, workers: int) -> OSError:
        run.stopped_by = "SIGTERM"
        return plain(run, error, workers)

    monkeypatch.setattr(Run, "_without_batch", told)
    return launch(folder)


def test_after_an_error_signals_are_as_before_and_the_logs_are_closed(pictures, tmp_path, monkeypatch):
    before, closed = signal.getsignal(signal.SIGINT), []

    def crash(run: Run, loss: torch.Tensor, **kwargs: object) -> bool:
        raise KeyError("a bug")

    monkeypatch.setattr(Run, "update", crash)
    monkeypatch.setattr("autolink_gen.training.run_log.RunLog.close", lambda log: closed.append(True))
    with pytest.raises(KeyError) as caught:
        train_graph(config(pictures, workers=0), launch(tmp_path / "run"))
    assert closed == [True] and signal.getsignal(signal.SIGINT) is before, caught


def test_weights_that_are_not_finite_are_not_saved(pictures, tmp_path, monkeypatch):
    kill_workers_at(monkeypatch, 1)
    plain = Run._without_batch

    def spoiled(run: Run, error: LostWorkerError, workers: int) -> ValueError | OSError:
        run.network.alpha.data.fill_(torch.nan)
        return plain(run, error, workers)

    monkeypatch.setattr(Run, "_without_batch", spoiled)
    with raises_mentioning(LostWorkerError, "no save"):
        train_graph(config(pictures, workers=1), launch(tmp_path / "run"))
    assert step_folders(tmp_path / "run" / "checkpoints") == []


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        FileNotFoundError(2, "No such file or directory"),
        EOFError(),
        RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_process_that_ends_while_it_hands_pictures_over_is_a_lost_one(error):
    class Broken(torch.utils.data.DataLoader):
        def __iter__(self) -> Iterator[torch.Tensor]:
            raise error
            yield

    with pytest.raises(LostWorkerError, match=reason_of(error).replace("(", ".").replace(")", ".")):
        next(worker_batches(Broken([0])))


def test_a_process_killed_while_it_asks_whether_to_end_keeps_nobody_waiting(pictures, monkeypatch):
    plain = {kind: kind.is_set for kind in (Flag, synchronize.Event)}

    def asked(event: Flag | synchronize.Event) -> bool:
        if multiprocessing.parent_process() is None:
            return plain[type(event)](event)
        if (lock := getattr(event, "_cond", None)) is not None:
            lock.acquire()  # as the standard library's event does while it looks
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    def waited(number: int, frame: object) -> None:
        raise AssertionError("the main process waits for a dead one")

    for kind in plain:
        monkeypatch.setattr(kind, "is_set", asked)
    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    try:
        with pytest.raises(LostWorkerError):
            next(endless_batches(ImageFolder(pictures, image_size=8), StepSampler(6, 2, seed=0), workers=1))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


_ALLOCATE = "unable to allocate shared memory(shm) for file </torch_7_1_0>: No space left on device (28)"
_OPEN = "unable to open shared memory object </torch_7_1_0> in read-write mode: Too many open files (24)"
_BUS = (
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit."
)
_FULL, _MANY = ("/dev/shm", "--shm-size=1g"), ("Too many open files", "ulimit -n")


class Failing(torch.utils.data.Dataset):
    """Pictures of which the fifth cannot be handed over."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 4:
            raise RuntimeError(self.text)
        return torch.zeros(3, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(("text", "words"), [(_ALLOCATE, _FULL), (_OPEN, _MANY)], ids=["shared memory", "files"])
def test_what_processes_are_short_of_is_said_with_the_remedy(text: str, words: tuple[str, str]) -> None:
    batches = endless_batches(Failing(text), StepSampler(8, 2, seed=0), workers=1)
    with pytest.raises(LostWorkerError) as caught:
        for _ in range(4):
            next(batches)
    said = str(lost_worker(caught.value, 7, last_save="the last save is of step 7", signalled=None, workers=2))
    assert all(word in said for word in (*words, "step 7", "data.workers=0")) and "\n" not in said
    assert "killed" not in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError(_BUS), _FULL),
        (OSError(28, "No space left on device"), _FULL),
        (OSError(24, "Too many open files"), _MANY),
        (RuntimeError("received 0 items of ancdata"), _MANY),
    ],
)
@pytest.mark.parametrize("starts", [True, False])
def test_a_shortage_is_seen_wherever_it_shows(error: Exception, words: tuple[str, str], *, starts: bool) -> None:
    class Short(torch.utils.data.DataLoader):
        def __iter__(self) -> Iterator[torch.Tensor]:
            if not starts and isinstance(error, OSError):
                raise error
            return failing()

    def failing() -> Iterator[torch.Tensor]:
        raise error
        yield

    with pytest.raises(ShortageError) as caught:
        next(worker_batches(Short([0])))
    assert words[0] in str(caught.value) and words[1] in caught.value.remedy


def test_a_run_short_of_shared_memory_saves_what_is_done(pictures, tmp_path, monkeypatch) -> None:
    plain, read = ImageFolder.__getitem__, []

    def full(self: ImageFolder, index: int) -> torch.Tensor:
        read.append(index)
        if multiprocessing.parent_process() is not None and len(read) > 6:
            raise RuntimeError(_ALLOCATE)
        return plain(self, index)

    monkeypatch.setattr(ImageFolder, "__getitem__", full)
    with raises_mentioning(
        LostWorkerError, "/dev/shm", "save", tuple(f"step {number}" for number in range(1, 8)), "data.workers=0"
    ):
        train_graph(config(pictures, workers=1), launch(tmp_path / "run"))
    assert len(step_folders(tmp_path / "run" / "checkpoints")) == 1


@pytest.mark.parametrize("error", [ValueError("6 of 10 pictures cannot be read"), FileNotFoundError(2, "No", "a.png")])
def test_what_a_process_fails_over_is_what_the_main_one_would_say(error):
    class Broken(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> torch.Tensor:
            if index == 3:
                raise error
            return torch.zeros(3, 8, 8, dtype=torch.uint8)

    said = []
    for workers in (0, 1):
        batches = endless_batches(Broken(), StepSampler(4, 2, seed=0), workers=workers)
        with pytest.raises(type(error)) as caught:
            for _ in range(3):
                next(batches)
        said.append((str(caught.value), getattr(caught.value, "filename", None)))
    assert said[0] == said[1]


def test_an_error_of_ours_keeps_its_traceback():
    class Buggy(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> torch.Tensor:
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="Original Traceback"):
        next(endless_batches(Buggy(), StepSampler(2, 2, seed=0), workers=1))


def test_what_another_loader_left_does_not_raise_in_the_middle_either(pictures):
    def handler(number: int, frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")

    handler.__module__ = "torch.utils.data._utils.signal_handling"
    others = set(multiprocessing.active_children())
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        batches = endless_batches(ImageFolder(pictures, image_size=8), StepSampler(4, 2, seed=0), workers=1)
        assert next(batches).shape == (2, 3, 8, 8)
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        (worker,) = set(multiprocessing.active_children()) - others
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()  # no error of the handler's here
        with pytest.raises(LostWorkerError):
            for _ in range(10):  # some batches were read before
                next(batches)
    finally:
        signal.signal(signal.SIGCHLD, before)
