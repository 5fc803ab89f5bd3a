"""`--drop-cluster` where a graph is looked at and used: `view-graph`, `detect`, and what reads its files back."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.cli import run_cli
from helpers.clustered_graph import two_clusters
from helpers.messages import assert_line_mentions, assert_mentions
from helpers.tiny_models import tiny_gan
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.inference.generate import save_gan
from autolink_gen.inference.landmark_regressor import LandmarkRegressor, graph_fingerprint
from autolink_gen.models.autolink import AutoLink


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a graph of two clusters and three pictures."""
    monkeypatch.chdir(tmp_path)
    save_model(Path("runs/graph/tiny/model.safetensors"), two_clusters())
    Path("pictures").mkdir()
    for i in range(3):
        draw = np.random.default_rng(i)
        Image.fromarray(draw.integers(0, 256, (80, 100, 3)).astype(np.uint8)).save(f"pictures/{i}.png")
    return tmp_path


def run(*arguments: object, expect: int = 0) -> str:
    output = run_cli(*arguments, expect=expect).output
    return " ".join(output.replace("│", " ").split()) if expect else output


def columns(folder: str) -> dict[str, list[str]]:
    with (Path(folder) / "keypoints.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_view_graph_says_which_keypoints_are_where_and_what_to_type(here: Path) -> None:
    output = run("view-graph", "tiny", "--data", "pictures", "--clusters", 2)
    assert "cluster 0: keypoints 0, 2, 4\ncluster 1: keypoints 1, 3\n" in output
    assert_line_mentions(output, "cluster 1", "faintest")
    assert "autolink-gen detect IMAGES --model tiny --clusters 2 --drop-cluster 1" in output
    told = output.split("autolink-gen ")[1].splitlines()[0].replace("IMAGES", "pictures").split()
    assert "wrote" in run(*told)


def test_view_graph_shows_what_is_left(here: Path) -> None:
    run("view-graph", "--data", "pictures", "--clusters", 2, "--out", "whole")
    output = run("view-graph", "--data", "pictures", "--drop-cluster", 1, "--out", "left")
    assert_line_mentions(output, "newest", "5 keypoints", "cluster 1 of 2", "keypoints 1, 3")
    assert "cluster 0: keypoints 0, 2, 4\ncluster 1: keypoints 1, 3\n" in output, "the numbers are those of the whole"
    assert "3 of 10 edges" in output
    whole, left = (
        list(csv.DictReader(Path(f"{name}/edges.csv").read_text().splitlines())) for name in ("whole", "left")
    )
    assert [(row["keypoint_a"], row["keypoint_b"]) for row in left] == [("0", "2"), ("0", "4"), ("2", "4")]
    assert len(whole) == 10 and whole[0] == left[0]
    assert Path("whole/graph.png").read_bytes() != Path("left/graph.png").read_bytes()
    assert "/graph-without-1-of-2/graph.png" in run("view-graph", "--data", "pictures", "--drop-cluster", 1)


def test_detect_leaves_keypoints_out_and_keeps_the_numbers_of_the_others(here: Path) -> None:
    run("detect", "pictures", "--out", "whole", "--threshold", 0)
    output = run("detect", "pictures", "--out", "left", "--threshold", 0, "--drop-cluster", 1)
    assert_line_mentions(output, "newest", "5 keypoints", "cluster 1 of 2", "keypoints 1, 3")
    whole, left = columns("whole"), columns("left")
    names = [f"{axis}{k}_px" for k in (0, 2, 4) for axis in "xy"]
    assert list(left)[5:] == names
    assert all(left[name] == whole[name] for name in names)
    data, complete = (json.loads(Path(f"{name}/keypoints.json").read_text()) for name in ("left", "whole"))
    assert (data["num_keypoints"], data["dropped"], complete["dropped"]) == (5, [1, 3], [])
    assert [edge["keypoints"] for edge in data["edges"]] == [[0, 2], [0, 4], [2, 4]]
    for picture, other in zip(data["pictures"], complete["pictures"], strict=True):
        assert [picture["keypoints_px"][k] for k in (1, 3)] == [None, None]
        assert [picture["keypoints_px"][k] for k in (0, 2, 4)] == [other["keypoints_px"][k] for k in (0, 2, 4)]
    assert (np.asarray(Image.open("left/0.png")) != np.asarray(Image.open("whole/0.png"))).any()


@pytest.mark.parametrize("flag", ["--edges", "--no-edges"])
def test_keypoints_left_out_are_not_drawn(here: Path, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    places = torch.tensor([[-0.8, -0.8], [0.8, 0.8], [-0.8, -0.4], [0.8, 0.4], [-0.4, -0.8]])
    monkeypatch.setattr(AutoLink, "detect_unchecked", lambda self, images: places.expand(len(images), -1, -1))
    Image.new("RGB", (200, 200), (90, 90, 90)).save("grey.png")
    run("detect", "grey.png", "--out", "left", "--threshold", 0, "--drop-cluster", 1, flag)
    drawn = np.asarray(Image.open("left/grey.png"))
    assert (drawn[120:] == 90).all() and (drawn[:, 120:] == 90).all()
    assert (drawn[:80, :80] != 90).any()


def test_several_clusters_are_left_out(here: Path) -> None:
    labels = run("view-graph", "--data", "pictures", "--clusters", 3)
    members = [line.split("keypoints ")[1].split(", ") for line in labels.splitlines() if line.startswith("cluster ")]
    *gone, largest = sorted(range(3), key=lambda number: len(members[number]))
    run("detect", "pictures", "--clusters", 3, "--drop-cluster", gone[1], "--drop-cluster", gone[0])
    assert list(columns("detections"))[5::2] == [f"x{k}_px" for k in members[largest]]


def test_a_regressor_looks_at_all_keypoints(here: Path) -> None:
    draw = np.random.default_rng(0)
    regressor = LandmarkRegressor(
        ("nose",), draw.normal(size=(11, 1, 2)), graph_fingerprint(two_clusters().edge_weights), 3
    )
    regressor.save(Path("nose.json"))
    run("detect", "pictures", "--regressor", "nose.json", "--out", "whole")
    run("detect", "pictures", "--regressor", "nose.json", "--out", "left", "--drop-cluster", 1)
    whole, left = columns("whole"), columns("left")
    assert left["nose_x_px"] == whole["nose_x_px"] and "x1_px" not in left


def test_generate_takes_such_a_file_where_its_graph_lacks_the_same(here: Path) -> None:
    whole = two_clusters()
    for name, graph in (("whole", whole), ("left", whole.without_keypoints([1, 3]))):
        save_gan(Path(f"runs/gan/{name}/model.safetensors"), tiny_gan(graph))
    run("detect", "pictures", "--drop-cluster", 1)
    file = "detections/keypoints.json"
    assert "1 style on 3 poses" in run("generate", "--model", "left", "--from", file, "--style", 0)
    refused = run("generate", "--model", "whole", "--from", file, "--style", 0, expect=1)
    assert_line_mentions(refused, "keypoints 1, 3", "GAN")


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("--drop-cluster", 2), ("no cluster 2", "0 to 1", "autolink-gen view-graph --clusters 2")),
        (("--drop-cluster", -1), ("no cluster -1",)),
        (("--drop-cluster", 0, "--drop-cluster", 1), ("cluster 0, 1 of 2", "no keypoint")),
        (("--clusters", 5, "--drop-cluster", 0, "--drop-cluster", 1, "--drop-cluster", 2, "--drop-cluster", 3),
         ("cluster 0, 1, 2, 3 of 5", "keypoint 4", "edge", "two")),
        (("--clusters", 6, "--drop-cluster", 0), ("clusters", 1, 5, 6)),
        (("--drop-cluster", "x"), ("'x'", "integer")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [("detect", "pictures"), ("view-graph", "--data", "pictures")])
def test_mistakes_are_named_and_nothing_is_written(
    here: Path, command: tuple[str, ...], arguments: tuple[object, ...], things: tuple
) -> None:
    assert_mentions(run(*command, *arguments, expect=2), *things)
    assert not Path("detections").exists() and not Path("runs/graph/tiny/graph").exists()


def test_clusters_alone_leave_nothing_out(here: Path) -> None:
    refused = run("detect", "pictures", "--clusters", 2, expect=2)
    assert_line_mentions(refused, "--clusters 2", "--drop-cluster")
