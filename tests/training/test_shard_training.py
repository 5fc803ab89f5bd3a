"""Training on shards: it resumes bit-equal, with loader workers too, and sees what it would see in a folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.data.shards.writer import pack_pictures
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Seven pictures of noise, and beside them three shards of them."""
    base = tmp_path_factory.mktemp("shards") / "noise"
    base.mkdir()
    for number in range(7):
        noise = np.random.default_rng(number).integers(0, 255, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(base / f"{number}.png")
    pack_pictures(base, base.parent / "noise.tar", per_shard=3)
    return base


def train(data: object, run: Path, *, steps: int, workers: int = 0) -> Run:
    config = build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": str(data), "flip": 0.5, "workers": workers},
            "perceptual": {"features": "random", "distance": "l1"},
            "training": {"steps": steps, "batch_size": 2, "save_every": 2, "grid_every": 100},
        },
    )
    return train_graph(config, Launch(folder=run, devices=1, progress=False))


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    weights, state = read_newest(run.checkpoints)
    return {**weights, "rng": state["rng"]}


def test_shards_resume_bit_equal_and_equal_their_folder(folder: Path, tmp_path: Path) -> None:
    shards = folder.parent / "noise-{000000..000002}.tar"
    expected = weights_of(train(folder, tmp_path / "folder", steps=8))
    straight = weights_of(train(shards, tmp_path / "straight", steps=8, workers=1))
    train(shards, tmp_path / "halves", steps=4, workers=1)
    torch.rand(7)  # whatever happens in between
    halves = weights_of(train(shards, tmp_path / "halves", steps=8, workers=1))

    assert expected.keys() == straight.keys() == halves.keys()
    assert [name for name in expected if not torch.equal(straight[name], halves[name])] == []
    assert [name for name in expected if not torch.equal(straight[name], expected[name])] == []
    other = weights_of(train(folder.parent / "noise-000001.tar", tmp_path / "other", steps=8))
    assert any(not torch.equal(other[name], expected[name]) for name in expected)
