"""A tiny `autolink-gen train-gan` for tests of commands, and a folder with its run."""

from pathlib import Path

import pytest
import torch
from click.testing import Result

from autolink_gen.checkpoints import save_model
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph

SETTINGS = ("model.width=0.02", "model.style_size=8", "training.log_every=1", "progress.pictures=0")


def train(*arguments: str, expect: int = 0) -> Result:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return run_cli("train-gan", "--recipe", "cpu", *settings, *arguments, expect=expect)


def make_graph(folder: Path, *, seed: int = 0, learned_on: str = "puppets", **changes: object) -> None:
    """Save a tiny graph learner as a run on these data."""
    save_model(folder / "model.safetensors", tiny_graph(seed=seed, **{"sigma2": 1e-2, **changes}))
    (folder / "config.yaml").write_text(f"data: {{name: {learned_on}}}\n")


def make_gan_run(folder: Path) -> Path:
    """The folder, with a graph run and a GAN run of two steps, on puppets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_graph(Path("runs/graph/puppets-k3"))
        result = train("--steps", "2", "--batch-size", "2")
    assert_line_mentions(result, "graph", "runs/graph/puppets-k3", "3 keypoints", "newest run", "this data")
    assert "note:" not in result.output
    assert "wrote runs/gan/puppets/model.safetensors" in result.output
    assert "next: autolink-gen generate --model runs/gan/puppets" in result.output
    return folder


class Squares(torch.nn.Module):
    """Stands in for LPIPS, whose weights tests do without."""

    def forward(self, one, other):
        return (one - other).square().mean((1, 2, 3))
