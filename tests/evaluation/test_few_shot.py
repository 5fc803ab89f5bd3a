"""How good landmarks become on few labelled pictures."""

import numpy as np
import pytest

from autolink_gen.evaluation.few_shot import few_shot, fitted_regressor
from autolink_gen.evaluation.landmarks import Annotations, eye_distances


def part(count: int, *, seed: int, num_landmarks: int = 5) -> Annotations:
    """Landmarks that are a fixed linear map of keypoints, and a little noise."""
    slopes = np.random.default_rng(0).normal(0, 0.2, (8, num_landmarks, 2))
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-0.8, 0.8, (count, 4, 2))
    true = 0.5 + np.tensordot(keypoints.reshape(count, -1), slopes, axes=1)
    return Annotations(keypoints, true + rng.normal(0, 0.005, true.shape))


def test_more_pictures_help():
    scores = few_shot(part(100, seed=1), part(50, seed=2), [1, 5, 20, 1000], by_eyes=False, draws=6)
    assert [score.num_pictures for score in scores] == [1, 5, 20, 100]
    assert [score.draws for score in scores] == [6, 6, 6, 1]
    errors = [score.mean_percent for score in scores]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 and errors[-1] < 1
    assert scores[0].deviation_percent > 0 and scores[-1].deviation_percent == 0


def test_the_surer_keypoints_are_followed():
    """Two keypoints at the landmark: one that goes with it, and one that leaps about and has a wide heatmap."""
    rng = np.random.default_rng(0)
    place = rng.uniform(-0.3, 0.3, (60, 1, 2))
    keypoints = np.concatenate([place, rng.uniform(-0.3, 0.3, (60, 1, 2))], axis=1)
    widths = np.tile([0.05, 0.4], (60, 1))
    errors = []
    for known in (None, widths):
        fit = Annotations(keypoints[:30], (place[:30] + 1) / 2, widths=None if known is None else known[:30])
        errors.append(few_shot(fit, Annotations(keypoints[30:], (place[30:] + 1) / 2), [1], by_eyes=False))
    assert errors[1][0].mean_percent < 0.1 * errors[0][0].mean_percent


def test_draws_are_those_of_the_seed():
    fit, test = part(30, seed=1), part(20, seed=2)
    first = few_shot(fit, test, [5], by_eyes=False, draws=3)
    assert few_shot(fit, test, [1, 5], by_eyes=False, draws=3)[1] == first[0]
    assert few_shot(fit, test, [5], by_eyes=False, draws=3, seed=1) != first


def test_errors_are_shares_of_the_eye_distance():
    fit, test = part(30, seed=1), part(20, seed=2)
    (score,) = few_shot(fit, test, [30], by_eyes=True)
    predicted = fitted_regressor(fit, names=tuple("abcde"), graph="").predict(test.detected)
    shares = np.linalg.norm(predicted - test.true, axis=-1) / eye_distances(test)[:, None]
    assert score.mean_percent == pytest.approx(100 * shares.mean())
    assert score.by_eyes


def test_a_landmark_that_no_drawn_picture_shows_is_left_out():
    fit, test = part(30, seed=1), part(20, seed=2)
    visible = np.ones((30, 5), dtype=bool)
    visible[:, 4] = False
    (score,) = few_shot(Annotations(fit.detected, fit.true, visible), test, [30], by_eyes=False)
    others = Annotations(fit.detected, fit.true[:, :4]), Annotations(test.detected, test.true[:, :4])
    assert score.mean_percent == pytest.approx(few_shot(*others, [30], by_eyes=False)[0].mean_percent)


def test_counts_are_checked():
    with pytest.raises(ValueError, match=r"few-shot counts are \[5, 0\]; each must be 1 or more"):
        few_shot(part(30, seed=1), part(20, seed=2), [5, 0], by_eyes=False)
