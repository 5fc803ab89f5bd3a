"""Training a detector on the loss's own features: computed once a step, never changed, resumed bit-equal."""

import pytest
import torch

from autolink_gen import load_graph_model
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.losses.perceptual import AlexNetFeatures, RandomFeatures
from autolink_gen.models.autolink import FROZEN
from autolink_gen.recipes import merge
from autolink_gen.training import graph as graph_training
from autolink_gen.training import graph_loss
from autolink_gen.training.graph import train_graph
from autolink_gen.training.graph_loss import shares_features
from autolink_gen.training.launch import Launch

TINY = {
    "model": {
        "num_keypoints": 4,
        "image_size": 64,
        "width": 0.05,
        "sigma2": 1e-2,
        "detector": "features",
        "features_size": 64,
    },
    "perceptual": {"features": "random", "distance": "l1", "unit_length": True},
    "training": {"steps": 4, "batch_size": 2, "ema": 0.9, "save_every": 2, "grid_every": 4, "log_every": 1},
}


def tiny(*changes) -> GraphRunConfig:
    values = TINY
    for change in changes:
        values = merge(values, change)
    return build(GraphRunConfig, values)


def trained(config: GraphRunConfig, folder):
    return train_graph(config, Launch(folder=folder, devices=1, progress=False))


def weights(config: GraphRunConfig, folder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trained(config, folder).network.state_dict().items()}


@pytest.fixture
def nothing_is_drawn(monkeypatch):
    """Leave out what a save writes beside the state: samples, the graph, the likelihood."""
    monkeypatch.setattr(graph_training.Samples, "refresh", lambda self, run: None)


def check_shared_and_apart(config: GraphRunConfig, folder, monkeypatch) -> None:
    """Features computed once for detector and loss, and twice, give one loss."""
    assert shares_features(config)
    shared = trained(config, folder / "shared").metrics
    monkeypatch.setattr(graph_loss, "shares_features", lambda config: False)
    apart = trained(config, folder / "apart").metrics
    # Apart, the loss has weights that are not rounded to half precision.
    assert shared["loss"] == pytest.approx(apart["loss"], rel=1e-3)
    assert shared["gradient_norm"] == pytest.approx(apart["gradient_norm"], rel=1e-2)


FEW_MAPS = {"model": {"features": "alexnet", "features_maps": 2}, "perceptual": {"features": "alexnet"}}


@pytest.fixture
def unpublished_alexnet(monkeypatch):
    """AlexNet's convolutions with random weights: the published ones are a download."""
    monkeypatch.setattr(graph_loss, "load_features", lambda name, path=None: AlexNetFeatures(seed=2))


@pytest.mark.parametrize("views", [{}, {"consistency": 0.5}, {"recolour": 1.0}, {"consistency": 0.5, "recolour": 1.0}])
@pytest.mark.usefixtures("nothing_is_drawn")
def test_few_maps_give_the_loss_of_features_computed_twice(tmp_path, monkeypatch, unpublished_alexnet, views):
    check_shared_and_apart(tiny(FEW_MAPS, {"views": views, "training": {"steps": 1}}), tmp_path, monkeypatch)


def test_training_on_few_maps_goes_on_bit_equal_and_stores_few(tmp_path, unpublished_alexnet):
    straight = weights(tiny(FEW_MAPS), tmp_path / "straight")
    weights(tiny(FEW_MAPS, {"training": {"steps": 2}}), tmp_path / "halves")
    halves = weights(tiny(FEW_MAPS), tmp_path / "halves")
    assert all(torch.equal(value, halves[name]) for name, value in straight.items())
    published = {name: value.half().float() for name, value in AlexNetFeatures(seed=2).state_dict().items()}
    frozen = {name: value for name, value in straight.items() if name.startswith(FROZEN)}
    assert {name.split(".")[3] for name in frozen} == {"0", "3"}
    assert all(torch.equal(value, published[name.removeprefix(FROZEN)]) for name, value in frozen.items())


@pytest.mark.parametrize("views", [{}, {"masks": 2, "consistency": 0.5}])
@pytest.mark.usefixtures("nothing_is_drawn")
def test_shared_features_give_the_loss_of_features_computed_twice(tmp_path, monkeypatch, views):
    check_shared_and_apart(tiny({"views": views, "training": {"steps": 1}}), tmp_path, monkeypatch)


@pytest.mark.usefixtures("nothing_is_drawn")
def test_a_step_computes_the_features_of_its_pictures_once(tmp_path, monkeypatch):
    calls: list[bool] = []
    plain = RandomFeatures.forward

    def forward(self, pictures):
        calls.append(pictures.requires_grad)
        return plain(self, pictures)

    monkeypatch.setattr(RandomFeatures, "forward", forward)
    trained(tiny(), tmp_path / "run")
    # Each step of the pictures, then of what was painted; at the end of pictures on which keypoints are doubted.
    assert calls == [False, True] * 4 + [False]


@pytest.mark.parametrize(
    "change",
    [
        {"perceptual": {"unit_length": False}},
        {"perceptual": {"resize": 96}},
        {"model": {"features_size": 96}},
        {"model": {"detector": "residual"}},
    ],
)
@pytest.mark.usefixtures("nothing_is_drawn")
def test_what_differs_is_not_shared(tmp_path, change):
    config = tiny(change)
    assert not shares_features(config)
    assert trained(tiny(change, {"training": {"steps": 1}}), tmp_path / "run").progress.step == 1


def test_training_goes_on_bit_equal(tmp_path):
    straight = weights(tiny(), tmp_path / "straight")
    weights(tiny({"training": {"steps": 2}}), tmp_path / "halves")
    halves = weights(tiny(), tmp_path / "halves")
    assert all(torch.equal(value, halves[name]) for name, value in straight.items())


def test_frozen_weights_stay_those_of_the_loss_in_half_precision(tmp_path):
    run = trained(tiny(), tmp_path / "run")
    published = RandomFeatures().state_dict()
    learned = run.network.state_dict()
    used = load_graph_model(tmp_path / "run").state_dict()
    for name, value in published.items():
        for weights_of in (learned, used):
            assert torch.equal(weights_of[FROZEN + name], value.half().float())
    moved = [p for group in run.optimiser.param_groups for p in group["params"]]
    frozen = {id(parameter) for parameter in run.network.detector.features.parameters()}
    assert moved and not frozen & {id(parameter) for parameter in moved}


def test_features_are_those_of_the_loss_unless_told():
    assert tiny().model.features == "random"
    assert tiny({"model": {"features": "vgg16"}}).model.features == "vgg16"
    assert tiny({"model": {"detector": "residual"}}).model.features is None
