import warnings

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.models.graph_analysis import cluster_keypoints, remaining_keypoints


def _blocks(*sizes: int, noise: float = 0.0) -> np.ndarray:
    """Strong edges inside each block of keypoints, weights up to `noise` between them."""
    count, draw = sum(sizes), np.random.default_rng(0)
    block = np.repeat(np.arange(len(sizes)), sizes)
    strong = (block[:, None] == block[None]) * draw.uniform(0.5, 1.5, (count, count))
    upper = np.triu(strong + noise * draw.uniform(size=(count, count)), 1)
    return upper + upper.T


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3, 0.1])
def test_blocks_are_found_whether_linked_or_not(noise: float) -> None:
    assert cluster_keypoints(_blocks(5, 3, noise=noise), 2).tolist() == [0] * 5 + [1] * 3
    assert cluster_keypoints(_blocks(3, 4, 5, noise=noise), 3).tolist() == [0] * 3 + [1] * 4 + [2] * 5


def test_the_order_of_keypoints_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(8)
    labels = cluster_keypoints(_blocks(5, 3, noise=0.01)[order][:, order], 2)
    first = order < 5
    assert (labels == (first != first[0])).all()


def test_tiny_weights_count_by_their_proportions() -> None:
    assert cluster_keypoints(_blocks(4, 4) * 1e-12, 2).tolist() == [0] * 4 + [1] * 4


def test_as_many_clusters_as_keypoints_and_one_cluster() -> None:
    assert cluster_keypoints(_blocks(2), 2).tolist() == [0, 1]
    assert cluster_keypoints(_blocks(2), 1).tolist() == [0, 0]
    assert cluster_keypoints(_blocks(2, 2), 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("num_clusters", [2, 3, 5])
def test_graphs_without_edges_or_with_lone_keypoints_are_parted_somehow(num_clusters: int) -> None:
    for weights in (np.zeros((6, 6)), _blocks(1, 1, 1, 3), _blocks(6)):
        labels = cluster_keypoints(weights, num_clusters)
        assert len(labels) == 6
        assert labels[0] == 0
        assert set(labels.tolist()) <= set(range(num_clusters))


def test_a_tensor_with_gradient_is_taken() -> None:
    weights = torch.tensor(_blocks(3, 3), dtype=torch.float32, requires_grad=True)
    assert cluster_keypoints(weights, 2).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("num_clusters", [0, -1, 5])
def test_a_wrong_number_is_refused_with_both_numbers(num_clusters: int) -> None:
    with raises_mentioning(ValueError, "keypoints", 1, 4, num_clusters):
        cluster_keypoints(_blocks(4), num_clusters)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        cluster_keypoints(np.full((3, 3), np.nan), 2)


def test_what_is_left_without_some_clusters_is_counted_by_their_numbers() -> None:
    weights = _blocks(3, 2, 4, noise=0.01)
    assert remaining_keypoints(weights, 3, [1]).tolist() == [0, 1, 2, 5, 6, 7, 8]
    assert remaining_keypoints(weights, 3, [2, 0, 0]).tolist() == [3, 4]
    assert remaining_keypoints(weights, 3, []).tolist() == list(range(9))
    order = np.random.default_rng(1).permutation(9)
    shuffled = weights[order][:, order]
    labels = cluster_keypoints(shuffled, 3)
    for number in range(3):
        assert remaining_keypoints(shuffled, 3, [number]).tolist() == np.flatnonzero(labels != number).tolist()


@pytest.mark.parametrize(
    ("num_clusters", "dropped", "things"),
    [
        (2, [2], ("no cluster 2", "0 to 1", "autolink-gen view-graph --clusters 2")),
        (2, [-1], ("no cluster -1",)),
        (1, [1], ("no cluster 1", 0, "only")),
        (2, [0, 1], ("cluster 0, 1 of 2", "no keypoint")),
        (2, [0], ("cluster 0 of 2", "keypoint 3", "edge", "two")),
        (5, [0], ("clusters", 1, 4, 5)),
    ],
)
def test_what_cannot_be_left_out_is_named(num_clusters: int, dropped: list[int], things: tuple) -> None:
    with raises_mentioning(ValueError, *things):
        remaining_keypoints(_blocks(3, 1), num_clusters, dropped)
