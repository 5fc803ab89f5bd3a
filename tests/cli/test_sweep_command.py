"""`autolink-gen sweep`: what it prints and lists; two processes that share it; without Optuna."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from autolink_gen.cli.main import cli

SETTINGS = ("model.width=0.05", "model.image_size=64", "model.num_keypoints=4", "perceptual.features=random",
            "perceptual.resize=null", "training.batch_size=2")  # fmt: skip
OPTIONS = [word for setting in SETTINGS for word in ("--set", setting)]
GRID = ["--set", "optimiser.lr=1e-4,1e-2", "--set", "edges.dropout=0,0.3"]


def sweep(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["sweep", "--recipe", "paper", *OPTIONS, *map(str, arguments)])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_says_what_is_best_and_how_to_train_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(graph, data, **more) -> tuple[str, float]:
        return "edge error, %", 100 * float(graph.edge_weights.mean().detach())

    monkeypatch.setattr("autolink_gen.studies.sweep.score_graph", score)
    result = sweep("--set", "optimiser.lr=1e-4,1e-2", "--steps", 1, "--name", "mine")
    assert result.exit_code == 0, result.output
    folder = Path("runs/sweep/mine")
    best = json.loads((folder / "table.json").read_text())["rows"][0]
    assert (folder / "table.md").read_text() in result.output
    (command,) = [line for line in result.output.splitlines() if line.startswith("next: ")]
    assert f"--set optimiser.lr={best['settings']['optimiser.lr']}" in command and "--set model.width=0.05" in command
    assert str(folder / best["runs"][0]) in result.output
    assert all(str(folder / name) in result.output for name in ("table.md", "table.csv", "table.json"))


def test_a_dry_run_lists_the_trials() -> None:
    result = sweep(*GRID, "--seeds", 2, "--seed", 3, "--dry-run")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.output)["training"]["seed"] == 3
    listed = [line for line in result.output.splitlines() if line.startswith("# lr")]
    assert len(listed) == 4 and all("optimiser.lr=" in line and "edges.dropout=" in line for line in listed)
    drawn = sweep("--set", "optimiser.lr=1e-5..1e-2", "--trials", 7, "--dry-run")
    assert "7 trials" in drawn.output and "optimiser.lr=1e-05..0.01" in drawn.output and "logarithmic" in drawn.output
    assert not Path("runs").exists()


def test_pictures_without_landmarks_cannot_be_compared(pictures: Path) -> None:
    result = sweep("--data", pictures, *GRID, "--steps", 1)
    assert result.exit_code == 1 and "landmarks" in result.output and "run " not in result.output


def test_without_optuna_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("autolink_gen.studies.optuna")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = sweep(*GRID, "--steps", 1)
    assert result.exit_code == 1 and "pip install 'autolink-gen[ablate]'" in result.output
    assert "Traceback" not in result.output and "run " not in result.output


WORKER = """
import sys
from autolink_gen.studies import sweep as module
module.score_graph = lambda graph, data, **more: ("edge error", float(graph.edge_weights.mean().detach()))
from autolink_gen.cli.main import cli
cli(sys.argv[1:])
"""


def test_two_processes_share_the_trials(here: Path) -> None:
    words = ["sweep", "--recipe", "paper", *OPTIONS, *GRID, "--steps", "2", "--name", "both"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, *words], cwd=here, env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]  # fmt: skip
    printed = [worker.communicate(timeout=240)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], printed
    runs = [line for text in printed for line in text.splitlines() if line.startswith("run ")]
    assert len(runs) == len(set(runs)) == 4, printed
    tables = [[line for line in text.splitlines() if line.startswith("|")] for text in printed]
    assert tables[0] == tables[1] and len(tables[0]) == 6
