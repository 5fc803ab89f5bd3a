"""Named landmarks from keypoints: what a fit recovers, what one picture is enough for, the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.inference.landmark_regressor import (
    LandmarkRegressor,
    fit_landmarks,
    graph_fingerprint,
    landmark_names,
)


def regressor_of(coefficients: np.ndarray) -> LandmarkRegressor:
    names = tuple(f"point_{number}" for number in range(coefficients.shape[1]))
    return LandmarkRegressor(names, coefficients, "a graph", 3)


@pytest.fixture
def keypoints() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.8, 0.8, (200, 4, 2))


def linear_landmarks(keypoints: np.ndarray) -> np.ndarray:
    """Three landmarks that are a linear map of the keypoints, with a bias."""
    rng = np.random.default_rng(1)
    return 0.3 + np.tensordot(keypoints.reshape(len(keypoints), -1), rng.normal(0, 0.1, (8, 3, 2)), axes=1)


def test_a_linear_map_is_found(keypoints):
    true = linear_landmarks(keypoints)
    regressor = regressor_of(fit_landmarks(keypoints[:100], true[:100]))
    assert np.abs(regressor.predict(keypoints[100:]) - true[100:]).max() < 1e-4


def test_one_picture_makes_landmarks_follow_the_keypoints_near_them():
    keypoints = np.array([[[-0.5, 0.0], [0.5, 0.0]]])
    true = np.array([[[0.26, 0.52]]])  # 0.25, 0.5 is the first keypoint as a fraction
    regressor = regressor_of(fit_landmarks(keypoints, true))
    assert regressor.predict(keypoints) == pytest.approx(true)
    movement = np.array([[0.2, -0.1], [0.0, 0.0]])
    assert regressor.predict(keypoints + movement)[0, 0] == pytest.approx([0.36, 0.47], abs=1e-4)


def test_landmarks_follow_the_surer_of_the_keypoints_near_them():
    keypoints = np.array([[[-0.5, 0.0], [-0.4, 0.0]]])
    true = np.array([[[0.27, 0.5]]])  # between the two, at 0.25 and 0.3, but nearer to the first
    movement = np.array([[0.2, 0.0], [0.0, 0.2]])

    def moved(widths: list[float] | None) -> list[float]:
        known = None if widths is None else np.array([widths])
        regressor = regressor_of(fit_landmarks(keypoints, true, widths=known))
        return list((regressor.predict(keypoints + movement) - true)[0, 0] / 0.1)

    first, second = moved(None)  # shares of the two keypoints, which add up to 1
    assert first + second == pytest.approx(1) and 0.5 < first < 0.6
    assert moved([0.3, 0.3]) == pytest.approx([first, second])
    assert moved([0.4, 0.1])[1] > 0.99 and moved([0.1, 0.4])[0] > 0.99
    assert moved([0.0, 0.01]) == pytest.approx([first, second]), "both are as sure as can be"


def test_each_landmark_heeds_the_widths_of_the_pictures_that_show_it(keypoints):
    true, widths = linear_landmarks(keypoints), np.full((200, 4), 0.1)
    widths[50:] = np.random.default_rng(3).uniform(0.05, 0.5, (150, 4))
    visible = np.ones((200, 3), dtype=bool)
    visible[1:, 1] = False
    found = fit_landmarks(keypoints, true, visible, widths=widths)[:, 1]
    assert found == pytest.approx(fit_landmarks(keypoints[:1], true[:1], widths=widths[:1])[:, 1])


def test_pictures_alike_are_one_picture(keypoints):
    alike = np.repeat(keypoints[:1], 5, axis=0)
    true = np.repeat(linear_landmarks(keypoints[:1]), 5, axis=0)
    assert regressor_of(fit_landmarks(alike, true)).predict(alike) == pytest.approx(true)


def test_noise_is_not_fitted(keypoints):
    true = 0.5 + np.random.default_rng(2).normal(0, 0.05, (200, 6, 2))  # has nothing to do with the keypoints
    few = regressor_of(fit_landmarks(keypoints[:12], true[:12]))
    error = np.linalg.norm(few.predict(keypoints[100:]) - 0.5, axis=-1).mean()
    following = np.linalg.norm(
        regressor_of(fit_landmarks(keypoints[:1], true[:1])).predict(keypoints[100:]) - 0.5, axis=-1
    ).mean()
    assert error < 0.6 * following, "what follows keypoints is taken back where that does not help"


def test_each_landmark_is_fitted_where_it_is_shown(keypoints):
    true = linear_landmarks(keypoints)
    visible = np.ones((200, 3), dtype=bool)
    visible[50:, 1] = False
    visible[:, 2] = False
    true[~visible] = np.nan
    coefficients = fit_landmarks(keypoints, true, visible)
    assert np.isnan(coefficients[:, 2]).all() and np.isfinite(coefficients[:, :2]).all()
    assert coefficients[:, 1:2] == pytest.approx(fit_landmarks(keypoints[:50], true[:50, 1:2]))


def test_a_file_holds_all_of_it(keypoints, tmp_path):
    coefficients = fit_landmarks(keypoints, linear_landmarks(keypoints))
    coefficients[:, 1] = np.nan
    regressor_of(coefficients).save(tmp_path / "map.json")
    loaded = LandmarkRegressor.load(tmp_path / "map.json")
    assert (loaded.names, loaded.graph, loaded.num_images) == (("point_0", "point_1", "point_2"), "a graph", 3)
    assert np.array_equal(loaded.coefficients, coefficients, equal_nan=True)


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[" * 10**5,
        json.dumps({"kind": "autolink-gen landmark regressor", "graph": "", "num_pictures": 1, "names": ["nose"],
                    "coefficients": [[[10**400, 2]], [[1, 2]], [[1, 2]]]}),
        json.dumps({"kind": "autolink-gen landmark regressor", "graph": "", "num_pictures": 1, "names": ["nose"],
                    "coefficients": [[[1e999, 2]], [[1, 2]], [[1, 2]]]}),
        "[]",
        "{}",
        json.dumps({"kind": "something else"}),
        json.dumps({"kind": "autolink-gen landmark regressor", "graph": "", "num_pictures": 1, "names": ["nose"],
                    "coefficients": [[[1, 2]], [[1, 2]]]}),
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(ValueError, match=r"map\.json is no readable regressor: .*`autolink-gen evaluate` wrote"):
        LandmarkRegressor.load(tmp_path / "map.json")


def test_it_is_for_the_keypoints_of_one_graph():
    weights = torch.rand(4, 4)
    regressor = LandmarkRegressor(("nose",), np.zeros((9, 1, 2)), graph_fingerprint(weights), 1)
    regressor.check_graph(weights, run="old")
    with raises_mentioning(ValueError, "another graph", "my run", "evaluate 'my run' --data"):
        regressor.check_graph(weights + 1, run="my run")


def test_landmarks_have_the_usual_names():
    names = landmark_names(68)
    assert len(set(names)) == 68
    assert (names[0], names[30], names[36], names[48]) == ("jaw_0", "nose_3", "right_eye_0", "mouth_0")
    assert landmark_names(3) == ("landmark_0", "landmark_1", "landmark_2")
