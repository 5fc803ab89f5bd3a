"""Runs and their data on another machine: commands that train go on, others say that --data is to be given."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.cli import run_cli
from helpers.messages import assert_mentions, one_line
from helpers.tiny_learn_graph import learn_graph
from PIL import Image

from autolink_gen.checkpoints import load_graph_model

GAN = ("--batch-size", 2, "--set", "model.width=0.05", "--set", "model.style_size=8", "--set", "progress.pictures=0",
       "--set", "training.grid_every=100")  # fmt: skip


run = partial(run_cli, expect=None)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph and a GAN of one step each, on eight pictures, which are where the runs say no more."""
    place = tmp_path_factory.mktemp("first")
    photos = place / "photos"
    photos.mkdir()
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 64)).save(photos / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert learn_graph("--data", photos, "--steps", 1, "--set", "training.grid_every=100").exit_code == 0
        assert run("train-gan", "--data", photos, "--steps", 1, *GAN).exit_code == 0
    photos.rename(place / "elsewhere")
    return place


@pytest.fixture
def moved(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both on another machine, in the working folder, the data in a folder of another name."""
    shutil.copytree(first / "runs", tmp_path / "runs")
    shutil.copytree(first / "elsewhere", tmp_path / "data" / "pics")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_graph_goes_on_with_its_data_elsewhere(moved: Path) -> None:
    result = learn_graph("--data", "data/pics", "--name", "photos-k3", "--steps", 2)
    assert result.exit_code == 0 and "going on from step 1 of 2" in result.output, result.output
    config = yaml.safe_load(Path("runs/graph/photos-k3/config.yaml").read_text())
    assert config["data"]["name"] == str(moved / "data" / "pics")
    other = learn_graph("--data", "puppets", "--name", "photos-k3", "--steps", 3)
    assert other.exit_code == 1 and "data.name was" in other.output and "8 pictures" in other.output


def test_a_gan_goes_on_with_its_graph_and_its_data_elsewhere(moved: Path) -> None:
    Path("runs/graph").rename("graphs")
    words = ("train-gan", "--data", "data/pics", "--name", "photos", *GAN)
    result = run(*words, "--steps", 2, "--graph", "graphs/photos-k3")
    assert result.exit_code == 0 and "going on from step 1 of 2" in result.output, result.output
    again = run(*words, "--steps", 2)
    assert again.exit_code == 0 and "finished already, at step 2" in again.output, "by the graph that it keeps"
    kept, graph = (load_graph_model(path) for path in ("runs/gan/photos/graph.safetensors", "graphs/photos-k3"))
    assert torch.equal(kept.raw_edge_weights, graph.raw_edge_weights)


@pytest.mark.parametrize(
    "words", [("evaluate", "photos-k3"), ("evaluate", "--gan", "photos"), ("figure", "grid", "photos-k3")]
)
def test_what_needs_the_data_of_a_moved_run_asks_for_them(first: Path, moved: Path, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert_mentions(one_line(result, exit_code=1), "trained", first / "photos", "--data")
