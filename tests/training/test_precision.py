"""The three loops in half precision on a CPU: they train, and losses and penalties are finite."""

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import KINDS, train_tiny

from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.training.augment import Augment
from autolink_gen.training.launch import Launch

CASES = [(kind, precision) for kind in KINDS for precision in ("32-true", "bf16-mixed", "16-mixed")]
if not torch.cuda.is_available():  # where float16 becomes bfloat16: one run shows it
    CASES = [(kind, precision) for kind, precision in CASES if precision != "16-mixed" or kind == "graph"]


@pytest.mark.parametrize(("kind", "precision"), CASES)
def test_losses_and_penalties_are_finite(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, precision: str
) -> None:
    with caplog.at_level(logging.WARNING):
        run = train_tiny(kind, Launch(folder=tmp_path / "run", devices=1, progress=False, precision=precision))
    assert (run.progress.step, run.progress.skipped_steps) == (2, 0)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert kind != "gan" or all(row["gradient_penalty"] > 0 for row in rows)
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
