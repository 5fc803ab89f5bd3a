"""`autolink-gen ablate`: runs of a grid, its table and plot, and what it says when it is stopped or repeated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions
from PIL import Image

from autolink_gen.cli.main import cli
from autolink_gen.evaluation import puppets
from autolink_gen.studies.ablations import ABLATIONS

SETTINGS = ("model.width=0.05", "perceptual.features=random", "perceptual.resize=null", "training.batch_size=2")


def ablate(*arguments: object) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return CliRunner().invoke(cli, ["ablate", *map(str, arguments), *settings])


def variants(*arguments: object) -> Result:
    """The variants of the paper, on a graph that is soon drawn."""
    return ablate("variants", "--num-keypoints", 5, *arguments)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; of the variants two are tried, and few puppets are looked at."""
    whole = ABLATIONS["variants"]
    monkeypatch.setitem(ABLATIONS, "variants", replace(whole, cells=whole.cells[1::4]))
    plain = puppets.evaluate_puppets

    def few(graph, **more):
        return plain(graph, num_fit=12, num_test=4, **more)

    monkeypatch.setattr("autolink_gen.evaluation.score.evaluate_puppets", few)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_variants_become_a_table_and_a_plot(here: Path) -> None:
    result = variants("--steps", 1)
    assert result.exit_code == 0, result.output
    folder = Path("runs/ablate/variants-puppets")
    assert f"2 runs in {folder}\n" in result.output
    table = (folder / "table.md").read_text()
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("|")][2:]
    assert [row[0].strip() for row in rows] == ["alpha fixed at 1", "keypoints without edges"]
    assert all(0 < float(row[1]) < 60 for row in rows)
    assert table in result.output and "joint error, % of the width" in table
    assert np.asarray(Image.open(folder / "plot.png")).std() > 10
    assert (folder / "keypoints-without-edges-seed0/model.safetensors").is_file()
    again = variants("--steps", 1)
    assert "run " not in again.output and table in again.output
    more = variants("--steps", 1, "--seeds", 2)
    assert more.output.count("run ") == 2 and "mean ± deviation over 2 seeds" in (folder / "table.md").read_text()


def test_a_table_of_other_settings_is_not_replaced(here: Path) -> None:
    assert variants("--steps", 1).exit_code == 0
    folder = Path("runs/ablate/variants-puppets")
    before = (folder / "table.md").read_bytes(), (folder / "plot.png").read_bytes()
    for changes, told in [
        (["--steps", 2], "training.steps was 1, now 2"),
        (["--steps", 1, "--set", "views.consistency=0.5"], "views.consistency was 0.0, now 0.5"),
        (["--steps", 1, "--max-minutes", 5], "--max-minutes was None, now 5.0"),
        (["--steps", 1, "--seed", 4], "training.seed was 0, now 4"),
    ]:
        result = variants(*changes)
        whole = f"Error: {folder} holds a table of other settings: {told}. Give"
        assert result.exit_code == 1 and whole in result.output
        assert "--fresh" in result.output and "--name" in result.output
    other = ablate("masking", "--num-keypoints", 5, "--steps", 1, "--name", folder.name)
    assert other.exit_code == 1 and "its 2 runs were alpha-fixed-at-1-seed0, " in other.output
    (folder / "settings.yaml").unlink()  # as of old
    old = variants("--steps", 2)
    assert old.exit_code == 1 and "training.steps was 1, now 2" in old.output
    assert ((folder / "table.md").read_bytes(), (folder / "plot.png").read_bytes()) == before
    again = variants("--steps", 1)
    assert again.exit_code == 0 and "run alpha" not in again.output, "the same settings go on"
    refused = variants("--steps", 2, "--fresh", "--storage", "sqlite:///other.db")
    assert refused.exit_code == 1 and "name another storage" in refused.output
    anew = variants("--steps", 2, "--fresh")
    assert anew.output.count("after 2 steps") == 2 and "2 steps of 2 images" in (folder / "table.md").read_text()
    assert (folder.with_name(f"{folder.name}.old1") / "table.md").read_bytes() == before[0]


def test_a_dry_run_names_the_runs(here: Path) -> None:
    result = ablate("masking", "--seeds", 2, "--seed", 3, "--num-keypoints", 6, "--dry-run")
    assert result.exit_code == 0, result.output
    config = yaml.safe_load(result.output)
    assert (config["training"]["seed"], config["model"]["num_keypoints"]) == (3, 6)
    assert len([line for line in result.output.splitlines() if "mask_grid=" in line]) == 32
    assert "# 4-0.5-seed3: model.mask_grid=4 model.mask_ratio=0.5\n" in result.output
    assert "leave --num-keypoints out" in ablate("thickness", "--num-keypoints", 6).output
    assert "# 32-0.97-seed4" in result.output and not Path("runs").exists()


def test_a_stop_is_said_and_the_rest_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolink_gen.studies import graph_runs

    plain = graph_runs.train_graph

    def stopped(config, launch):
        run = plain(config, launch)
        run.stopped_by = "SIGINT" if launch.folder.name.startswith("keypoints") else None
        return run

    monkeypatch.setattr(graph_runs, "train_graph", stopped)
    result = variants("--steps", 1)
    assert result.exit_code == 130
    assert_line_mentions(result, "repeat")
    assert "| keypoints without edges | - |" in Path("runs/ablate/variants-puppets/table.md").read_text()
    monkeypatch.setattr(graph_runs, "train_graph", plain)
    result = variants("--steps", 1)
    assert result.exit_code == 0 and "run alpha" not in result.output
    assert "run keypoints-without-edges-seed0" in result.output


def test_pictures_without_landmarks_cannot_be_scored(here: Path) -> None:
    Path("photos").mkdir()
    for number in range(3):
        Image.new("RGB", (70, 70), (80 * number, 0, 0)).save(f"photos/{number}.png")
    result = ablate("variants", "--data", "photos", "--recipe", "cpu", "--steps", 1)
    assert result.exit_code == 1 and "landmarks" in result.output and "Traceback" not in result.output
    assert "--fit-data" not in result.output, "ablate has no such option"
    assert "run " not in result.output, "before anything is trained"
