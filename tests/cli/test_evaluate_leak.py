"""`autolink-gen evaluate`: what it says of the appearance that keypoints give away."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.messages import assert_line_mentions
from PIL import Image

from autolink_gen.cli.main import cli
from autolink_gen.evaluation.leak import AppearanceLeak, appearance_leak
from autolink_gen.inference.detect_batches import detect_with_colours, mean_colour
from autolink_gen.models.autolink import AutoLink


def draw(folder: Path, count: int, *, seed: int, bright: int = 0) -> list[Path]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for path in paths:
        pixels = rng.integers(bright, bright + 100, (64, 64, 3)) + rng.integers(0, 50, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return paths


def write_table(table: Path, paths: list[Path], persons: list[str]) -> None:
    rng = np.random.default_rng(0)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "person", *(f"{axis}{p}" for p in range(3) for axis in "xy")])
        writer.writerows(
            [path.name, person, *rng.random(6).round(3)] for path, person in zip(paths, persons, strict=True)
        )


def evaluated(*arguments: object) -> tuple[str, dict[str, object]]:
    result = CliRunner().invoke(cli, ["evaluate", "tiny", "--json", "scores.json", "--overwrite", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output, json.loads(Path("scores.json").read_text())


def leak_of(graph: AutoLink, paths: list[Path], **labels: list[str]) -> AppearanceLeak:
    pictures = [np.asarray(Image.open(path)) for path in paths]
    return appearance_leak(
        detect_with_colours(graph, pictures).keypoints, np.stack([*map(mean_colour, pictures)]), **labels
    )


def test_pictures_with_landmarks_hold_out_persons(tiny_graph: AutoLink) -> None:
    persons = [f"person {number % 6}" for number in range(24)]
    write_table(Path("landmarks_train.csv"), draw(Path("train"), 16, seed=1), ["somebody"] * 16)
    test = draw(Path("test"), 24, seed=2)
    write_table(Path("landmarks_test.csv"), test, persons)
    said, scores = evaluated("--data", "test", "--regressor", "map.json", "--picture", "best.png")
    leak = leak_of(tiny_graph, test, groups=persons)
    assert leak.appearance_leak != leak_of(tiny_graph, test).appearance_leak
    assert scores["appearance_leak"] == pytest.approx(leak.appearance_leak, abs=1e-3)
    assert scores["appearance_leak_shuffled"] == pytest.approx(leak.appearance_leak_shuffled, abs=1e-3)
    assert scores["appearance_leak_pictures"] == 24 and "class_leak" not in scores
    assert_line_mentions(said, f"{100 * scores['appearance_leak']:.1f} %", "variance", "colour")
    assert "the less, the better" in said


def test_data_are_the_same_however_they_are_named(tiny_graph: AutoLink) -> None:
    draw(Path("pics"), 12, seed=1)
    for name in ("pics", Path("pics").resolve(), "./pics"):
        result = CliRunner().invoke(cli, ["evaluate", "tiny", "--data", str(name)])
        assert result.exit_code == 0, result.output
    assert len(list(Path("runs/graph/tiny/evaluation").glob("*-settings.json"))) == 1


def test_folders_of_classes_are_told_apart(tiny_graph: AutoLink) -> None:
    paths = {name: draw(Path("animals/val") / name, 10, seed=bright, bright=bright) for name, bright in
             (("cat", 0), ("dog", 40), ("wild", 90))}  # fmt: skip
    draw(Path("animals/train/cat"), 1, seed=1)
    said, scores = evaluated("--data", "animals")
    names = [name for name in paths for _ in range(10)]
    leak = leak_of(tiny_graph, [path for part in paths.values() for path in part], classes=names)
    assert (scores["class_leak"], scores["class_share"]) == (pytest.approx(leak.class_leak), pytest.approx(1 / 3))
    assert scores["class_leak_shuffled"] == pytest.approx(leak.class_leak_shuffled)
    assert f"and the class of {100 * scores['class_leak']:.1f} % of the images" in said

    Path("runs/graph/tiny/config.yaml").write_text(
        f"data: {{name: {Path('animals').absolute()}, classes: [cat, wild]}}"
    )
    _, scores = evaluated()
    assert scores["appearance_leak_pictures"] == 20 and scores["class_share"] == 0.5, "the run's own classes"
    _, scores = evaluated("--max-test", 12)
    assert scores["appearance_leak_pictures"] == 12
