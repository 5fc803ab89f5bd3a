"""Scores on puppets: what counts as along a bone, and that a perfect model is told from none."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph
from numpy import ndarray
from torch import Tensor

from autolink_gen.cli.detect import detect
from autolink_gen.cli.view_graph import view_graph
from autolink_gen.data.puppets.dataset import BONES, Puppets
from autolink_gen.evaluation import puppets
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.ops.ranges import unit_images

ALL_BONES = np.array(BONES)
LINE = np.array([[[0.0, 0.0], [1.0, 0.0]]])


@pytest.fixture(scope="module")
def joints() -> ndarray:
    source = Puppets(image_size=32, length=30, split="test")
    return np.stack([source.annotated(i).joints for i in range(30)]).astype(np.float64)


def tiny(num_keypoints: int = 13) -> AutoLink:
    return tiny_graph(num_keypoints).eval()


class Oracle(AutoLink):
    """Knows the joints of the test puppets, in their order, and the bones."""

    def __init__(self, joints: ndarray) -> None:
        super().__init__(AutoLinkConfig(num_keypoints=13, image_size=64, width=0.05))
        self.joints = torch.from_numpy(joints)
        self.seen = 0

    @property
    def edge_weights(self) -> Tensor:
        weights = torch.full((13, 13), 0.05)
        for i, j in BONES:
            weights[i, j] = weights[j, i] = 1.0
        return weights.fill_diagonal_(0)

    def detect(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert 0 <= float(images.min()) < float(images.max()) <= 1
        self.seen += len(images)
        return self.joints[self.seen - len(images) : self.seen]

    def detect_with_widths(self, images: Tensor) -> tuple[Tensor, Tensor]:
        keypoints = self.detect(unit_images(images))
        return keypoints, torch.ones(keypoints.shape[:2])


# ---- the geometry ----


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ([[0.1, 0.0], [0.9, 0.0]], True),
        ([[0.9, 0.07], [0.1, 0.07]], True),  # 3.5 % of the width aside, the other way round
        ([[0.1, 0.09], [0.9, 0.09]], False),  # 4.5 % aside
        ([[0.5, -0.06], [0.5, 0.06]], False),  # near, but across
        ([[0.45, -0.05], [0.55, 0.05]], False),  # 45 degrees
        ([[0.4, -0.03], [0.6, 0.03]], True),  # 17 degrees
        ([[0.6, 0.0], [1.1, 0.0]], True),  # a fifth beyond the end
        ([[0.6, 0.0], [1.6, 0.0]], False),  # more than half beyond
    ],
)
def test_follows_by_hand(segment: list[list[float]], expected: bool) -> None:
    assert puppets.follows(np.array([segment]), LINE).tolist() == [expected]


def test_follows_goes_round_a_bend() -> None:
    leg = np.array([[[0.0, 0.0], [0.0, 0.5]], [[0.0, 0.5], [0.1, 1.0]]])
    assert puppets.follows(np.array([[[0.0, 0.0], [0.1, 1.0]]]), leg).all()
    assert not puppets.follows(np.array([[[0.0, 0.0], [0.1, 1.0]]]), leg[:1]).any()


def test_follows_nothing_where_there_are_no_lines() -> None:
    assert puppets.follows(LINE, np.zeros((0, 2, 2))).tolist() == [False]
    assert puppets.follows(np.zeros((0, 2, 2)), LINE).shape == (0,)


def test_bones_have_neck_and_spine(joints: ndarray) -> None:
    segments = puppets.bone_segments(joints[0])
    assert segments.shape == (len(BONES) + 2, 2, 2)
    np.testing.assert_allclose(segments[-2], [joints[0, 0], joints[0, [1, 4]].mean(axis=0)])
    np.testing.assert_allclose(segments[-1], [joints[0, [1, 4]].mean(axis=0), joints[0, [7, 10]].mean(axis=0)])


# ---- the shares ----


def test_true_skeleton_has_full_shares(joints: ndarray) -> None:
    assert puppets.bone_share(joints, joints, ALL_BONES) == 1.0
    assert puppets.bone_coverage(joints, joints, ALL_BONES) == 1.0


def test_share_counts_edges_and_coverage_counts_limbs(joints: ndarray) -> None:
    right_forearm, between_ankles = (2, 3), (9, 12)
    edges = np.array([right_forearm, between_ankles])
    assert puppets.bone_share(joints, joints, edges) == 0.5
    assert puppets.bone_coverage(joints, joints, edges) == pytest.approx(1 / 8, abs=0.02)


def test_skeleton_of_other_puppets_has_low_shares(joints: ndarray) -> None:
    others = np.roll(joints, 1, axis=0)
    assert puppets.bone_share(others, joints, ALL_BONES) < 0.4
    assert puppets.bone_coverage(others, joints, ALL_BONES) < 0.4


def test_collapsed_keypoints_lie_along_nothing(joints: ndarray) -> None:
    rng = np.random.default_rng(0)
    collapsed = joints[:, [2]] + rng.uniform(-0.03, 0.03, (len(joints), 13, 2))
    assert puppets.bone_share(collapsed, joints, ALL_BONES) == 0.0
    assert puppets.bone_coverage(collapsed, joints, ALL_BONES) == 0.0


def test_no_edges_share_nothing(joints: ndarray) -> None:
    none = np.zeros((0, 2), dtype=np.int64)
    assert puppets.bone_share(joints, joints, none) == 0.0
    assert puppets.bone_coverage(joints, joints, none) == 0.0


def test_strong_edges_are_those_that_the_commands_draw() -> None:
    drawn = {param.default for command in (detect, view_graph) for param in command.params if param.name == "threshold"}
    assert drawn == {puppets.STRONG}
    weights = torch.zeros(4, 4)
    for (i, j), weight in {(0, 1): 2.0, (0, 2): 0.2, (1, 3): 0.19, (2, 3): 1.5}.items():
        weights[i, j] = weights[j, i] = weight
    assert sorted(map(tuple, puppets.strong_edge_indices(weights).tolist())) == [(0, 1), (0, 2), (2, 3)]
    assert puppets.strong_edge_indices(torch.zeros(3, 3)).shape == (0, 2)


def test_joint_error_is_in_percent_of_the_width() -> None:
    detected = np.random.default_rng(0).uniform(-1, 1, (50, 13, 2))
    fit = Annotations(detected, detected * 0.5 + 0.2)
    off = detected * 0.5 + 0.2 + (0.06, 0.08)  # 0.1 of 2
    assert puppets.joint_error_percent(fit, Annotations(detected, off)) == pytest.approx(5.0)


# ---- a model ----


def test_oracle_is_perfect_and_beats_the_mean_pose(joints: ndarray) -> None:
    seen: list[tuple[int, str]] = []

    def progress(items, total, label):  # type: ignore[no-untyped-def]
        seen.append((total, label))
        return items

    source = Puppets(image_size=64, length=60, split="test")
    known = np.stack([source.annotated(i).joints for i in range(60)]).astype(np.float64)
    oracle = Oracle(known)
    results = puppets.evaluate_puppets(oracle, num_fit=50, num_test=10, batch_size=7, progress=progress)
    scores = results.scores
    assert seen == [(60, "puppets")]
    assert scores.joint_error_percent == pytest.approx(0, abs=1e-6)
    assert scores.mean_pose_error_percent > 5
    assert (scores.bone_share, scores.bone_coverage, scores.num_strong_edges) == (1.0, 1.0, len(BONES))
    assert (scores.num_fit, scores.num_test) == (50, 10)
    np.testing.assert_allclose(results.predicted_joints, known[50:], atol=1e-6)
    np.testing.assert_array_equal(results.samples[0].image, source.annotated(50).image)


def test_untrained_network_is_far_from_perfect() -> None:
    scores = puppets.evaluate_puppets(tiny(8), num_fit=60, num_test=20).scores
    assert scores.joint_error_percent > 5
    assert scores.bone_coverage < 0.4


def test_untrained_like_has_the_configuration_but_fresh_weights() -> None:
    graph = tiny(4)
    state = torch.random.get_rng_state()
    first, second = puppets.untrained_like(graph, seed=1), puppets.untrained_like(graph, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.config == graph.config
    assert not first.training
    weights = [model.detector.state_dict() for model in (first, second, graph)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_compare_sets_both_side_by_side() -> None:
    learned = puppets.PuppetScores(4.0, 12.5, 0.8, 0.9, 14, 500, 200)
    untrained = puppets.PuppetScores(11.0, 12.5, 0.2, 0.05, 28, 500, 200)
    text = "\n".join(puppets.compare(learned, untrained))
    assert_line_mentions(text, "joint error", "4.00 %", "untrained 11.00 %", "mean pose 12.50 %")
    assert_line_mentions(text, "strong edges", "bones", "80 %", "untrained 20 %")
    assert_line_mentions(text, "strong edges", "90 %", "untrained 5 %")
    assert_line_mentions(text, "strong edges", "10 %", 14, "untrained 28")


@pytest.mark.parametrize(("error", "is_told"), [(4.0, False), (11.0, True), (12.0, True)])
def test_a_graph_that_is_no_better_than_an_untrained_one_is_told_of(monkeypatch, error: float, is_told: bool) -> None:
    graph = tiny(4)

    def evaluate(model: AutoLink, **options: object) -> SimpleNamespace:
        found = error if model is graph else 11.0
        return SimpleNamespace(scores=puppets.PuppetScores(found, 12.5, 0.8, 0.9, 14, 500, 200))

    monkeypatch.setattr(puppets, "evaluate_puppets", evaluate)
    told = [line for line in puppets.beside_untrained(graph) if "optimiser.lr" in line]
    assert len(told) == is_told
    assert all("--steps" in line and "--fresh" in line for line in told)


@pytest.mark.parametrize(("num_fit", "num_test"), [(1, 5), (5, 0)])
def test_too_few_puppets_are_an_error(num_fit: int, num_test: int) -> None:
    with pytest.raises(ValueError, match="give at least 2 and 1 puppets"):
        puppets.evaluate_puppets(tiny(4), num_fit=num_fit, num_test=num_test)
