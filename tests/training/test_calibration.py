"""The likelihood of keypoints, fitted at the end of training on images that are moved a little."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import assert_mentions, raises_mentioning
from helpers.tiny_models import tiny_graph

from autolink_gen.checkpoints import load_graph_model, read_header, read_weights, save_model
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.models.autolink import AutoLink
from autolink_gen.training.calibration import calibrate, calibrate_run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch

SIZE = 64
WIDE, NARROW = 0.3, 0.1


class Spots(torch.utils.data.Dataset):
    """uint8 images with a soft white spot, each elsewhere."""

    def __len__(self) -> int:
        return 150

    def __getitem__(self, index: int) -> torch.Tensor:
        x, y = np.random.default_rng(index).uniform(-0.5, 0.5, 2)
        axis = np.linspace(-1, 1, SIZE)
        spot = np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / 0.01)
        return torch.from_numpy(np.repeat((255 * spot)[None], 3, axis=0).astype(np.uint8))


class Finder(torch.nn.Module):
    """Finds the spot with one keypoint, whose heatmap is narrow; another, with a wide one, stays in its corner."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.ones(()))
        self.detector = torch.nn.Identity()
        self.detector.span = 1.0

    def detect_with_widths(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        axis = torch.linspace(-1, 1, SIZE)
        share = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
        spot = torch.stack([(share.sum(1) * axis).sum(1), (share.sum(2) * axis).sum(1)], dim=1)
        corner = torch.full_like(spot, 0.9)
        widths = torch.tensor([NARROW, WIDE]) + 0.01 * spot.abs()
        return torch.stack([spot, corner], dim=1), widths


def test_a_keypoint_that_follows_its_image_is_likely_and_one_that_stays_is_not() -> None:
    likelihood = calibrate(Finder(), Spots())  # type: ignore[arg-type]
    assert likelihood is not None
    narrow, wide, nothing = likelihood(np.array([NARROW, WIDE, 0.82]))
    assert narrow > 0.95 and 0.0 < wide < 0.75 and nothing == 0


def test_it_is_the_same_each_time_and_changes_nothing_else() -> None:
    model = tiny_graph(4, seed=1).train()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()
    images = Puppets(image_size=SIZE, length=24)
    first, again = calibrate(model, images), calibrate(model, images)
    assert first is not None and first == again
    assert torch.equal(torch.get_rng_state(), before) and model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("minutes", [None, 1e-9])
def test_a_run_that_ends_leaves_its_likelihood_in_the_weights(tmp_path: Path, minutes: float | None) -> None:
    values = {
        "model": {"num_keypoints": 4, "image_size": SIZE, "width": 0.05},
        "data": {"name": "puppets"},
        "perceptual": {"features": "random", "distance": "l1"},
        "training": {"steps": 2, "batch_size": 12},
    }
    run = train_graph(build(GraphRunConfig, values), Launch(tmp_path / "run", 1, max_minutes=minutes, progress=False))
    graph: AutoLink = load_graph_model(run.folder)
    assert run.progress.step == (2 if minutes is None else 1)
    assert graph.likelihood is not None and graph.likelihood.likelihoods[-1] == 0
    again = calibrate_run(run.folder, file=tmp_path / "again.safetensors", max_images=12 * run.progress.step)
    assert again.likelihood.likelihoods == graph.likelihood.likelihoods, "of the same images, moved alike"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a graph without a likelihood, trained for seven steps."""
    save_model(tmp_path / "old" / "model.safetensors", tiny_graph(4), step=7)
    return tmp_path / "old" / "model.safetensors"


def test_an_old_model_gets_a_likelihood_beside_itself(weights: Path, tmp_path: Path) -> None:
    before, file = weights.read_bytes(), tmp_path / "new.safetensors"
    report = calibrate_run(weights, file=file, data="puppets", max_images=16)
    assert load_graph_model(file).likelihood == report.likelihood
    assert (report.num_images, read_header(file).step) == (16, 7)
    assert weights.read_bytes() == before
    old, new = read_weights(weights)[1], read_weights(file)[1]
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    assert_mentions(str(report), "16 images", "puppets", file)


def test_the_models_own_file_is_replaced_when_told_alone(weights: Path) -> None:
    before = weights.read_bytes()
    with raises_mentioning(ValueError, weights, "--calibrate", "--overwrite"):
        calibrate_run(weights.parent, file=weights, data="puppets")
    assert weights.read_bytes() == before
    calibrate_run(weights.parent, file=weights, data="puppets", max_images=16, overwrite=True)
    assert load_graph_model(weights.parent).likelihood is not None
    assert [one.name for one in weights.parent.iterdir()] == ["model.safetensors"]


def test_what_cannot_be_calibrated_is_named(weights: Path, tmp_path: Path) -> None:
    with raises_mentioning(ValueError, weights.parent, "--data"):
        calibrate_run(weights.parent, file=tmp_path / "new.safetensors")
    with raises_mentioning(ValueError, "few", "40"):
        calibrate_run(weights, file=tmp_path / "new.safetensors", data="puppets", max_images=2)
    for name in ("new.pt", "graph.safetensors"):  # of that a GAN's run knows the digest
        with raises_mentioning(ValueError, "--calibrate", tmp_path / name):
            calibrate_run(weights, file=tmp_path / name, data="puppets", overwrite=True)
    assert not list(tmp_path.glob("*.*"))
