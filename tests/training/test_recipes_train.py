"""The loops with the settings of the shipped recipes, small networks apart, and with each switch: all is finite."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen.config import AdversarialConfig, GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig, Generator
from autolink_gen.recipes import merge, read_recipe, recipe_names
from autolink_gen.training.adversary import make_adversary
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.posed_images import PosedImages
from autolink_gen.training.transfer import train_transfer

ONE_STEP = {"steps": 1, "batch_size": 4, "log_every": 1}
EVERY_SWITCH = {"augment": True, "relativistic": True, "mismatched": 0.5, "structure": 1.0}


def recipes(kind: str, changes: tuple[dict[str, Any], ...]) -> list[Any]:
    """Each recipe with each change; as they are, recipes are trained in other tests."""
    return [
        pytest.param(recipe, change, id=f"{recipe}-{number}")
        for recipe in recipe_names(kind)
        for number, change in enumerate(changes)
    ]


def graph() -> AutoLink:
    return tiny_graph(4, sigma2=2.5e-3)


def finite_metrics(run: Run) -> dict[str, float]:
    """What the run's one step logged, seen to be finite."""
    (line,) = (run.folder / "metrics.jsonl").read_text().splitlines()
    values: dict[str, float] = json.loads(line)
    assert run.progress.skipped_steps == 0
    assert [name for name, value in values.items() if not math.isfinite(value)] == []
    return values


def values_of(kind: str, recipe: str, small: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    common = {"training": ONE_STEP, "data": {"name": "puppets"}}
    return merge(merge(read_recipe(kind, recipe), {**small, **common}), change)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves and what users look at have tests of their own."""
    monkeypatch.setattr(Run, "save", lambda run: setattr(run, "_saved_at", run.progress.step))


@pytest.mark.parametrize(("recipe", "switches"), recipes("gan", ({"augment": True}, EVERY_SWITCH)))
def test_gan_recipes_are_penalised(tmp_path: Path, recipe: str, switches: dict[str, Any]) -> None:
    small = {"model": {"image_size": 64, "width": 0.02, "style_size": 8}, "progress": {"pictures": 0}}
    values = values_of("gan", recipe, small, {"adversarial": switches})
    run = train_gan(build(GanRunConfig, values), graph(), Launch(tmp_path / "run", devices=1, progress=False))
    assert finite_metrics(run)["gradient_penalty"] > 0


@pytest.mark.parametrize(("recipe", "switches"), recipes("transfer", (EVERY_SWITCH,)))
def test_transfer_recipes_are_penalised(tmp_path: Path, recipe: str, switches: dict[str, Any]) -> None:
    small = {
        "model": {"image_size": 64, "width": 0.05, "appearance_width": 0.05},
        "weights": {"discriminator_width": 0.02},
        "perceptual": {"features": "random"},
        "progress": {"pictures": 0},
    }
    values = values_of("transfer", recipe, small, {"adversarial": switches})
    run = train_transfer(build(TransferRunConfig, values), graph(), Launch(tmp_path / "run", devices=1, progress=False))
    assert finite_metrics(run)["gradient_penalty"] > 0


GRAPH_SWITCHES = {
    "model": {"learn_sigma2": "edge", "learn_alpha": False},
    "perceptual": {"unit_length": True},
    "views": {"masks": 2, "consistency": 1.0},
}


@pytest.mark.parametrize(("recipe", "switches"), recipes("graph", (GRAPH_SWITCHES,)))
def test_graph_recipes_train(tmp_path: Path, recipe: str, switches: dict[str, Any]) -> None:
    small = {
        "model": {"num_keypoints": 4, "image_size": 64, "width": 0.05, "decoder_width": 0.05, "features": "random"},
        "perceptual": {"features": "random"},
    }
    values = values_of("graph", recipe, small, switches)
    run = train_graph(build(GraphRunConfig, values), Launch(tmp_path / "run", devices=1, progress=False))
    assert finite_metrics(run)["gradient_norm"] > 0


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_plain_pictures_are_penalised_without_overflow(colour: tuple[float, float, float]) -> None:
    """Black has no hue, grey no saturation, and a batch of equal pictures no deviation."""
    torch.manual_seed(0)
    networks = GanConfig(image_size=64, width=0.02, edge_power=0.5, minibatch_std=True)
    adversary = make_adversary(networks, AdversarialConfig(augment=True, relativistic=True))
    plain = torch.tensor(colour).view(1, 3, 1, 1).expand(4, 3, 64, 64)
    real = PosedImages(plain, torch.zeros(4, 2, 2), torch.zeros(4, 1, 64, 64))
    painted = plain.clone().requires_grad_()
    fake = real._replace(images=painted)
    losses = adversary(real=real, fake=fake, penalise=True, seed=1)
    losses.loss.backward()
    gradients = [weight.grad for weight in adversary.parameters() if weight.grad is not None]
    assert 0 <= losses.penalty < 1e3 and gradients and all(gradient.isfinite().all() for gradient in gradients)
    adversary.generator_loss(fake=fake, real=real, seed=3).backward()
    assert painted.grad is not None and painted.grad.isfinite().all()


def test_gradients_reach_edge_maps_that_are_zero_in_places() -> None:
    """Of roots they would not be finite; whoever follows edges back to keypoints needs them."""
    torch.manual_seed(0)
    config = GanConfig(image_size=64, width=0.02, style_size=8, edge_power=0.5)
    for paint in (Generator(config), Discriminator(config)):
        maps = torch.rand(2, 1, 64, 64) * (torch.arange(64) > 20)
        maps.requires_grad_()
        given = (maps, torch.randn(2, 8)) if isinstance(paint, Generator) else (torch.rand(2, 3, 64, 64), maps)
        paint(*given).sum().backward()
        assert maps.grad is not None and maps.grad.isfinite().all() and maps.grad.abs().sum() > 0
