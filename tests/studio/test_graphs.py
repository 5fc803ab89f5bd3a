import json
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions, raises_mentioning
from PIL import Image

from autolink_gen.clusters import ClusterError
from autolink_gen.inference.detect_files import detect_files
from autolink_gen.inference.generate import Gan
from autolink_gen.studio.graphs import GraphDesk, GraphRequest
from autolink_gen.viz.graphs import strong_edges

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def test_clusters_hold_what_is_strongly_linked(graph_desk: GraphDesk) -> None:
    facts = graph_desk.facts(GraphRequest(clusters=2))
    assert facts.labels == [0, 0, 0, 1, 1]
    assert len(facts.colours) == 2


def test_a_cluster_left_out_takes_its_points_and_edges_along(graph_desk: GraphDesk, gan: Gan) -> None:
    facts = graph_desk.facts(GraphRequest(clusters=2, dropped=(0,)))
    rest = gan.graph.without_keypoints([0, 1, 2]).edge_weights
    assert facts.edges == strong_edges(rest, threshold=0.005)
    assert facts.shown == [3, 4]
    assert facts.labels == [0, 0, 0, 1, 1]
    assert facts.matrix != graph_desk.facts(GraphRequest()).matrix


def test_the_command_leaves_the_same_out(graph_desk: GraphDesk) -> None:
    assert_mentions(graph_desk.facts(GraphRequest(2, (1,))).command, "--clusters 2", "--drop-cluster 1")
    assert "--drop-cluster" not in graph_desk.facts(GraphRequest(2)).command


def test_the_last_cluster_cannot_be_left_out(graph_desk: GraphDesk) -> None:
    with raises_mentioning(ClusterError, 0):
        graph_desk.facts(GraphRequest(1, (0,)))


def test_more_clusters_than_keypoints_are_as_many_as_these(graph_desk: GraphDesk) -> None:
    assert graph_desk.facts(GraphRequest(clusters=64)).labels == [0, 1, 2, 3, 4]


def test_keypoints_of_a_picture_are_those_that_are_detected(
    graph_desk: GraphDesk, gan: Gan, picture: np.ndarray
) -> None:
    import torch

    square = picture[:48, :48]
    found = graph_desk.find(square).keypoints
    expected = gan.graph.detect(torch.from_numpy(square.copy()).permute(2, 0, 1)[None])[0]
    assert np.array(found) == pytest.approx(expected.numpy(), abs=1e-3)


def test_likelihoods_are_those_of_detect(graph_desk: GraphDesk, gan: Gan, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    detect_files(gan.graph, tmp_path / "a.png", out=tmp_path / "out", formats=["json"], overlays=False)
    (record,) = json.loads((tmp_path / "out" / "keypoints.json").read_text())["pictures"]
    assert graph_desk.find(picture).likelihoods == pytest.approx(record["likelihoods"], abs=1e-3)
