"""A graph that learned nothing, though its numbers are finite, is told of at the end, with a remedy."""

import json

import pytest
import torch
from helpers.messages import assert_mentions
from helpers.tiny_runs import tiny_run_config

from autolink_gen.training.doubts import doubts
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.metrics_file import logged

SPREAD = torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


def told_of(losses: list[float], keypoints: torch.Tensor = SPREAD) -> list[str]:
    return doubts(losses, keypoints, lr=0.5)


@pytest.mark.parametrize(
    "losses", [[], [1.0], [1.0, 9.0], [1.0, 0.5, 0.4], [1.0, 1.1, 1.005], [*[1.0] * 10, 0.8, 1.2, *[0.9] * 10]]
)
def test_a_loss_that_falls_or_says_too_little_is_no_doubt(losses):
    assert told_of(losses) == []


@pytest.mark.parametrize("losses", [[0.2, 0.1, 0.3], [*[0.2] * 10, *[0.3] * 10], [0.2, 0.2, float("nan")]])
def test_a_loss_that_rose_is_told_of(losses):
    (line,) = told_of(losses)
    assert_mentions(line, "loss", 0.2, 0.5, "--set", "optimiser.lr", "--steps")


def test_keypoints_in_one_place_are_told_of():
    middle = torch.tensor([0.3, -0.2]).expand(4, 5, 2)
    (line,) = told_of([1.0, 0.5, 0.2], middle + 0.005 * SPREAD)
    assert_mentions(line, "keypoints", "--fresh", "--seed")
    assert told_of([1.0, 0.5, 0.2], middle + 0.05 * SPREAD) == []
    apart = middle.clone()
    apart[2, 3] = 0.9  # in one image one keypoint is elsewhere
    assert told_of([1.0, 0.5, 0.2], apart) == []


def test_a_run_that_diverged_says_so_once_and_at_its_end(tmp_path, caplog):
    config = tiny_run_config("graph", steps=4)
    launch = Launch(folder=tmp_path / "run", devices=1, progress=False)
    metrics = tmp_path / "run" / "metrics.jsonl"
    train_graph(config, launch)
    assert "optimiser.lr" not in caplog.text and len(logged(metrics, "loss")) == 4
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    metrics.write_text("".join(json.dumps({**row, "loss": 1e-3}) + "\n" for row in rows) + "[]\n")
    train_graph(config, launch)
    assert "optimiser.lr" not in caplog.text, "nothing was trained"
    train_graph(tiny_run_config("graph", steps=6), launch)
    assert caplog.text.count("optimiser.lr") == 1 and "0.001" in caplog.text
