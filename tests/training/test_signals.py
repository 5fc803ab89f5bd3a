"""Signals in the middle of training: to stop soon, to save and go on, or to be survived; and pictures that vanish."""

import errno
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.messages import assert_mentions, raises_mentioning

import autolink_gen
from autolink_gen.checkpoints import WEIGHTS_NAME, read_header
from autolink_gen.common.stopping import StoppedError, signal_of, stopping
from autolink_gen.config import GraphRunConfig, build, explained_yaml
from autolink_gen.runs import RunFolder
from autolink_gen.training import graph as graph_training
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest, step_folders
from autolink_gen.training.stop_signals import Signals
from autolink_gen.training.workers import ignore_interrupts

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def config(**training: object) -> GraphRunConfig:
    length = {"steps": 4, "batch_size": 2, "save_every": 4, "grid_every": 4, "log_every": 1}
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": "puppets"},
            "perceptual": {"features": "random", "distance": "l1"},
            "training": {**length, **training},
        },
    )


def launch(folder: Path, **changes: object) -> Launch:
    return Launch(folder=folder, devices=1, progress=False, **changes)  # type: ignore[arg-type]


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, do: Callable[[], object]) -> None:
    """Have something happen in the middle of a step."""
    plain = Run.update

    def update(run: Run, loss: torch.Tensor, **options: object) -> bool:
        if run.progress.step == step:
            do()
        return plain(run, loss, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "update", update)


def send(name: str) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), getattr(signal, name))


@posix
def test_a_save_that_is_asked_for_is_made_and_training_goes_on(tmp_path, monkeypatch, caplog):
    before = signal.getsignal(signal.SIGUSR1)
    at_step(monkeypatch, 1, send("SIGUSR1"))
    run = train_graph(config(), launch(tmp_path / "run"))
    assert (run.progress.step, run.stopped_by) == (4, None)
    assert [save.name for save in step_folders(run.checkpoints)] == ["step-00000002", "step-00000004"]
    assert "saved at step 2" in caplog.text
    assert signal.getsignal(signal.SIGUSR1) is before


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_whoever_stops_a_run_waits_for_the_save_alone(tmp_path, monkeypatch, name):
    """Schedulers give half a minute, a terminal that is closed less: pictures would take longer on large networks."""
    at_step(monkeypatch, 1, send(name))
    run = train_graph(config(), launch(tmp_path / "run"))
    assert (run.progress.step, run.stopped_by) == (2, name)
    assert read_newest(run.checkpoints)[1]["progress"]["step"] == 2  # type: ignore[index]
    assert read_header(run.folder / WEIGHTS_NAME).step == 2
    assert not (run.folder / "graph.png").exists()
    monkeypatch.undo()
    assert train_graph(config(), launch(tmp_path / "run")).progress.step == 4
    assert (run.folder / "graph.png").is_file()


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_call_that_a_signal_stops_does_not_end_as_if_it_were_finished(tmp_path, monkeypatch, name):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(explained_yaml(config()))

    def learn() -> RunFolder:
        return autolink_gen.learn_graph(recipe=str(recipe), name="mine", out=tmp_path, progress=False)

    at_step(monkeypatch, 1, send(name))
    with raises_mentioning(StoppedError, name, tmp_path / "graph" / "mine", "2 of 4") as stopped:
        learn()
    assert isinstance(stopped.value, KeyboardInterrupt) and signal_of(stopped.value) == getattr(signal, name)
    monkeypatch.undo()
    assert read_header(learn().weights).step == 4, "the same call goes on"


def test_the_time_limit_leaves_time_for_pictures(tmp_path):
    run = train_graph(config(), launch(tmp_path / "run", max_minutes=1e-9))
    assert run.stopped_by == "the time limit" and (run.folder / "graph.png").is_file()


@posix
def test_a_hang_up_that_is_ignored_stays_so(tmp_path, monkeypatch):
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        at_step(monkeypatch, 1, send("SIGHUP"))
        run = train_graph(config(steps=3), launch(tmp_path / "run"))
        assert (run.progress.step, run.stopped_by) == (3, None)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_system_without_these_signals_has_the_others(monkeypatch):
    """As Windows."""
    for name in ("SIGHUP", "SIGUSR1"):
        monkeypatch.delattr(signal, name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    signals = Signals()
    with signals.listen():
        signal.raise_signal(signal.SIGTERM)
        assert (signals.stop, signals.save) == ("SIGTERM", False)
        signal.raise_signal(signal.SIGTERM)  # a closing terminal sends several
        monkeypatch.setattr("autolink_gen.training.stop_signals.time.monotonic", lambda: math.inf)
        with pytest.raises(KeyboardInterrupt):  # asked once more
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@posix
def test_a_second_signal_costs_no_step_and_a_late_one_keeps_its_name(tmp_path, monkeypatch):
    def twice():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)

    at_step(monkeypatch, 1, twice)
    run = train_graph(config(steps=5), launch(tmp_path / "run"))
    assert (run.stopped_by, run.progress.step) == ("SIGHUP", 2)
    assert (tmp_path / "run" / "checkpoints" / "step-00000002").is_dir()
    with stopping(), Signals().listen(), pytest.raises(StoppedError) as stopped:
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("autolink_gen.training.stop_signals.time.monotonic", lambda: math.inf)
        signal.raise_signal(signal.SIGTERM)
    assert signal_of(stopped.value) == signal.SIGTERM


@posix
def test_processes_that_read_pictures_leave_signals_to_the_main_one():
    names = ("SIGINT", "SIGHUP", "SIGUSR1")
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        ignore_interrupts(0)
        assert all(signal.getsignal(getattr(signal, name)) == signal.SIG_IGN for name in names)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class Vanishing(torch.utils.data.Dataset[torch.Tensor]):
    """Pictures that cannot be read any more after so many."""

    def __init__(self, error: Exception, *, after: int) -> None:
        self.error, self.left = error, after

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return torch.full((3, 64, 64), 40 * index, dtype=torch.uint8) + torch.arange(64, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("workers", "error", "said"),
    [
        (1, OSError(errno.EIO, "Input/output error", "/drive/7.png"), "/drive/7.png: Input/output error"),
        (0, ValueError("pics/7.png is no readable picture, as 6 of 10 are none"), "pics/7.png is no readable picture"),
    ],
    ids=["drive", "pictures"],
)
def test_pictures_that_vanish_end_a_run_after_a_save(tmp_path, monkeypatch, workers, error, said):
    dataset = Vanishing(error, after=4)
    monkeypatch.setattr(graph_training, "open_images", lambda *args, **options: dataset)
    settings = build(GraphRunConfig, {**vars_of(config(steps=9, save_every=9)), "data": {"workers": workers}})
    with pytest.raises(type(error)) as caught:
        train_graph(settings, launch(tmp_path / "run"))
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert_mentions(caught, "stopped", "save", "step 2")
    assert read_newest(tmp_path / "run" / "checkpoints")[1]["progress"]["step"] == 2  # type: ignore[index]
    dataset.left = 99
    assert train_graph(settings, launch(tmp_path / "run")).first_step == 2


def vars_of(settings: GraphRunConfig) -> dict[str, object]:
    """The groups of a configuration, by name."""
    return {name: vars(group) for name, group in vars(settings).items()}


def test_a_first_batch_that_cannot_be_read_says_that_there_is_no_save(tmp_path, monkeypatch):
    dataset = Vanishing(OSError(errno.ENOENT, "No such file or directory", "a.png"), after=0)
    monkeypatch.setattr(graph_training, "open_images", lambda *args, **options: dataset)
    with raises_mentioning(OSError, "a.png", "No such file", "no save"):
        train_graph(config(), launch(tmp_path / "run"))
    assert step_folders(tmp_path / "run" / "checkpoints") == []
