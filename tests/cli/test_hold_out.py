"""`learn-graph --hold-out` and `evaluate --hold-out`: settings tuned without the test persons."""

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from PIL import Image

from autolink_gen.data.held_out import open_people
from autolink_gen.data.source import open_source
from autolink_gen.evaluation.landmarks import nme
from autolink_gen.evaluation.splits import annotate, read_held_out
from autolink_gen.models.autolink import AutoLink

FACES = ("--data", "faces68", "--data-root", "data")


run = partial(run_cli, expect=None)


@pytest.fixture
def graph(tiny_graph: AutoLink) -> AutoLink:
    """An untrained network as the run `tiny`; faces68 in `data`, whose training part has 6 persons of 4 pictures."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 3)):
        folder = Path("data/faces68") / part
        folder.mkdir(parents=True)
        rows = [["file", "person", *(f"{axis}{p}" for p in range(68) for axis in "xy")]]
        for number in range(count):
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
            rows.append([f"{number:02}.png", f"p{number % 6}", *rng.uniform(0.2, 0.8, 136).round(3)])
        with (folder.parent / f"landmarks_{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return tiny_graph


def set_data(**settings: object) -> None:
    values = {"name": "faces68", "root": "data", **settings}
    Path("runs/graph/tiny/config.yaml").write_text(json.dumps({"data": values}))


def test_persons_held_out_are_measured_and_the_others_fitted_on(
    graph: AutoLink, caplog: pytest.LogCaptureFixture
) -> None:
    set_data(hold_out=3)
    result = run("evaluate", "tiny", *FACES, "--hold-out", 3, "--json", "scores.json")
    assert result.exit_code == 0, result.output
    scores = json.loads(Path("scores.json").read_text())
    assert (scores["num_fit"], scores["num_test"]) == (16, 8)
    parts = read_held_out(open_source("faces68", root=Path("data")), every=3)
    assert scores["nme_percent"] == pytest.approx(100 * nme(*(annotate(graph, part) for part in parts)), rel=1e-4)
    assert scores["equivariance"]["num_pictures"] == 8, "no test person is looked at"
    assert_line_mentions(caplog.messages, "held out", 8, "2 of 6 people")
    assert "note:" not in result.output
    names = {path.name for path in Path("runs/graph/tiny/evaluation").iterdir()}
    assert "faces68-hold3.png" in names and "faces68.png" not in names


def test_a_run_is_measured_on_the_persons_that_it_held_out(graph: AutoLink) -> None:
    set_data(hold_out=2)
    result = run("evaluate", "tiny", "--json", "scores.json", "--max-fit", 12)
    assert result.exit_code == 0, result.output
    assert json.loads(Path("scores.json").read_text())["num_test"] == 12 and "note:" not in result.output
    result = run("evaluate", "tiny", "--json", "last.json", "--hold-out", 0)
    assert result.exit_code == 0, result.output
    assert json.loads(Path("last.json").read_text())["num_test"] == 3, "the test persons, where they are asked for"


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({}, ("8 of the 8", "trained")),
        ({"root": "copy"}, ("8 of the 8", "trained")),
        ({"hold_out": 2}, ("4 of the 8", "trained")),
        ({"hold_out": 3}, None),
        ({"name": "puppets+faces68"}, ("8 of the 8", "trained")),
        ({"name": "puppets"}, None),
        (None, ("nothing", "trained", "people")),
    ],
)
def test_persons_that_were_trained_on_are_mentioned(
    graph: AutoLink, settings: dict[str, object] | None, note: tuple | None
) -> None:
    shutil.copytree("data", "copy")
    if settings is not None:
        set_data(**settings)
    result = run("evaluate", "tiny", *FACES, "--hold-out", 3, "--max-test", 2)
    assert result.exit_code == 0, result.output
    if note:
        assert_line_mentions(result, "note", *note)
    else:
        assert "note:" not in result.output


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        ((*FACES, "--hold-out", "1"), ("hold_out=1", "2 or more")),
        (("--data", "puppets", "--hold-out", "5"), ("--hold-out", "disk")),
        (("--data", "plain", "--hold-out", "5"), ("nothing", "plain")),
        ((*FACES, "--hold-out", "5", "--fit-data", "plain"), ("--fit-data", "leave")),
        (("--data", "data/faces68/train+plain", "--hold-out", "5"), ("data/faces68/train+plain", "no folder")),
    ],
)
def test_mistakes_get_one_line(arguments: tuple[str, ...], things: tuple[str, ...], graph: AutoLink) -> None:
    Path("plain").mkdir()
    Image.new("RGB", (64, 64)).save("plain/1.png")
    result = run("evaluate", "tiny", *arguments)
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)


def test_learn_graph_trains_without_them(graph: AutoLink, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolink_gen.training import batches

    opened = []

    def watched(*given: object, **options: object) -> object:
        opened.append(open_people(*given, **options))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(batches, "open_people", watched)
    tiny = ("--recipe", "puppets", "--image-size", 64, "--batch-size", 2, "--num-keypoints", 4, "--steps", 1)
    given = (*FACES, *tiny, "--set", "model.width=0.25", "--set", "perceptual.features=random", "--devices", "cpu")
    result = run("learn-graph", *given, "--hold-out", 3)
    assert result.exit_code == 0, result.output
    assert [len(pictures) for pictures in opened] == [16]
    folder = Path("runs/graph/faces68-k4-hold3")
    assert "hold_out: 3" in (folder / "config.yaml").read_text() and (folder / "graph.png").is_file()
    other = run("learn-graph", *given, "--hold-out", 2, "--name", "faces68-k4-hold3")
    assert other.exit_code == 1 and "data.hold_out" in other.output
    refused = run("learn-graph", "--data", "puppets", *tiny, "--hold-out", 3)
    assert_mentions(one_line(refused), "hold_out", "puppets", "folder")
