"""The graph learner's loop: it learns, resumes bit-equal, guards against NaN, stops when asked, keeps what it made."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from lightning_fabric.plugins.precision import MixedPrecision
from PIL import Image

from autolink_gen import load_graph_model
from autolink_gen.config import GraphRunConfig, PerceptualConfig, build
from autolink_gen.training import graph as graph_training
from autolink_gen.training import graph_loss
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import thickness_at, train_graph
from autolink_gen.training.graph_loss import make_loss
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import STATE_NAME, read_newest, step_folders

TINY = {
    "model": {"num_keypoints": 4, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
    "data": {"name": "puppets", "flip": 0.5},
    "perceptual": {"features": "random", "distance": "l1"},
    "optimiser": {"lr": 1e-3, "schedule": "cosine", "warmup_steps": 2},
    "training": {"steps": 6, "batch_size": 2, "ema": 0.9, "save_every": 3, "grid_every": 6, "log_every": 1},
    "thickness": {"start": 2e-2},
}


def tiny(**training) -> GraphRunConfig:
    return build(GraphRunConfig, {**TINY, "training": {**TINY["training"], **training}})


def launch(folder: Path, **changes) -> Launch:
    return Launch(folder=folder, **{"devices": 1, "progress": False, **changes})


def state_of(run: Run) -> dict[str, torch.Tensor]:
    weights, state = read_newest(run.checkpoints)
    averages = {f"average.{name}": value for name, value in state["average"].items()}
    moments = {
        f"optimiser.{index}.{name}": value
        for index, values in state["optimiser"]["state"].items()
        for name, value in values.items()
    }
    return {**weights, **averages, **moments, "rng": state["rng"]}


def stop_after(monkeypatch, step: int, how) -> None:
    """Make something happen in the middle of a step, once."""
    plain = Run.update
    done = []

    def update(self, loss, **kwargs):
        if self.progress.step == step and not done:
            done.append(True)
            how(self)
        return plain(self, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)


def copied(run: Run, folder: Path) -> Path:
    """A copy of a run, to be changed."""
    return Path(shutil.copytree(run.folder, folder / "run"))


def test_the_settings_of_the_loss_reach_it():
    loss = make_loss(PerceptualConfig(features="random", distance="l1", resize=48, unit_length=True))
    assert (loss.distance, loss.resize, loss.unit_length) == ("l1", 48, True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Run:
    return train_graph(tiny(), launch(tmp_path_factory.mktemp("straight") / "run"))


def test_what_a_run_leaves(straight):
    folder = straight.folder
    assert [path.name for path in step_folders(folder / "checkpoints")] == ["step-00000003", "step-00000006"]
    assert {"config.yaml", "metrics.jsonl", "model.safetensors", "graph.png"} <= {p.name for p in folder.iterdir()}
    assert list(folder.glob("events.out.tfevents.*"))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all({"loss", "alpha", "sigma2", "learning_rate", "skipped_steps"} <= row.keys() for row in rows)
    grid = np.asarray(Image.open(folder / "samples" / "step-00000006.png"))
    assert grid.shape[1] > 5 * 192
    assert grid.std() > 20
    assert not list(folder.rglob("*.tmp"))


def test_repeating_a_finished_run_adds_nothing(straight):
    before = {path: path.stat().st_mtime_ns for path in straight.folder.rglob("*") if path.name != "config.yaml"}
    train_graph(tiny(), launch(straight.folder))
    after = {path: path.stat().st_mtime_ns for path in straight.folder.rglob("*") if path.name != "config.yaml"}
    assert {p.name for p in after} == {p.name for p in before}
    assert all(after[path] == before[path] for path in before if path.is_file())


def test_the_weights_to_use_are_the_average(straight):
    average = straight.average.module.state_dict()
    used = load_graph_model(straight.folder).state_dict()
    assert all(torch.equal(average[name], used[name]) for name in used)
    assert not torch.equal(used["alpha"], straight.network.alpha.detach())


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_stopped_run_goes_on_bit_equal(straight, tmp_path, monkeypatch, at):
    stop_after(monkeypatch, at - 1, lambda run: os.kill(os.getpid(), signal.SIGTERM))
    first = train_graph(tiny(), launch(tmp_path / "run"))
    assert (first.progress.step, first.stopped_by) == (at, "SIGTERM")
    torch.rand(7)  # whatever happens in between
    second = train_graph(tiny(), launch(tmp_path / "run"))
    assert second.progress.step == 6
    expected, found = state_of(straight), state_of(second)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_crash_loses_nothing_before_the_last_save(straight, tmp_path, monkeypatch):
    def crash(run):
        raise KeyError("a bug")

    stop_after(monkeypatch, 4, crash)
    with pytest.raises(KeyError):
        train_graph(tiny(), launch(tmp_path / "run"))
    again = train_graph(tiny(), launch(tmp_path / "run"))
    expected, found = state_of(straight), state_of(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_damaged_save_is_passed_over(straight, tmp_path, caplog):
    newest = step_folders(copied(straight, tmp_path) / "checkpoints")[-1]
    (newest / STATE_NAME).write_bytes(b"half a file")
    again = train_graph(tiny(), launch(tmp_path / "run"))
    assert "cannot be read" in caplog.text
    assert (again.first_step, again.progress.step) == (3, 6)
    assert read_newest(again.checkpoints)[1]["progress"]["step"] == 6


def test_repeating_a_finished_run_does_nothing(straight):
    before = (straight.folder / "model.safetensors").stat().st_mtime_ns
    again = train_graph(tiny(), launch(straight.folder))
    assert again.progress.step == 6
    assert (straight.folder / "model.safetensors").stat().st_mtime_ns == before


def test_more_steps_go_on_and_fewer_saves_are_kept(straight, tmp_path):
    run = train_graph(tiny(steps=8, keep_last=1), launch(copied(straight, tmp_path)))
    assert (run.first_step, run.progress.step) == (6, 8)
    kept = {path.name for path in step_folders(run.checkpoints)}
    assert kept == {"step-00000008", f"step-{run.progress.best_step:08d}"}


def test_other_settings_are_refused_and_fresh_moves_the_old_run_aside(tmp_path):
    train_graph(tiny(steps=1), launch(tmp_path / "run"))
    other = replace(tiny(steps=1), model=replace(tiny().model, num_keypoints=5))
    with pytest.raises(ValueError, match=r"model\.num_keypoints was 4, now 5.*--fresh"):
        train_graph(other, launch(tmp_path / "run"))
    train_graph(other, launch(tmp_path / "run", fresh=True))
    assert load_graph_model(tmp_path / "run").config.num_keypoints == 5
    assert load_graph_model(tmp_path / "run.old1").config.num_keypoints == 4


def test_the_time_limit_saves_and_stops(tmp_path):
    run = train_graph(tiny(steps=1000), launch(tmp_path / "run", max_minutes=1e-6))
    assert (run.progress.step, run.stopped_by) == (1, "the time limit")
    assert read_newest(run.checkpoints)[1]["progress"]["step"] == 1
    with pytest.raises(ValueError, match="max_minutes must be positive, got 0"):
        launch(tmp_path, max_minutes=0.0)


def test_steps_without_a_finite_loss_are_skipped_and_counted(tmp_path, monkeypatch):
    class Poisoned(graph_loss.PerceptualLoss):
        calls = 0

        def distance_to(self, pictures, target_features):
            Poisoned.calls += 1
            return super().distance_to(pictures, target_features) * (float("nan") if Poisoned.calls == 3 else 1.0)

    monkeypatch.setattr(graph_loss, "PerceptualLoss", Poisoned)
    run = train_graph(tiny(), launch(tmp_path / "run"))
    assert run.progress.skipped_steps == 1
    assert run.progress.step == 6
    assert all(torch.isfinite(value).all() for value in state_of(run).values())


def test_training_stops_with_advice_when_nothing_is_finite(tmp_path, monkeypatch):
    class Hopeless(graph_loss.PerceptualLoss):
        def distance_to(self, pictures, target_features):
            return super().distance_to(pictures, target_features) * float("inf")

    monkeypatch.setattr(graph_loss, "PerceptualLoss", Hopeless)
    with pytest.raises(ValueError, match=r"3 steps in a row.*--fresh.*optimiser\.lr"):
        train_graph(tiny(max_bad_steps=3), launch(tmp_path / "run"))


def test_an_infinite_gradient_is_not_applied(tmp_path, monkeypatch):
    def poison(run):
        run.model.module.alpha.register_hook(lambda gradient: gradient * float("inf"))

    stop_after(monkeypatch, 2, poison)
    with pytest.raises(ValueError, match="steps in a row"):
        train_graph(tiny(steps=20), launch(tmp_path / "run"))
    weights, _ = read_newest(tmp_path / "run" / "checkpoints") or ({}, {})
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_full_disk_is_one_clear_error_and_loses_nothing(straight, tmp_path, monkeypatch):
    shutil.rmtree(step_folders(copied(straight, tmp_path) / "checkpoints")[-1])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autolink_gen.training.saves.write_weights", full)
    with raises_mentioning(OSError, "step 6", "No space left", "repeat"):
        train_graph(tiny(), launch(tmp_path / "run"))
    monkeypatch.undo()
    assert read_newest(tmp_path / "run" / "checkpoints")[1]["progress"]["step"] == 3
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert train_graph(tiny(), launch(tmp_path / "run")).progress.step == 6


def test_it_overfits_eight_pictures(tmp_path):
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{index}.png")
    config = build(
        GraphRunConfig,
        {
            **TINY,
            "data": {"name": str(tmp_path / "pictures")},
            "model": {**TINY["model"], "mask_ratio": 0.3},
            "optimiser": {"lr": 6e-3},
            "training": {"steps": 32, "batch_size": 8, "save_every": 32, "grid_every": 32, "log_every": 1},
        },
    )
    run = train_graph(config, launch(tmp_path / "run"))
    losses = [json.loads(line)["loss"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.35 * losses[0]


def test_bfloat16_trains(tmp_path):
    run = train_graph(tiny(steps=2), launch(tmp_path / "run", precision="bf16-mixed"))
    assert run.progress.step == 2
    assert run.progress.skipped_steps == 0


def test_the_loss_scale_of_half_precision_is_restored(tmp_path, monkeypatch):
    # Float16 needs a GPU: on a CPU the plugin that would hold the scale says that it has one.
    restored = []
    monkeypatch.setattr(MixedPrecision, "state_dict", lambda self: {"scale": 1024.0, "_growth_tracker": 3})
    monkeypatch.setattr(MixedPrecision, "load_state_dict", lambda self, state: restored.append(state))
    train_graph(tiny(steps=1), launch(tmp_path / "run", precision="bf16-mixed"))
    assert restored == []
    train_graph(tiny(steps=1), launch(tmp_path / "run", precision="bf16-mixed"))
    assert restored == [{"scale": 1024.0, "_growth_tracker": 3}]


def test_devices_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="--devices nine"):
        train_graph(tiny(), launch(tmp_path / "run", devices="nine"))


def test_edges_start_thick_and_end_as_the_model_has_them():
    config = tiny(steps=100)
    assert thickness_at(0, config) == thickness_at(20, config) == pytest.approx(2e-2)
    assert thickness_at(40, config) == pytest.approx((2e-2 * 1e-2) ** 0.5)
    assert thickness_at(60, config) == thickness_at(99, config) == pytest.approx(1e-2)


def test_a_run_of_a_file_name_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        train_graph(tiny(), launch(tmp_path / "run"))


def test_edges_that_never_learn_are_not_drawn(monkeypatch):

    shown = []
    monkeypatch.setattr(graph_training, "draw_graphs", lambda pictures, keypoints, edges: shown.append(edges) or [])
    monkeypatch.setattr(graph_training, "image_grid", lambda rows: torch.zeros(1, 1, 3, dtype=torch.uint8).numpy())
    for drawing in ("points", "edges"):
        model = tiny_graph(drawing=drawing).eval()
        graph_training.graph_image(model, torch.zeros(1, 3, 64, 64))
    assert shown[0] is None and shown[1].shape == (3, 3)
