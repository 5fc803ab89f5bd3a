import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions, raises_mentioning
from PIL import Image

from autolink_gen import detect
from autolink_gen.config import build
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.labelling import LabelDesk, LabelledPicture, LabelRequest

SURE = [0.1] * 5  # widths of heatmaps


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
        LabelledPicture(_tuples(points), SURE, _tuples(marks) if row < marked else [None, None])
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
    noisy = [LabelledPicture(picture.keypoints, SURE, _tuples(draw.uniform(0.3, 0.7, (2, 2)))) for picture in pictures]
    at_random = desk.fit(LabelRequest(["nose", "left eye"], noisy)).error_percent
    assert exact is not None and at_random is not None
    assert exact < 2
    assert at_random > 10


def test_the_error_counts_heights_in_widths(desk: LabelDesk) -> None:
    points = [[(0.0, 0.0)] * 5, [(0.0, 0.0)] * 5]
    flat = [LabelledPicture(points[row], SURE, [(0.5, y)], aspect=0.5) for row, y in enumerate((0.4, 0.6))]
    assert desk.fit(LabelRequest(["nose"], flat)).error_percent == pytest.approx(10.0)


def test_one_picture_gives_landmarks_but_no_estimate(desk: LabelDesk) -> None:
    pictures, true = _pictures(2, marked=1)
    fit = desk.fit(LabelRequest(["nose", "left eye"], pictures))
    assert fit.error_percent is None
    assert np.array(fit.landmarks[0]) == pytest.approx(true[0])


def test_landmarks_follow_keypoints_with_narrow_heatmaps(desk: LabelDesk) -> None:
    places = [[(0.0, 0.0), (0.02, 0.0), *[(0.9, 0.9)] * 3], [(0.0, 0.0), (0.4, 0.0), *[(0.9, 0.9)] * 3]]
    widths = [0.1, 0.6, 0.1, 0.1, 0.1]
    pictures = [
        LabelledPicture(_tuples(np.array(places[row])), widths, [mark]) for row, mark in enumerate(((0.505, 0.5), None))
    ]
    found = np.array(desk.fit(LabelRequest(["nose"], pictures)).landmarks)
    assert np.abs(found[1, 0] - found[0, 0]).max() < 0.01  # the second keypoint has moved by a fifth of the width


def test_of_many_pictures_twenty_are_left_out(desk: LabelDesk) -> None:
    pictures, _ = _pictures(30, marked=30)
    fit = desk.fit(LabelRequest(["nose", "left eye"], pictures))
    assert (fit.num_pictures, fit.num_left_out) == (30, 20)
    assert fit.error_percent is not None and fit.error_percent < 1


def test_a_landmark_without_a_mark_is_nowhere(desk: LabelDesk) -> None:
    picture = LabelledPicture([(0.0, 0.0)] * 5, SURE, [(0.5, 0.5), None])
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


def test_detect_reads_the_file_with_its_command(desk: LabelDesk, gan: Gan, tmp_path: Path, picture: np.ndarray) -> None:
    pictures, _ = _pictures(4, marked=3)
    (tmp_path / "landmarks.json").write_text(desk.fit(LabelRequest(["nose", "left-eye"], pictures)).file)
    Image.fromarray(picture).save(tmp_path / "a.png")
    out = tmp_path / "out"
    detect(gan.graph, tmp_path / "a.png", regressor=tmp_path / "landmarks.json", out=out, overlays=False)
    with (out / "keypoints.csv").open() as file:
        (row,) = csv.DictReader(file)
    shown = GraphDesk(gan.graph, name="tiny").find(picture)
    asked = LabelledPicture(shown.keypoints, shown.widths, [None, None], aspect=48 / 64)
    (*_, found) = desk.fit(LabelRequest(["nose", "left eye"], [*pictures, asked])).landmarks
    assert found[0] is not None
    size = np.array([64, 48])
    assert [float(row["nose_x_px"]), float(row["nose_y_px"])] == pytest.approx(found[0] * size - 0.5, abs=0.05)


@pytest.mark.parametrize(
    ("name", "is_taken"), [("nez é_1", True), ("left-eye", True), ("=nose", False), (" nose", False), ("a  b", False)]
)
def test_names_are_words(name: str, is_taken: bool) -> None:
    data = {"names": [name], "pictures": [{"keypoints": [], "widths": [], "marks": [None]}]}
    if is_taken:
        assert build(LabelRequest, data).names == [name]
    else:
        with raises_mentioning(ValueError, "names.0"):
            build(LabelRequest, data)


def test_what_does_not_fit_together_is_named(desk: LabelDesk) -> None:
    pictures, _ = _pictures(1, marked=0)
    with raises_mentioning(ValueError, "mark"):
        desk.fit(LabelRequest(["nose", "left eye"], pictures))
    with raises_mentioning(ValueError, "name"):
        desk.fit(LabelRequest(["nose", "nose"], pictures))
    with raises_mentioning(ValueError, 1, 2):
        desk.fit(LabelRequest(["nose"], pictures))
