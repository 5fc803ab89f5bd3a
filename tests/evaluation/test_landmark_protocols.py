"""The paper's protocols: equal to the official scores, and right on cases that can be worked out by hand."""

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from helpers.messages import raises_mentioning
from numpy import ndarray

from autolink_gen.data.landmarks import read_landmarks_csv
from autolink_gen.evaluation import human36m
from autolink_gen.evaluation.landmarks import (
    PROTOCOLS,
    Annotations,
    apply_regression,
    blind,
    eye_distances,
    eye_relative_distances,
    fit_regression,
    mean_distance,
    nme,
    per_landmark,
    predict,
    share_within,
)

OFFICIAL = ("celeba_wild", "cub", "deepfashion", "h36m", "taichi")


def random_part(
    seed: int, *, pictures: int = 40, keypoints: int = 3, weights: ndarray | None = None, noise: float = 0.0
) -> Annotations:
    """Landmarks that are a linear function (2K, P, 2) of the keypoints in [0, 1], and noise."""
    rng = np.random.default_rng(seed)
    detected = rng.uniform(-1, 1, (pictures, keypoints, 2))
    if weights is None:
        weights = np.random.default_rng(99).normal(size=(2 * keypoints, 5, 2))
    true = np.tensordot((detected.reshape(pictures, -1) + 1) / 2, weights, axes=1)
    return Annotations(detected, true + noise * rng.normal(size=true.shape))


def one_keypoint(true: ndarray, **extra: ndarray) -> Annotations:
    """Pictures on which a single keypoint always lies at (1, 1), so that the prediction is the mean pose."""
    return Annotations(np.ones((len(true), 1, 2)), np.asarray(true, dtype=float), **extra)


# ---- against the official code ----


@pytest.mark.parametrize("name", OFFICIAL)
def test_equals_the_official_score(name: str, shared_dir: Path) -> None:
    numbers = np.load(shared_dir / "reference" / "protocols.npz")

    def part(which: str) -> Annotations:
        def swapped(key: str) -> ndarray:
            return numbers[f"{name}/{which}/{key}"][..., ::-1]

        extra = {
            ours: numbers[f"{name}/{which}/{theirs}"]
            for ours, theirs in (("visible", "visibility"), ("eye_distance", "eye_distance"))
            if f"{name}/{which}/{theirs}" in numbers.files
        }
        return Annotations(swapped("det_keypoints"), swapped("keypoints"), **extra)

    score = PROTOCOLS[name](part("fit"), part("test"))
    np.testing.assert_allclose(score, float(numbers[f"{name}/score"]), rtol=1e-6)


def test_mean_pose_on_real_faces(shared_dir: Path) -> None:
    tables = [read_landmarks_csv(shared_dir / "data" / "faces68" / f"landmarks_{s}.csv") for s in ("train", "test")]
    fit, test = (one_keypoint(table.points) for table in tables)
    assert round(100 * nme(blind(fit), blind(test)), 1) == 45.2


def test_every_protocol_is_there() -> None:
    assert set(PROTOCOLS) == {*OFFICIAL, "celeba_aligned", "faces68"}


# ---- the regression ----


@pytest.mark.parametrize("bias", [False, True])
def test_regression_finds_a_linear_map_again(bias: bool) -> None:
    part = random_part(0)
    offset = 0.3 if bias else 0.0
    weights = fit_regression(part.detected, part.true + offset, bias=bias)
    assert weights.shape == (6 + bias, 5, 2)
    unseen = random_part(1)
    np.testing.assert_allclose(apply_regression(weights, unseen.detected), unseen.true + offset, atol=1e-10)
    if bias:
        np.testing.assert_allclose(weights[-1], 0.3, atol=1e-10)


def test_regression_without_bias_by_hand() -> None:
    # One keypoint at (0, 1/2) and at (0, 1) in [0, 1]; landmarks 1 and 2: the slope along y is 2.
    detected = np.array([[[-1.0, 0.0]], [[-1.0, 1.0]]])
    weights = fit_regression(detected, np.array([[[1.0, 0.0]], [[2.0, 0.0]]]))
    np.testing.assert_allclose(weights, [[[0.0, 0.0]], [[2.0, 0.0]]], atol=1e-12)


def test_regression_heeds_labels_and_marks_what_was_never_labelled() -> None:
    part = random_part(0)
    labelled = np.random.default_rng(3).random(part.true.shape) < 0.7
    labelled[:, 4] = False
    spoilt = np.where(labelled, part.true, 1e6)
    weights = fit_regression(part.detected, spoilt, labelled)
    assert np.isnan(weights[:, 4]).all()
    predicted = apply_regression(weights, part.detected)
    np.testing.assert_allclose(predicted[:, :4], part.true[:, :4], atol=1e-8)


def test_dependent_keypoints_give_the_smallest_solution() -> None:
    part = random_part(0, keypoints=1, weights=np.ones((2, 2, 2)))
    twice = np.repeat(part.detected, 2, axis=1)
    weights = fit_regression(twice, part.true)
    np.testing.assert_allclose(weights, 0.5, atol=1e-10)


def test_regression_refuses_another_number_of_keypoints() -> None:
    part = random_part(0)
    weights = fit_regression(part.detected, part.true)
    with raises_mentioning(ValueError, "fitted", "3 keypoints", 2):
        apply_regression(weights, part.detected[:, :2])


# ---- scores by hand ----


def test_nme_and_mean_distance_by_hand() -> None:
    fit = one_keypoint(np.tile([[0.5, 0.5], [0.2, 0.8]], (3, 1, 1)))
    true = np.array([[[0.5, 0.6], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.4]]])
    test = one_keypoint(true, eye_distance=np.array([0.5, 0.25]))
    # Distances 0.1, 0 and 0, 0.5; in eye distances 0.2, 0 and 0, 2.
    assert nme(fit, test) == pytest.approx((0.2 + 0 + 0 + 2) / 4)
    errors = eye_relative_distances(predict(fit, test), test)
    np.testing.assert_allclose(per_landmark(errors), [0.1, 1.0], atol=1e-12)
    assert share_within(errors, 0.1) == 0.5
    assert share_within(errors, 0.21) == 0.75
    assert mean_distance(fit, test) == pytest.approx((0.1 + 0.5) / 4)


def test_invisible_landmarks_count_nowhere() -> None:
    visible = np.array([[True, False], [True, True]])
    points = np.array([[[0.5, 0.5], [np.nan, np.nan]], [[0.5, 0.5], [0.2, 0.8]]])
    fit = one_keypoint(points, visible=visible)
    true = np.array([[[0.5, 0.6], [9.0, 9.0]], [[0.5, 0.5], [0.5, 0.4]]])
    test = one_keypoint(true, visible=visible, eye_distance=np.ones(2))
    assert nme(fit, test) == pytest.approx((0.1 + 0 + 0.5) / 3)
    np.testing.assert_allclose(per_landmark(eye_relative_distances(predict(fit, test), test)), [0.05, 0.5], atol=1e-12)


def test_landmark_that_no_test_picture_shows_has_no_score() -> None:
    fit = one_keypoint(np.full((3, 2, 2), 0.5))
    test = one_keypoint(np.full((1, 2, 2), 0.5), visible=np.array([[1, 0]]), eye_distance=np.ones(1))
    scores = per_landmark(eye_relative_distances(predict(fit, test), test))
    assert scores[0] == pytest.approx(0, abs=1e-12)
    assert np.isnan(scores[1])


def test_landmark_that_no_fit_picture_shows_is_an_error() -> None:
    fit = one_keypoint(np.full((3, 2, 2), 0.5), visible=np.array([[1, 0]] * 3))
    test = one_keypoint(np.full((1, 2, 2), 0.5), eye_distance=np.ones(1))
    with raises_mentioning(ValueError, "landmarks [1]", "visible", "test", "fit"):
        nme(fit, test)


def test_nothing_visible_is_an_error() -> None:
    fit = one_keypoint(np.full((3, 2, 2), 0.5))
    test = one_keypoint(np.full((1, 2, 2), 0.5), visible=np.zeros((1, 2)))
    with raises_mentioning(ValueError, "no landmark", "visible", "test"):
        mean_distance(fit, test)


def test_parts_with_other_landmarks_are_an_error() -> None:
    with raises_mentioning(ValueError, "2 landmarks", 3, "fit", "test"):
        predict(one_keypoint(np.zeros((2, 2, 2))), one_keypoint(np.zeros((2, 3, 2))))


def test_blind_predicts_the_mean_of_what_is_labelled() -> None:
    fit = random_part(0, noise=0.1)
    visible = np.random.default_rng(4).random(fit.true.shape[:2]) < 0.5
    fit = Annotations(fit.detected, fit.true, visible)
    predicted = predict(blind(fit), blind(random_part(1)))
    expected = [fit.true[visible[:, p], p].mean(axis=0) for p in range(5)]
    np.testing.assert_allclose(predicted[7], expected, atol=1e-12)


# ---- eye distance ----


def test_eye_distance_of_68_landmarks_is_between_the_eyes_means() -> None:
    points = np.zeros((1, 68, 2))
    points[0, 36:42] = np.random.default_rng(0).random((6, 2))
    points[0, 36:42] += (0.2, 0.5) - points[0, 36:42].mean(axis=0)
    points[0, 42:48] = (0.5, 0.9)
    assert eye_distances(one_keypoint(points)) == pytest.approx([0.5])


def test_eye_distance_of_5_landmarks_and_a_given_one() -> None:
    points = np.array([[[0.1, 0.2], [0.4, 0.6], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    assert eye_distances(one_keypoint(points)) == pytest.approx([0.5])
    assert eye_distances(one_keypoint(points, eye_distance=np.array([3.0]))) == [3.0]


def test_eye_distance_that_cannot_be_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="7 landmarks are neither CelebA's 5 nor the usual 68"):
        eye_distances(one_keypoint(np.zeros((1, 7, 2))))
    points = np.random.default_rng(0).random((3, 5, 2))
    visible = np.ones((3, 5))
    visible[1, 0] = 0
    with pytest.raises(ValueError, match=r"1 images \(the first is number 1\) lack an eye"):
        eye_distances(one_keypoint(points, visible=visible))


# ---- single protocols ----


def test_deepfashion_is_minus_the_share_within_six() -> None:
    fit = one_keypoint(np.full((2, 4, 2), 100.0))
    test = one_keypoint(100 + np.array([[[0, 0], [5.9, 0], [6.1, 0], [0, 6.1]]]))
    assert PROTOCOLS["deepfashion"](fit, test) == -0.5


def test_taichi_by_hand() -> None:
    rng = np.random.default_rng(0)
    detected = rng.uniform(-1, 1, (30, 2, 2))
    true = np.stack([detected[:, 0] * 100 + 120, detected[:, 1] * 50 + 90], axis=1)  # needs the bias
    test_true = true.copy()
    test_true[:, 0, 0] += 3
    test_true[::2, 1, 1] += 4
    test_true[1::2, 1, 1] = -1  # only what is off stays labelled
    true[:10, 1] = -1
    score = PROTOCOLS["taichi"](Annotations(detected, true), Annotations(detected, test_true))
    assert score == pytest.approx(3 + 0 + 0 + 4)


def test_taichi_landmark_without_a_label_is_an_error() -> None:
    part = random_part(0)
    unlabelled = Annotations(part.detected, np.where(np.arange(5)[:, None] == 2, -1.0, part.true))
    for fit, test in ((part, unlabelled), (unlabelled, part)):
        with raises_mentioning(ValueError, "landmarks [2]", "label"):
            PROTOCOLS["taichi"](fit, test)


def h36m_part(seed: int, *, confused: int, pictures: int = 120) -> tuple[Annotations, Annotations]:
    """Annotations that follow from the keypoints but in `confused` pictures; and without confusion."""
    weights = np.random.default_rng(5).normal(size=(12, 32, 2))
    # 20, 28 and 29 alike: the slip in the pairs then loses nothing.
    weights[:, 20] = weights[:, 21]
    weights[:, 29] = weights[:, 28]
    clean = random_part(seed, pictures=pictures, keypoints=6, weights=weights, noise=1e-3)
    true = clean.true.copy()
    true[:confused] = human36m.swap_sides(true[:confused])
    return Annotations(clean.detected, true), clean


def test_h36m_swaps_left_and_right() -> None:
    fit, clean = h36m_part(0, confused=30)
    test, clean_test = h36m_part(1, confused=50)
    score = PROTOCOLS["h36m"](fit, test)
    assert score == pytest.approx(PROTOCOLS["h36m"](clean, clean_test), rel=0.02)
    assert score < mean_distance(fit, test) / 20


def test_h36m_leaves_the_last_ten_as_they_are() -> None:
    clean = h36m_part(0, confused=0)[0]
    ten, eleven = (PROTOCOLS["h36m"](clean, h36m_part(1, confused=count)[0]) for count in (10, 11))
    assert ten > 20 * eleven


def test_h36m_drops_outliers_of_the_fit_part() -> None:
    fit, _ = h36m_part(0, confused=0)
    test, _ = h36m_part(1, confused=0)
    true = fit.true.copy()
    true[3] += 5
    spoilt = Annotations(fit.detected, true)
    assert PROTOCOLS["h36m"](spoilt, test) == pytest.approx(PROTOCOLS["h36m"](fit, test), rel=0.02)
    assert mean_distance(spoilt, test) > 10 * mean_distance(fit, test)


def test_h36m_swap_has_the_official_slip() -> None:
    numbers = np.arange(32.0).repeat(2).reshape(1, 32, 2)
    swapped = human36m.swap_sides(numbers)[0, :, 0].astype(int)
    assert list(swapped[[1, 6, 17, 25, 20, 21, 28, 29, 0]]) == [6, 1, 25, 17, 28, 28, 21, 29, 0]


def test_h36m_refuses_other_landmarks() -> None:
    part = random_part(0)
    with raises_mentioning(ValueError, "true", "5 landmarks", "fit", "h36m"):
        PROTOCOLS["h36m"](part, part)


# ---- annotations ----


def test_annotations_are_float64_and_bool() -> None:
    part = Annotations(np.zeros((2, 3, 2), np.float32), np.zeros((2, 4, 2), np.float32), np.ones((2, 4), int))
    assert (part.detected.dtype, part.true.dtype) == (np.float64, np.float64)
    assert part.visible is not None
    assert part.visible.dtype == bool


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"detected": np.zeros((0, 3, 2)), "true": np.zeros((0, 4, 2))}, "detected has the shape"),
        ({"true": np.zeros((3, 4, 2))}, "detected has 2 images and true 3"),
        ({"visible": np.ones((2, 5), bool)}, "visible has the shape"),
        ({"eye_distance": np.ones(3)}, "eye_distance has the shape"),
        ({"eye_distance": np.array([1.0, 0.0])}, "eye_distance goes down to 0.0"),
        ({"detected": np.full((2, 3, 2), np.nan)}, "no finite keypoints: .*diverged"),
        ({"detected": np.array([[[0, 0], [np.nan, 0]]] * 2)}, "detected .*not finite"),
        ({"true": np.full((2, 4, 2), np.nan)}, "true .*not finite.* visible"),
    ],
)
def test_annotations_refuse_what_does_not_fit(
    fields: dict[str, ndarray], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users: else it is the first to object
    good = {"detected": np.zeros((2, 3, 2)), "true": np.zeros((2, 4, 2))}
    with pytest.raises(ValueError, match=message):
        Annotations(**{**good, **fields})
