from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions, raises_mentioning

from autolink_gen.inference.generate import Gan
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.studio.labelling import LabelDesk, LabelledPicture, LabelRequest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


@pytest.fixture
def desk(gan: Gan) -> LabelDesk:
    return LabelDesk(gan.graph, name="runs/gan/tiny")


def _tuples(points: np.ndarray) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points.tolist()]


def _pictures(count: int, *, marked: int) -> tuple[list[LabelledPicture], np.ndarray]:
    """Pictures whose first landmark lies on keypoint 0 and whose second on keypoint 3; and where these are."""
    keypoints = np.random.default_rng(0).uniform(-0.8, 0.8, (count, 5, 2))
    true = (keypoints[:, [0, 3]] + 1) / 2
    pictures = [
        LabelledPicture(_tuples(points), _tuples(marks) if row < marked else [None, None])
        for row, (points, marks) in enumerate(zip(keypoints, true, strict=True))
    ]
    return pictures, true


def test_landmarks_are_found_on_pictures_without_marks(desk: LabelDesk) -> None:
    pictures, true = _pictures(40, marked=20)
    fit = desk.fit(LabelRequest(["nose", "left eye"], pictures))
    assert fit.num_pictures == 20
    assert np.abs(np.array(fit.landmarks)[20:] - true[20:]).max() < 1e-2


def test_the_error_is_that_on_pictures_left_out(desk: LabelDesk) -> None:
    pictures, _ = _pictures(20, marked=20)
    exact = desk.fit(LabelRequest(["nose", "left eye"], pictures)).error_percent
    draw = np.random.default_rng(1)
    noisy = [LabelledPicture(picture.keypoints, _tuples(draw.uniform(0.3, 0.7, (2, 2)))) for picture in pictures]
    at_random = desk.fit(LabelRequest(["nose", "left eye"], noisy)).error_percent
    assert exact is not None and at_random is not None
    assert exact < 2
    assert at_random > 10


def test_the_error_counts_heights_in_widths(desk: LabelDesk) -> None:
    points = [[(0.0, 0.0)] * 5, [(0.0, 0.0)] * 5]
    flat = [LabelledPicture(points[0], [(0.5, 0.4)], aspect=0.5), LabelledPicture(points[1], [(0.5, 0.6)], aspect=0.5)]
    assert desk.fit(LabelRequest(["nose"], flat)).error_percent == pytest.approx(10.0)


def test_one_picture_gives_landmarks_but_no_estimate(desk: LabelDesk) -> None:
    pictures, true = _pictures(2, marked=1)
    fit = desk.fit(LabelRequest(["nose", "left eye"], pictures))
    assert fit.error_percent is None
    assert np.array(fit.landmarks[0]) == pytest.approx(true[0])


def test_a_landmark_without_a_mark_is_nowhere(desk: LabelDesk) -> None:
    picture = LabelledPicture([(0.0, 0.0)] * 5, [(0.5, 0.5), None])
    assert desk.fit(LabelRequest(["nose", "left eye"], [picture])).landmarks[0][1] is None


def test_the_file_is_a_regressor_of_this_graph(desk: LabelDesk, gan: Gan, tmp_path: Path) -> None:
    pictures, _ = _pictures(4, marked=3)
    fit = desk.fit(LabelRequest(["nose", "left eye"], pictures))
    (tmp_path / "landmarks.json").write_text(fit.file)
    regressor = LandmarkRegressor.load(tmp_path / "landmarks.json")
    regressor.check_graph(gan.edge_weights, run="tiny")
    keypoints = np.array([picture.keypoints for picture in pictures])
    assert regressor.predict(keypoints) == pytest.approx(np.array(fit.landmarks))
    assert_mentions(fit.command, "--regressor landmarks.json", "runs/gan/tiny")


def test_what_does_not_fit_together_is_named(desk: LabelDesk) -> None:
    pictures, _ = _pictures(1, marked=0)
    with raises_mentioning(ValueError, "mark"):
        desk.fit(LabelRequest(["nose", "left eye"], pictures))
    with raises_mentioning(ValueError, "name"):
        desk.fit(LabelRequest(["nose", "nose"], pictures))
    with raises_mentioning(ValueError, 1, 2):
        desk.fit(LabelRequest(["nose"], pictures))
