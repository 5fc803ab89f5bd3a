"""Opening a run: what it refuses, that a refusal changes nothing, and what it clears up."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.locks import LOCK_NAME, locked_run
from autolink_gen.training.saves import STATE_NAME, read_save, step_folders, write_save

TINY = {
    "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
    "data": {"name": "puppets"},
    "perceptual": {"features": "random", "distance": "l1"},
    "training": {"steps": 2, "batch_size": 2, "save_every": 1, "grid_every": 10, "log_every": 1, "ema": 0.9},
}


def tiny(**training: object) -> GraphRunConfig:
    return build(GraphRunConfig, {**TINY, "training": {**TINY["training"], **training}})


def launch(folder: Path, **changes: object) -> Launch:
    return Launch(folder=folder, devices=1, progress=False, **changes)


def contents(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Every file's bytes and time of change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_graph(tiny(), launch(folder))
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def damage_all(folder: Path) -> None:
    for save in step_folders(folder / "checkpoints"):
        (save / STATE_NAME).write_bytes(b"half a file")


def remove_saves(folder: Path) -> None:
    (folder / "checkpoints").rename(folder.with_name("elsewhere"))


def saves_that_are_a_file(folder: Path) -> None:
    remove_saves(folder)
    (folder / "checkpoints").write_text("a disk that is not there")


@pytest.mark.parametrize(
    ("damage", "things"),
    [
        (damage_all, (f"step-00000002/{STATE_NAME}", "read", "--fresh")),
        (remove_saves, ("no save", "--fresh")),
        (saves_that_are_a_file, ("checkpoints", "listed", "--fresh")),
    ],
)
def test_a_run_whose_saves_cannot_be_read_is_not_begun_anew(folder, caplog, damage, things):
    damage(folder)
    before = contents(folder)
    with raises_mentioning(ValueError, *things):
        train_graph(tiny(steps=3), launch(folder))
    assert contents(folder) == before
    assert "going on" not in caplog.text
    run = train_graph(tiny(steps=1), launch(folder, fresh=True))
    assert run.progress.step == 1
    assert contents(folder.with_name("run.old1")) == before, "moved aside as it was"


def test_saves_that_may_not_be_read_are_not_begun_anew(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("autolink_gen.training.saves.read_save", refuse)
    before = contents(folder)
    with raises_mentioning(ValueError, "Permission denied", "rights"):
        train_graph(tiny(steps=3), launch(folder))
    assert contents(folder) == before


def test_a_run_killed_before_its_first_save_begins_anew(tmp_path):
    folder = tmp_path / "run"
    train_graph(tiny(steps=1), launch(folder))
    (folder / "model.safetensors").unlink()
    (folder / "checkpoints").rename(tmp_path / "elsewhere")
    assert train_graph(tiny(steps=1), launch(folder)).first_step == 0


def test_a_damaged_save_is_moved_aside_and_does_not_count(folder, caplog):
    newest = folder / "checkpoints" / "step-00000002"
    for number, aside in enumerate(("damaged-step-00000002", "damaged-step-00000002.2")):
        (newest / STATE_NAME).write_bytes(b"half a file")
        caplog.clear()
        run = train_graph(tiny(steps=2, keep_last=2), launch(folder))
        assert (run.first_step, run.progress.step) == (1, 2), number
        assert (folder / "checkpoints" / aside / STATE_NAME).read_bytes() == b"half a file"
        assert str(newest) in caplog.text and aside in caplog.text
        assert [path.name for path in step_folders(run.checkpoints)] == ["step-00000001", "step-00000002"]


def test_a_save_of_another_run_is_refused_in_a_line(folder):
    other = tiny()
    other = replace(other, model=replace(other.model, num_keypoints=4))
    train_graph(other, launch(folder.with_name("other")))
    remove_saves(folder)
    (folder.with_name("other") / "checkpoints").rename(folder / "checkpoints")
    with raises_mentioning(ValueError, "step-00000002", "readable", "--fresh") as caught:
        train_graph(tiny(steps=3), launch(folder))
    assert "\n" not in str(caught.value)


def test_a_save_under_another_step_s_name_is_refused(folder):
    (folder / "checkpoints" / "step-00000002").rename(folder / "checkpoints" / "step-00000009")
    with pytest.raises(ValueError, match=r"step-00000009 .*of step 2"):
        train_graph(tiny(steps=10), launch(folder))


def test_a_second_process_changes_nothing(folder):
    before = contents(folder)
    with locked_run(folder):
        for fresh in (False, True):
            with raises_mentioning(ValueError, folder, "in use", f"process {os.getpid()}", "--name"):
                train_graph(tiny(steps=3), launch(folder, fresh=fresh))
    assert contents(folder) == before
    assert train_graph(tiny(steps=3), launch(folder)).progress.step == 3


def test_the_lock_is_held_while_it_trains_and_freed_when_it_fails(tmp_path, monkeypatch):
    seen = []

    def look(run):
        with pytest.raises(ValueError, match="in use by"), locked_run(run.folder):
            pass
        seen.append(True)
        raise KeyError("a bug")

    monkeypatch.setattr("autolink_gen.training.engine.Run.save", look)
    with pytest.raises(KeyError):
        train_graph(tiny(), launch(tmp_path / "run"))
    assert seen
    monkeypatch.undo()
    assert train_graph(tiny(), launch(tmp_path / "run")).progress.step == 2
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_what_kills_left_is_cleared_and_what_others_left_is_not(folder):
    ours = [
        ".model.safetensors.4711.tmp",
        ".config.yaml.1.tmp",
        ".metrics.jsonl.22.tmp",
        ".graph.png.3.tmp",
        ".tmpAb12Xy",
        "samples/.step-00000004.png.99.tmp",
        "checkpoints/.step-00000003.77.tmp/model.safetensors",
        "checkpoints/.step-00000001.old.tmp/.tmpzZ09aB",
    ]
    others = [".notes.tmp", ".tmpfiles", ".tmp", ".model.safetensors.tmp", ".mine.txt.12.tmp", "samples/.x.tmp"]
    others += ["checkpoints/.step-backup.tmp/a", "checkpoints/step-mine/b", "checkpoints/.tmp/c"]
    for name in (*ours, *others):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("text")
    train_graph(tiny(), launch(folder))
    assert [name for name in ours if (folder / name).exists()] == []
    assert [name for name in others if not (folder / name).exists()] == []


def test_a_save_too_many_is_rotated_away(folder):
    """As a kill between a save and the removal of the oldest leaves it."""
    train_graph(tiny(steps=4, keep_last=9), launch(folder))
    run = train_graph(tiny(steps=4, keep_last=1), launch(folder))
    kept = {path.name for path in step_folders(run.checkpoints)}
    assert kept == {"step-00000004", f"step-{run.progress.best_step:08d}"}


def test_a_configuration_that_is_no_text_is_one_line(folder):
    (folder / "config.yaml").write_bytes(b"\xff\xfe\x00model")
    with pytest.raises(ValueError, match=r"config\.yaml is no readable YAML"):
        train_graph(tiny(), launch(folder))
    for text in ("[" * 60_000, "a: " + "x" * 70_000, "model: [1"):
        (folder / "config.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"config\.yaml"):
            train_graph(tiny(), launch(folder))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder):
    for name in ("metrics.jsonl", "config.yaml", "model.safetensors"):
        (folder / name).rename(folder / "kept")
        os.mkfifo(folder / name)
        with pytest.raises(ValueError, match=f"{name} is no file"):
            train_graph(tiny(), launch(folder))
        (folder / "kept").replace(folder / name)


def test_the_first_weights_hang_on_nothing_that_is_read_before(folder, tmp_path, monkeypatch):
    """A run killed before its first save finds other files when it begins anew."""
    from autolink_gen.training import opening

    plain = opening.check_run

    def draw_too(*args: object) -> None:
        torch.rand(7)
        plain(*args)

    monkeypatch.setattr(opening, "check_run", draw_too)
    other = train_graph(tiny(), launch(tmp_path / "other"))
    assert (other.folder / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def other_moments(state: dict[str, Any]) -> None:
    for values in state["optimiser"]["state"].values():
        values["exp_avg"] = torch.zeros(7)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["progress"].update(step="2"),
        lambda state: state["progress"].update(best_step=None),
        lambda state: state["progress"].update(recent_losses=["far"]),
        lambda state: state["progress"].update(recent_losses=7),
        lambda state: state["progress"].update(more=1),
        lambda state: state.update(progress=[1]),
        lambda state: state.update(rng="random"),
        lambda state: state.update(average={"module": 7}),
        lambda state: state.pop("optimiser"),
        lambda state: state["optimiser"].update(state=7),
        lambda state: state["optimiser"].update(param_groups=[]),
        other_moments,
    ],
)
def test_a_save_that_holds_other_things_is_refused_in_a_line(folder, change):
    weights, state = read_save(folder / "checkpoints" / "step-00000002")
    change(state)
    write_save(folder / "checkpoints", 2, weights, state)
    with raises_mentioning(ValueError, "step-00000002", "readable", "--fresh") as caught:
        train_graph(tiny(steps=3), launch(folder))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
