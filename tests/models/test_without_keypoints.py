"""A graph without some of its keypoints: they keep their numbers, and no edge map shows them."""

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.edges import edge_map
from autolink_gen.ops.keypoints import linked_keypoints


def make(**changes) -> AutoLink:
    return tiny_graph(5, **{"sigma2": 1e-2, **changes})


KEYPOINTS = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
LEFT = [0, 2, 4]


def test_edges_to_them_weigh_nothing_and_the_others_what_they_did():
    whole = make()
    before = whole.edge_weights.clone()
    less = whole.without_keypoints([3, 1, 1])
    assert (less.edge_weights[[1, 3]] == 0).all() and (less.edge_weights[:, [1, 3]] == 0).all()
    assert torch.equal(less.edge_weights[LEFT][:, LEFT], before[LEFT][:, LEFT])
    assert torch.equal(whole.edge_weights, before), "the graph itself stays as it is"
    assert linked_keypoints(less.edge_weights).tolist() == LEFT


@pytest.mark.parametrize("changes", [{}, {"drawing": "channels"}, {"learn_sigma2": "edge"}, {"learn_sigma2": "one"}])
def test_the_edge_map_is_that_of_the_others(changes):
    less = make(**changes).without_keypoints([1, 3])
    keypoints = KEYPOINTS.clone().requires_grad_()
    shown = less.edge_map(keypoints, 64)
    alone = edge_map(KEYPOINTS[:, LEFT], less.edge_weights[LEFT][:, LEFT], sigma2=1e-2, size=64)
    assert torch.allclose(shown, alone, atol=1e-6)
    assert shown.max() > 1e-3, "what is left is seen"
    shown.sum().backward()
    assert keypoints.grad.isfinite().all() and keypoints.grad[:, [1, 3]].abs().max() < 1e-30
    assert (keypoints.grad[:, LEFT] != 0).any()
    raw = less.raw_edge_weights.grad
    assert raw.isfinite().all() and (raw[[1, 3]] == 0).all() and (raw[:, [1, 3]] == 0).all() and (raw != 0).any()


def test_it_detects_as_before_and_survives_its_file(tmp_path):
    whole = make().prepare_for_inference()
    less = whole.without_keypoints([0])
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(less.detect(pictures), whole.detect(pictures))
    save_model(tmp_path / "model.safetensors", less)
    assert torch.equal(load_graph_model(tmp_path).edge_weights, less.edge_weights)


def test_none_left_out_is_a_copy():
    whole = make()
    assert torch.equal(whole.without_keypoints([]).edge_weights, whole.edge_weights)


@pytest.mark.parametrize(
    ("indices", "changes", "things"),
    [
        ([5], {}, ("0 to 4", "[5]")),
        ([-1], {}, ("0 to 4", "[-1]")),
        ([0, 1, 2, 3], {}, ("no edge", "fewer")),
        ([0], {"drawing": "points"}, ("model.drawing=points",)),
    ],
)
def test_what_cannot_be_left_out_is_named(indices, changes, things):
    with raises_mentioning(ValueError, *things):
        make(**changes).without_keypoints(indices)
