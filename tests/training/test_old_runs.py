"""Runs that older versions wrote go on bit-equal; what a kill left undone is done; equal runs give equal files."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autolink_gen.checkpoints import FORMAT, WEIGHTS_NAME, read_header, read_weights
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.training.checksums import SUMS_NAME
from autolink_gen.training.engine import Run
from autolink_gen.training.folders import CONFIG_NAME
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest, step_folders

TINY = {
    "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
    "data": {"name": "puppets", "flip": 0.5},
    "perceptual": {"features": "random", "distance": "l1"},
    "training": {"steps": 6, "batch_size": 2, "ema": 0.9, "save_every": 2, "grid_every": 2, "log_every": 1},
    "thickness": {"start": 2e-2},
}


def train(folder: Path) -> Run:
    return train_graph(build(GraphRunConfig, TINY), Launch(folder=folder, devices=1, progress=False))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("straight") / "run")


def crash_at(step: int, folder: Path) -> None:
    """Train, and let the process fail in the middle of a step."""
    plain = Run.update

    def update(run: Run, loss: torch.Tensor, **kwargs: object) -> bool:
        if run.progress.step == step:
            raise KeyError("a bug")
        return plain(run, loss, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Run, "update", update)
        train(folder)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that failed after its second save and all that belongs to it; tests copy it."""
    folder = tmp_path_factory.mktemp("crashed") / "run"
    crash_at(4, folder)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed right after its second save was written; tests copy it."""
    plain, folder = Run.save, tmp_path_factory.mktemp("killed") / "run"

    def die(run: Run) -> None:
        raise KeyError("a kill")

    def save(run: Run) -> None:
        if run.progress.step == 4:
            run.on_save = die
        plain(run)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Run, "save", save)
        train(folder)
    return folder


def as_of_old(folder: Path) -> None:
    """Weights with three keys in the header and no step, saves without digests, the loss by its name of old."""
    settings = (folder / CONFIG_NAME).read_text()
    assert "perceptual:" in settings
    (folder / CONFIG_NAME).write_text(settings.replace("perceptual:", "loss:"))
    header = read_header(folder / WEIGHTS_NAME)
    old = {"format": FORMAT, "kind": "graph", "config": json.dumps(header.config)}
    save_file(read_weights(folder / WEIGHTS_NAME)[1], folder / WEIGHTS_NAME, metadata=old)
    for save in step_folders(folder / "checkpoints"):
        (save / SUMS_NAME).unlink()
        save_file(read_weights(save / WEIGHTS_NAME)[1], save / WEIGHTS_NAME)


def assert_equal_runs(one: Path, other: Path) -> None:
    (weights, state), (found, found_state) = (read_newest(folder / "checkpoints") for folder in (one, other))
    assert weights.keys() == found.keys()
    assert [name for name in weights if not torch.equal(weights[name], found[name])] == []
    assert state["progress"] == found_state["progress"]
    moments, found_moments = (values["optimiser"]["state"] for values in (state, found_state))
    assert [
        (index, name)
        for index, values in moments.items()
        for name, value in values.items()
        if not torch.equal(value, found_moments[index][name])
    ] == []


def test_equal_runs_give_weights_equal_to_the_last_byte(straight, tmp_path):
    run = train(tmp_path / "run")
    for name in (WEIGHTS_NAME, f"checkpoints/step-00000006/{WEIGHTS_NAME}", "graph.png"):
        assert (run.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name


def test_a_run_of_old_goes_on_bit_equal(straight, crashed, tmp_path):
    shutil.copytree(crashed, tmp_path / "run")
    as_of_old(tmp_path / "run")
    run = train(tmp_path / "run")
    assert (run.first_step, run.progress.step) == (4, 6)
    assert_equal_runs(straight.folder, run.folder)
    assert (run.folder / WEIGHTS_NAME).read_bytes() == (straight.folder / WEIGHTS_NAME).read_bytes()


def test_a_finished_run_of_old_is_written_once_more_and_then_left_alone(straight, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(straight.folder, folder)
    before = (folder / WEIGHTS_NAME).read_bytes()
    as_of_old(folder)
    times = []
    for _ in range(2):
        assert train(folder).first_step == 6
        assert (folder / WEIGHTS_NAME).read_bytes() == before
        times.append((folder / WEIGHTS_NAME).stat().st_mtime_ns)
    assert times[0] == times[1]


@pytest.mark.parametrize("newer", [True, False], ids=["weights that look newer", "weights that look older"])
def test_what_a_kill_after_a_save_left_undone_is_done(straight, crashed, killed, tmp_path, newer):
    """The step in the weights' header tells it, whatever the clock says: pictures that were due are drawn."""
    again, picture = tmp_path / "run", "samples/step-00000004.png"
    shutil.copytree(killed, again)
    assert read_header(again / WEIGHTS_NAME).step == 2
    assert not (again / picture).exists()
    if newer:
        (again / WEIGHTS_NAME).touch()
    crash_at(4, again)
    assert (again / picture).read_bytes() == (crashed / picture).read_bytes()
    assert (again / WEIGHTS_NAME).read_bytes() == (crashed / WEIGHTS_NAME).read_bytes()
    train(again)
    assert_equal_runs(straight.folder, again)
