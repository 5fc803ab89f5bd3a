"""What is exported for drawing a graph draws it, whatever kind of graph it is."""

import pytest
import torch
from helpers.tiny_models import tiny_graph

from autolink_gen.export.networks import exported_edge_map
from autolink_gen.models.autolink import AutoLink


def _graph(**changes: object) -> AutoLink:
    graph = tiny_graph(5, **changes)
    with torch.no_grad():
        graph.raw_edge_weights.copy_(torch.randn(5, 5) * 2 / graph.config.edge_weight_rate)
        if graph.config.learn_sigma2 != "no":
            graph.log_thickness.copy_(torch.randn(graph.log_thickness.shape))
    return graph


@pytest.mark.parametrize("sigma2", [5e-5, 1e-2])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learn_sigma2": "one"},
        {"learn_sigma2": "edge"},
        {"drawing": "channels"},
        {"drawing": "points"},
        {"drawing": "points", "learn_sigma2": "one"},
    ],
)
def test_a_graph_is_drawn_as_it_draws_itself(changes, sigma2):
    graph = _graph(sigma2=sigma2, **changes)
    keypoints = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    keypoints[0] = keypoints[0, :1]  # all in one place: no edge has a length
    keypoints[1, 0] = 1.5  # outside of the image
    keypoints[2, 3] = -1  # the centre of a pixel
    expected = graph.edge_map(keypoints, 64)
    assert expected.max() > 0.1
    torch.testing.assert_close(exported_edge_map(graph, 64)(keypoints), expected, rtol=0, atol=1e-4)


def test_keypoints_that_were_left_out_are_not_drawn():
    graph = _graph(sigma2=1e-2).without_keypoints([1, 3])
    drawing = exported_edge_map(graph, 64)
    assert drawing.starts == [0, 0, 2] and drawing.ends == [2, 4, 4]
    keypoints = torch.rand(2, 5, 2) * 2 - 1
    torch.testing.assert_close(drawing(keypoints), graph.edge_map(keypoints, 64), rtol=0, atol=1e-5)


def test_a_channel_without_edges_is_empty():
    graph = _graph(sigma2=1e-2)
    drawing = exported_edge_map(graph, 64, edge_weights=torch.zeros(5, 5))
    assert drawing(torch.zeros(1, 5, 2)).max() < 1e-30
