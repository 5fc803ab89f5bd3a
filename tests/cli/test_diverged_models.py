"""A model whose weights are finite, but so large that it finds nothing: every command says so, and writes nothing."""

from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import Result
from helpers.cli import run_cli
from helpers.tiny_models import tiny_graph

from autolink_gen.checkpoints import load_graph_model, save_model

TOLD = "finds no finite keypoints: its training diverged; train it anew with a lower rate (--fresh --set optimiser.lr"
TINY = ("--batch-size", 2, "--steps", 1, "--set", "model.width=0.05", "--set", "progress.pictures=0")


run = partial(run_cli, expect=None)


@pytest.fixture
def exploded(pictures: Path) -> Path:
    """Its weights, in a run's folder of the working folder."""
    model = tiny_graph()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name not in ("raw_edge_weights", "alpha"):
                weights.mul_(1e20)
    folder = Path("runs/graph/exploded")
    save_model(folder / "model.safetensors", model)
    assert load_graph_model(folder).edge_weights.isfinite().all()
    return folder


def files() -> list[Path]:
    return [path for path in Path().rglob("*") if path.is_file()]


def one_error(result: Result) -> str:
    (error,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.exit_code == 1 and TOLD in error, result.output
    return error


def test_detect_ends_before_anything_is_written(exploded: Path, pictures: Path) -> None:
    before = files()
    result = run("detect", pictures, "--model", exploded)
    assert one_error(result).startswith(f"Error: {exploded} finds")
    assert files() == before and "skipped" not in result.output


def test_view_graph_draws_nothing(exploded: Path, pictures: Path) -> None:
    before = files()
    for _ in range(2):
        assert one_error(run("view-graph", exploded, "--data", pictures)).startswith(f"Error: {exploded} finds")
    assert files() == before


@pytest.mark.parametrize("command", ["train-gan", "train-transfer"])
def test_what_paints_on_it_does_not_begin(exploded: Path, command: str) -> None:
    result = run(command, "--data", "puppets", "--graph", exploded, *TINY)
    assert one_error(result).startswith(f"Error: {exploded} finds")
    assert "skipped" not in result.output


def test_evaluate_says_what_became_of_it(exploded: Path, pictures: Path) -> None:
    for data in ("puppets", pictures):
        result = run("evaluate", exploded, "--data", data, "--max-test", 2, *(["--max-fit", 2] * (data == "puppets")))
        assert one_error(result).startswith(f"Error: {exploded} finds")
