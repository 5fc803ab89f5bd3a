"""The ridge of landmarks on keypoints: what few images are enough for, and what leave-one-out chooses."""

import numpy as np
import pytest

from autolink_gen.inference import landmark_ridge
from autolink_gen.inference.landmark_ridge import fit_slopes


def draw(count: int, num_keypoints: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (count, num_keypoints, 2))


def left_out_error(design: np.ndarray, missed: np.ndarray, alpha: float) -> float:
    """The mean distance where each image is left out, each time fitted anew."""
    distances = []
    for row in range(len(design)):
        rest = np.arange(len(design)) != row
        flat = design[rest].reshape(-1, design.shape[2])
        mean = missed[rest].mean(axis=0)
        # The mean of the others is theirs, while keypoints keep the deviations that they have among all.
        shift = design[rest].mean(axis=0)
        centred = (design[rest] - shift).reshape(flat.shape)
        slopes = np.linalg.solve(
            centred.T @ centred + alpha * np.eye(flat.shape[1]),
            centred.T @ (missed[rest] - mean).reshape(len(flat), -1),
        )
        distances.append(np.linalg.norm(mean + (design[row] - shift) @ slopes - missed[row], axis=0))
    return float(np.mean(distances))


def test_a_combination_of_keypoints_is_learned_from_few_images() -> None:
    keypoints = draw(40, 12)
    weights = np.random.default_rng(1).dirichlet(np.ones(12), 5)
    targets = np.einsum("pk,nkc->npc", weights, keypoints)
    slopes = fit_slopes(keypoints[:7], targets[:7], np.ones(12))
    predicted = np.tensordot(keypoints - keypoints[:7].mean(axis=0), slopes, axes=2) + targets[:7].mean(axis=0)
    spread = np.linalg.norm(targets[7:] - targets[:7].mean(axis=0), axis=-1).mean()
    assert np.linalg.norm(predicted - targets, axis=-1)[7:].mean() < 0.35 * spread
    assert np.abs(fit_slopes(keypoints, targets, np.ones(12))[:, 0, :, 0] - weights.T).max() < 1e-3


def test_x_may_depend_on_y_where_images_say_so() -> None:
    keypoints = draw(60, 3)
    slopes = np.random.default_rng(1).normal(size=(3, 2, 4, 2))
    targets = np.tensordot(keypoints, slopes, axes=2)
    assert fit_slopes(keypoints, targets, np.ones(3)) == pytest.approx(slopes, abs=1e-3)


def test_the_error_of_a_choice_is_that_of_images_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = draw(9, 3)
    moves = keypoints - keypoints.mean(axis=0)
    missed = np.random.default_rng(1).normal(size=(9, 2, 4))
    missed -= missed.mean(axis=0)
    design = landmark_ridge._design(moves, 0.3)
    for alpha in (1e-2, 1.0):
        monkeypatch.setattr(landmark_ridge, "_ALPHAS", (alpha,))
        choice = landmark_ridge._best_alpha(design, missed)
        assert choice.error == pytest.approx(left_out_error(design, missed, alpha))


def test_of_two_keypoints_that_move_alike_the_one_of_the_larger_scale_leads() -> None:
    keypoints = np.repeat(draw(8, 1), 2, axis=1)
    slopes = fit_slopes(keypoints, keypoints[:, :1], np.array([1.0, 0.2]))[:, 0, 0, 0]
    assert slopes.sum() == pytest.approx(1, abs=0.01)
    assert slopes[0] == pytest.approx(25 * slopes[1], rel=0.01)


def test_nothing_is_learned_where_nothing_moves() -> None:
    assert not fit_slopes(draw(1, 3), draw(1, 2), np.ones(3)).any()
    assert not fit_slopes(np.repeat(draw(1, 3), 5, axis=0), draw(5, 2), np.ones(3)).any()
