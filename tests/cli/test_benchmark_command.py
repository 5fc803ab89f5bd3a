"""`autolink-gen benchmark`: a set's own protocol over seeds, beside the published figure."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from PIL import Image

from autolink_gen.cli.main import cli
from autolink_gen.data.published.sets import PublishedScore
from autolink_gen.studies.jobs import Outcome
from autolink_gen.studies.tables import benchmark_table

SETTINGS = ("model.width=0.05", "model.image_size=64", "perceptual.features=random", "perceptual.resize=null",
            "training.batch_size=2", "model.sigma2=1e-2")  # fmt: skip


def benchmark(*arguments: object) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return CliRunner().invoke(cli, ["benchmark", *map(str, arguments), *settings])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root in which celeba-wild was made ready, with random pictures and five landmarks."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for part, count in (("train", 4), ("fit", 20), ("test", 6)):
        folder = tmp_path / "prepared/celeba-wild" / part
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        with (folder.parent / f"landmarks_{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", *(f"{axis}{point}" for point in range(5) for axis in "xy")])
            for number in range(count):
                writer.writerow([f"{number}.png", *generator.random(10).round(3)])
    (tmp_path / "prepared/celeba-wild/prepared.json").write_text('{"size": 64, "complete": true}')
    return tmp_path


def test_seeds_become_a_table_beside_the_published_figure(root: Path) -> None:
    words = ("celeba-wild", "--data-root", root, "--recipe", "cpu", "--seeds", 2, "--steps", 1, "--num-keypoints", 4)
    result = benchmark(*words)
    assert result.exit_code == 0, result.output
    table = Path("runs/benchmark/celeba-wild-k4/table.md").read_text()
    assert table in result.output
    assert "celeba-wild, 4 keypoints: NME, % of the eye distance" in table
    row = [cell.strip() for cell in table.splitlines()[4].split("|")[1:-1]]
    assert row[1:] == ["7.72", "6.11"] and " ± " in row[0] and float(row[0].split()[0]) > 5
    seeds = [float(part.split()[1]) for part in table.splitlines()[6].split(", ")]
    assert np.mean(seeds) == pytest.approx(float(row[0].split()[0]), abs=0.011)
    assert table.endswith("\nceleba-wild, recipe cpu, 1 steps of 2 images\n")
    again = benchmark(*words)
    assert "run seed" not in again.output and table in again.output
    other = benchmark(*words, "--steps", 2)
    assert_mentions(one_line(other), "training.steps", 1, 2)
    fewer = benchmark(*words, "--seeds", 1)
    assert fewer.exit_code == 1 and "its 2 runs were seed0, seed1, and 1 of them" in fewer.output
    assert Path("runs/benchmark/celeba-wild-k4/table.md").read_text() == table


def test_the_published_settings_are_taken_and_can_be_changed(root: Path) -> None:
    shown = CliRunner().invoke(cli, ["benchmark", "celeba-wild", "--recipe", "paper", "--dry-run"])
    config = yaml.safe_load(shown.output)
    assert (config["model"]["num_keypoints"], config["model"]["sigma2"], config["data"]["flip"]) == (8, 2.5e-3, 0.5)
    assert config["training"]["steps"] == 20_000
    words = ["benchmark", "celeba-wild", "--recipe", "paper", "--dry-run", "--num-keypoints", "4", "--no-mirror",
             "--set", "model.sigma2=1e-3"]  # fmt: skip
    changed = yaml.safe_load(CliRunner().invoke(cli, words).output)
    assert (changed["model"]["num_keypoints"], changed["model"]["sigma2"], changed["data"]["flip"]) == (4, 1e-3, 0)


def test_a_set_that_is_not_there_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    result = benchmark("deepfashion", "--data-root", tmp_path, "--recipe", "cpu")
    assert result.exit_code == 1
    assert_line_mentions(result, "deepfashion", "published")
    assert not (tmp_path / "runs").exists() and "run seed" not in result.output


def test_the_table_says_what_is_known() -> None:
    one = benchmark_table("faces68", 8, {"seed0": Outcome(14.0, "NME", 5)}, None)
    assert "| here, 1 seed |" in one and "| 14.00 | - | - |" in one
    two = benchmark_table(
        "cub-all", 4, {"a": Outcome(10.0, "NME", 5), "b": Outcome(12.0, "NME", 5)}, PublishedScore(None, None, 11.3)
    )
    assert "| 11.00 ± 1.00 | - | 11.3 |" in two and two.endswith("a 10.00, b 12.00\n")


def test_no_name_changes_the_form_of_a_table() -> None:
    table = benchmark_table("a|b\n| 0 |\x1b[31m<img>", 8, {"seed|0\n": Outcome(14.0, "NME", 5)}, None)
    plain = benchmark_table("a", 8, {"seed0": Outcome(14.0, "NME", 5)}, None)
    assert len(table.splitlines()) == len(plain.splitlines())
    assert all(line.isprintable() for line in table.splitlines()) and "<" not in table
    assert table.replace(r"\|", "").count("|") == plain.count("|")
