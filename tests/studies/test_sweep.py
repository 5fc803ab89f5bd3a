"""Sweeps: a grid and a search of tiny runs, shared, stopped and gone on with; what they write and refuse."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml

from autolink_gen.studies import graph_runs
from autolink_gen.studies.jobs import WorkStoppedError
from autolink_gen.studies.sweep import SweepReport, sweep
from autolink_gen.studies.sweep_axes import axes_of
from autolink_gen.studies.sweep_plan import MOST_TRIALS, SweepPlan, plan_sweep
from autolink_gen.training.guards import DivergedTrainingError
from autolink_gen.training.plans import Choices

TINY = {
    "model.width": 0.05, "model.image_size": 64, "model.num_keypoints": 4, "perceptual.features": "random",
    "perceptual.resize": None, "training.batch_size": 2,
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in which the score of a graph is the mean of its edges' weights."""

    def score(graph, data, **more) -> tuple[str, float]:
        return "edge error, %", 100 * float(graph.edge_weights.mean().detach())

    monkeypatch.setattr("autolink_gen.studies.sweep.score_graph", score)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tiny_sweep(varied: dict, **more) -> SweepReport:
    return sweep({**TINY, **varied}, recipe="paper", steps=1, **more)


GRID = {"optimiser.lr": [1e-4, 1e-2], "edges.dropout": "0,0.3"}


def test_a_grid_becomes_tables_sorted_by_score(here):
    told: list[str] = []
    report = tiny_sweep(GRID, tell=told.append)
    assert report.folder == Path("runs/sweep/puppets-lr-dropout")
    settings = {(row.settings["optimiser.lr"], row.settings["edges.dropout"]) for row in report.rows}
    assert settings == {(1e-4, 0.0), (1e-4, 0.3), (1e-2, 0.0), (1e-2, 0.3)}
    assert [row.mean for row in report.rows] == sorted(row.mean for row in report.rows)
    assert all((run / "model.safetensors").is_file() for row in report.rows for run in row.folders)
    assert report.best == report.rows[0] and report.metric in report.table
    lines = [line.split("|")[1:-1] for line in report.table.splitlines() if line.startswith("|")][2:]
    assert [float(cells[0]) for cells in lines] == [row.settings["optimiser.lr"] for row in report.rows]
    table = list(csv.DictReader((report.folder / "table.csv").open()))
    assert [float(line["mean"]) for line in table] == [row.mean for row in report.rows]
    found = json.loads((report.folder / "table.json").read_text())
    assert [one["scores"] for one in found["rows"]] == [list(row.scores) for row in report.rows]
    assert len([line for line in told if line.startswith("run ")]) == 4
    url = f"sqlite:///{report.folder / 'work.db'}"
    (name,) = optuna.get_all_study_names(url)
    study = optuna.load_study(study_name=name, storage=url)
    assert study.best_value == report.rows[0].mean and study.best_params == report.rows[0].settings
    assert sorted(study.trials_dataframe()["value"]) == [row.mean for row in report.rows]


def test_repeating_goes_on_and_values_and_seeds_may_be_added(here, monkeypatch):
    plain, trained = graph_runs.train_graph, []

    def noted(config, launch):
        run = plain(config, launch)
        trained.append((launch.folder.name, run.progress.step - run.first_step))
        return run

    monkeypatch.setattr(graph_runs, "train_graph", noted)
    first = tiny_sweep({"optimiser.lr": [1e-4, 1e-3]})
    assert trained == [("lr0.0001-seed0", 1), ("lr0.001-seed0", 1)]
    again = tiny_sweep({"optimiser.lr": [1e-4, 1e-3]})
    assert len(trained) == 2 and again.rows == first.rows
    more = tiny_sweep({"optimiser.lr": [1e-4, 1e-3, 1e-2]})
    assert trained[2:] == [("lr0.01-seed0", 1)] and len(more.rows) == 3
    del trained[:]
    seeds = tiny_sweep({"optimiser.lr": [1e-4, 1e-3, 1e-2]}, num_seeds=2)
    assert sorted(trained) == [(f"lr{rate}-seed{seed}", seed) for rate in (1e-4, 1e-3, 1e-2) for seed in (0, 1)]
    assert {row.scores[0] for row in seeds.rows} == {row.mean for row in more.rows}
    assert all(row.spread == np.std(row.scores) > 0 for row in seeds.rows) and "2 seeds" in seeds.table
    with pytest.raises(ValueError, match="--fresh") as caught:
        tiny_sweep({"optimiser.lr": [1e-4]} | {"edges.dropout": [0, 0.1]}, name=first.folder.name)
    assert str(first.folder) in str(caught.value)


def test_a_trial_that_was_stopped_goes_on(here, monkeypatch):
    plain = graph_runs.train_graph

    def stopped(config, launch):
        run = plain(config, launch)
        run.stopped_by = "SIGTERM" if launch.folder.name.startswith("lr0.001") else None
        return run

    monkeypatch.setattr(graph_runs, "train_graph", stopped)
    with pytest.raises(WorkStoppedError, match="SIGTERM"):
        tiny_sweep({"optimiser.lr": [1e-4, 1e-3]})
    folder = Path("runs/sweep/puppets-lr")
    assert [one["trial"] for one in json.loads((folder / "table.json").read_text())["rows"]] == ["lr0.0001"]
    monkeypatch.setattr(graph_runs, "train_graph", plain)
    told: list[str] = []
    assert len(tiny_sweep({"optimiser.lr": [1e-4, 1e-3]}, tell=told.append).rows) == 2
    assert [line for line in told if line.startswith("run ")] == ["run lr0.001-seed0"]


def test_a_search_draws_the_same_from_the_same_seed(here):
    drawn = {"optimiser.lr": "1e-5..1e-2", "model.num_keypoints": "3..6", "edges.dropout": [0, 0.3]}
    first, again, other = (
        tiny_sweep(drawn, trials=trials, name=name, seed=seed)
        for name, seed, trials in (("a", 0, 2), ("b", 0, 2), ("c", 1, 1))
    )
    assert [row.settings for row in first.rows] == [row.settings for row in again.rows]
    assert other.rows[0].settings["optimiser.lr"] not in [row.settings["optimiser.lr"] for row in first.rows]
    for row in (*first.rows, *other.rows):
        assert 1e-5 <= row.settings["optimiser.lr"] <= 1e-2 and row.settings["model.num_keypoints"] in range(3, 7)
        config = yaml.safe_load((row.folders[0] / "config.yaml").read_text())
        assert config["model"]["num_keypoints"] == row.settings["model.num_keypoints"]
    more = tiny_sweep(drawn, trials=3, name="a")
    assert len(more.rows) == 3 and {row.trial for row in more.rows} == {"trial0", "trial1", "trial2"}
    for changed in ({"trials": 2, "num_seeds": 2}, {"trials": 3, "seed": 5}):
        with pytest.raises(ValueError, match=r"sweep/a .*--fresh"):
            tiny_sweep(drawn, name="a", **changed)


def test_a_run_that_diverged_is_last_and_never_best(here, monkeypatch):
    plain = graph_runs.train_graph

    def diverged(config, launch):
        if config.optimiser.lr < 1e-3:
            raise DivergedTrainingError("no number is finite")
        return plain(config, launch)

    monkeypatch.setattr(graph_runs, "train_graph", diverged)
    report = tiny_sweep({"optimiser.lr": [1e-4, 1e-3]})
    assert [row.trial for row in report.rows] == ["lr0.001", "lr0.0001"] and math.isnan(report.rows[1].mean)
    assert report.best is not None and "diverged" in report.table.splitlines()[5]
    assert json.loads((report.folder / "table.json").read_text())["rows"][1]["mean"] is None
    none = tiny_sweep({"optimiser.lr": [1e-4, 2e-4]}, name="none")
    assert none.best is None and none.command == ""


def planned(varied: dict, **more) -> SweepPlan:
    fixed, axes = axes_of(varied)
    return plan_sweep(Choices(recipe="cpu", settings=fixed), axes, **more)


def test_the_command_trains_with_the_best_settings():
    fixed, axes = axes_of({"data.classes": [["a", "b c"]], "optimiser.lr": [1e-4, 1e-3], "training.steps": 5})
    choices = Choices(data="my photos", recipe="cpu", mirror=False, settings=fixed)
    command = plan_sweep(choices, axes).train_command({"optimiser.lr": 1e-3})
    assert command.startswith("autolink-gen learn-graph ") and "--set optimiser.lr=0.001" in command
    for part in ("--data 'my photos'", "--recipe cpu", "--no-mirror", """--set 'data.classes=["a", "b c"]'"""):
        assert part in command


def test_trials_have_names_of_folders_that_differ():
    plan = planned({"data.classes": [["a", "b"], ["a/b"], ["a", "../b" * 100]], "edges.dropout": "0,0.5"})
    names = [trial.name for trial in plan.trials]
    assert len(set(names)) == 6 and all("/" not in name and len(name) < 130 for name in names)


@pytest.mark.parametrize(
    ("varied", "more", "mentions"),
    [
        ({"optimiser.lrr": [1, 2]}, {}, ("optimiser.lrr", "optimiser.lr")),
        ({"optimiser.lr": [1e-4, "fast"]}, {}, ("optimiser.lr", "fast")),
        ({"optimiser.lr": [1e-4, 0.0001]}, {}, ("optimiser.lr", "0.0001")),
        ({"optimiser.lr": "-1..1"}, {"trials": 3}, ("optimiser.lr", "-1")),
        ({"model.num_keypoints": "4.0..9"}, {"trials": 3}, ("model.num_keypoints",)),
        ({"optimiser.lr": "1e-5..1e-2"}, {}, ("--trials",)),
        ({"optimiser.lr": "1e-5..1e-2"}, {"trials": 0}, ("--trials", "0")),
        ({"optimiser.lr": "1e-5..1e-2"}, {"sampler": "grid"}, ("optimiser.lr", "--sampler tpe")),
        ({"optimiser.lr": [1e-4, 1e-3]}, {"trials": 9}, ("--trials 9", "--sampler tpe")),
        ({"optimiser.lr": [1e-4]}, {}, ("--set", "optimiser.lr=1e-4,1e-3")),
        ({"optimiser.lr": [rate / 5000 for rate in range(1, 1002)]}, {}, ("1,001", str(MOST_TRIALS))),
    ],
)
def test_what_cannot_be_tried_is_named(varied, more, mentions):
    with pytest.raises(ValueError, match=r".") as caught:
        planned(varied, **more)
    assert all(mention in str(caught.value) for mention in mentions)
