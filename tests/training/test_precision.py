"""The three loops in half precision on a CPU: they train, and losses and penalties are finite."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.training.augment import Augment
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.transfer import train_transfer

LENGTH = {"steps": 2, "batch_size": 2, "save_every": 2, "grid_every": 2, "log_every": 1, "ema": 0.9}
PUPPETS = {"name": "puppets", "flip": 0.5}
EVERY_TERM = {"augment": True, "relativistic": True, "structure": 1.0, "penalty_every": 1}


def graph() -> AutoLink:
    return tiny_graph(sigma2=1e-2)


def a_graph(launch: Launch) -> Run:
    values: dict[str, Any] = {
        "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
        "data": PUPPETS,
        "perceptual": {"features": "random", "distance": "l1"},
        "views": {"consistency": 1.0},
        "training": LENGTH,
    }
    return train_graph(build(GraphRunConfig, values), launch)


def a_gan(launch: Launch) -> Run:
    values: dict[str, Any] = {
        "model": {"image_size": 64, "width": 0.02, "style_size": 8, "edge_power": 0.5, "minibatch_std": True},
        "data": PUPPETS,
        "adversarial": EVERY_TERM,
        "training": LENGTH,
        "progress": {"pictures": 0},
    }
    return train_gan(build(GanRunConfig, values), graph(), launch)


def a_transfer(launch: Launch) -> Run:
    values: dict[str, Any] = {
        "model": {"image_size": 64, "width": 0.05, "appearance_width": 0.05, "warps": True},
        "data": PUPPETS,
        "weights": {"discriminator_width": 0.02},
        "perceptual": {"features": "random", "distance": "l1"},
        "adversarial": EVERY_TERM,
        "training": LENGTH,
        "progress": {"pictures": 0},
    }
    return train_transfer(build(TransferRunConfig, values), graph(), launch)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("train", [a_graph, a_gan, a_transfer])
def test_losses_and_penalties_are_finite(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, train: Callable[[Launch], Run], precision: str
) -> None:
    with caplog.at_level(logging.WARNING):
        run = train(Launch(folder=tmp_path / "run", devices=1, progress=False, precision=precision))
    assert (run.progress.step, run.progress.skipped_steps) == (2, 0)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert train is not a_gan or all(row["gradient_penalty"] > 0 for row in rows)
    said = [record.getMessage() for record in caplog.records if "16-mixed" in record.getMessage()]
    assert len(said) == (precision == "16-mixed" and not torch.cuda.is_available())
    assert all("bf16-mixed" in line for line in said)


def test_half_precision_maps_are_brought_to_the_generator_s_size() -> None:
    torch.manual_seed(0)
    generator, maps = Generator(GanConfig(image_size=64, width=0.02, style_size=8)), torch.rand(2, 1, 64, 64)
    z = torch.randn(2, 8)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = generator(maps.bfloat16(), z.bfloat16())
    with torch.no_grad():
        torch.testing.assert_close(half.float(), generator(maps, z), rtol=0.05, atol=0.1)


def test_covered_edges_give_no_gradient_that_is_not_finite() -> None:
    """The root of a map has no finite slope where a part of it is covered, and none is asked for."""
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    moved, maps = Augment()(pictures, torch.rand(2, 1, 32, 32), seed=0)
    assert (maps == 0).any()
    (moved.sum() + maps.sqrt().sum()).backward()
    assert pictures.grad is not None and torch.isfinite(pictures.grad).all() and pictures.grad.abs().sum() > 0
