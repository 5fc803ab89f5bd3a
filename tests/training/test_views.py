"""More than one look at each picture: several masks, and pictures moved a little."""

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.edges import edge_map
from autolink_gen.recipes import merge
from autolink_gen.training.augment import RandomMove, Recolour
from autolink_gen.training.graph import train_graph
from autolink_gen.training.graph_loss import GraphLoss
from autolink_gen.training.launch import Launch

TINY = {
    "model": {"num_keypoints": 4, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
    "perceptual": {"features": "random", "distance": "l1"},
    "training": {"steps": 4, "batch_size": 2, "save_every": 2, "grid_every": 4, "log_every": 1},
}
VIEWS = {
    "views": {"masks": 2, "consistency": 0.5, "recolour": 0.5},
    "edges": {"dropout": 0.3, "length_weight": 1e-3},
}


def tiny(*changes) -> GraphRunConfig:
    values = TINY
    for change in changes:
        values = merge(values, change)
    return build(GraphRunConfig, values)


def weights(config: GraphRunConfig, folder, **launch) -> dict[str, torch.Tensor]:
    run = train_graph(config, Launch(folder=folder, devices=1, progress=False, **launch))
    return {name: value.clone() for name, value in run.network.state_dict().items()}


def test_every_mask_gives_its_own_picture_from_the_same_keypoints():
    model = tiny_graph(4, sigma2=1e-2).eval()
    pictures, moved = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(1, 3, 64, 64) * 2 - 1
    masks = model.random_mask(4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both = model(pictures, masks, moved)
        first, second = model(pictures, masks[:2]), model(pictures, masks[2:])
        alone = model.detector(moved)
    assert both.images.shape == (4, 3, 64, 64) and both.moved_keypoints.shape == (1, 4, 2)
    torch.testing.assert_close(both.images, torch.cat([first.images, second.images]))
    torch.testing.assert_close(both.keypoints, first.keypoints)
    torch.testing.assert_close(both.moved_keypoints, alone)
    assert first.moved_keypoints.shape == (0, 4, 2)


def test_keypoints_follow_the_images_that_they_are_asked_of():
    move, keypoints = RandomMove(), torch.rand(3, 5, 2) - 0.5
    moved = move(torch.zeros(3, 3, 64, 64), seed=4)
    asked = moved.follow(keypoints)
    move(torch.zeros(3, 3, 64, 64), seed=5)
    torch.testing.assert_close(moved.follow(keypoints), asked)
    assert (asked - keypoints).norm(dim=-1).mean() > 0.02


def test_training_with_views_goes_on_bit_equal(tmp_path):
    straight = weights(tiny(VIEWS), tmp_path / "straight")
    weights(tiny(VIEWS, {"training": {"steps": 2}}), tmp_path / "halves")
    halves = weights(tiny(VIEWS), tmp_path / "halves")
    assert all(torch.equal(value, halves[name]) for name, value in straight.items())


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, torch.Tensor]:
    return weights(tiny(), tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    "change",
    [
        {"views": {"masks": 2}},
        {"views": {"consistency": 0.5}},
        {"views": {"recolour": 0.5}},
        {"edges": {"dropout": 0.5}},
        {"edges": {"length_weight": 1e-2}},
    ],
)
def test_each_view_changes_what_is_learned(tmp_path, plain, change):
    other = weights(tiny(change), tmp_path / "other")
    assert any(not torch.equal(value, other[name]) for name, value in plain.items())


def test_dropped_edges_are_not_drawn():
    model = tiny_graph(4, sigma2=1e-2).eval()
    pictures, mask = torch.rand(2, 3, 64, 64) * 2 - 1, model.random_mask(2)
    kept = torch.zeros(4, 4)
    kept[0, 2] = kept[2, 0] = 1
    with torch.no_grad():
        result = model(pictures, mask, kept_edges=kept)
        alone = edge_map(result.keypoints[:, [0, 2]], model.edge_weights[[0, 2]][:, [0, 2]], sigma2=1e-2, size=64)
    torch.testing.assert_close(result.edge_map, alone)


def test_share_of_edges_dropped_and_that_both_halves_of_the_matrix_agree():
    config = tiny({"edges": {"dropout": 0.3}, "model": {"num_keypoints": 32}})
    loss_of = GraphLoss(config, AutoLink(config.model))
    kept = loss_of.views(torch.zeros(1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).kept_edges
    assert torch.equal(kept, kept.T) and set(kept.unique().tolist()) == {0.0, 1.0}
    assert 0.6 < kept[tuple(torch.triu_indices(32, 32, 1))].mean() < 0.8


def test_detector_alone_is_shown_other_colours():
    config = tiny({"views": {"recolour": 1.0}})
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    views = GraphLoss(config, AutoLink(config.model)).views(pictures, generator=torch.Generator().manual_seed(0))
    assert torch.equal(views.images, pictures)
    changes = (views.recoloured - pictures).abs().mean((1, 2, 3))
    assert bool((changes > 0.01).all()) and views.recoloured.min() >= 0 and views.recoloured.max() <= 1
    model = AutoLink(config.model).eval()
    with torch.no_grad():
        signed, recoloured = (2 * images - 1 for images in (pictures, views.recoloured))
        result = model(signed, views.masks, looked_at=recoloured)
        assert torch.equal(result.keypoints, model.locate(views.recoloured))
        assert torch.equal(result.images, model.reconstruct(signed, views.masks, result.keypoints))


def test_recolouring_makes_negatives_of_half_the_pictures():
    greys = torch.linspace(0.05, 0.95, 64).expand(400, 3, 64, 64)
    coloured = Recolour(1.0)(greys, seed=0)
    negative = coloured[..., -1].mean((1, 2)) < coloured[..., 0].mean((1, 2))
    assert 0.4 < negative.float().mean() < 0.6
    torch.testing.assert_close(Recolour(0.0)(greys, seed=0), greys, rtol=0, atol=1e-6)
    assert torch.equal(Recolour(1.0)(greys, seed=0), coloured)
    assert not torch.equal(Recolour(1.0)(greys, seed=1), coloured)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_of_other_colours_is_a_share(strength):
    with pytest.raises(ValueError, match=r"views\.recolour"):
        tiny({"views": {"recolour": strength}})


def test_consistency_draws_keypoints_to_where_the_picture_moved(tmp_path):
    """With that term alone to speak of, the error of moved keypoints falls."""
    length = {"steps": 60, "batch_size": 4, "save_every": 60}
    config = tiny({"views": {"consistency": 100.0}, "training": length, "optimiser": {"lr": 5e-3}})
    run = train_graph(config, Launch(folder=tmp_path / "run", devices=1, progress=False))
    torch.manual_seed(0)
    assert _error(run.network) < 0.8 * _error(AutoLink(config.model))


def _error(model: AutoLink) -> float:
    from autolink_gen.data.puppets.dataset import Puppets

    pictures = torch.stack([Puppets(image_size=64, seed=9, split="test")[i] for i in range(16)]).float() / 255
    model.eval()
    with torch.no_grad():
        keypoints = model.locate(pictures)
        moved = RandomMove()(pictures, seed=3)
        found, asked = model.locate(moved.images), moved.follow(keypoints)
        return float((found - asked).norm(dim=-1).mean() / (asked - keypoints).norm(dim=-1).mean())


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"masks": 0}, r"views\.masks must be at least 1, got 0"),
        ({"consistency": -1.0}, r"views\.consistency must be at least 0, got -1"),
    ],
)
def test_bad_settings_are_named(view, message):
    with pytest.raises(ValueError, match=message):
        tiny({"views": view})
