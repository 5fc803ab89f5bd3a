"""What surrounds the protocols: detection in batches, the parts of a data set, reports, the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from numpy import ndarray
from PIL import Image
from torch import Tensor

from autolink_gen.evaluation.landmarks import Annotations, nme
from autolink_gen.evaluation.report import check_protocol, default_protocol, image_errors, report_landmarks
from autolink_gen.evaluation.showcase import (
    Predictions,
    best_and_worst,
    draw_landmarks,
    from_normalised,
    spread_graphs,
)
from autolink_gen.evaluation.splits import AnnotatedSplit, check_alike, overlap, read_split
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.inference.landmark_regressor import FACE_NAMES
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.ranges import unit_images


class Corner(AutoLink):
    """A detector of one keypoint: the mean grey as x, the width in pixels as y. Notes the batches."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.batches: list[tuple[int, ...]] = []

    @property
    def edge_weights(self) -> Tensor:
        return torch.zeros(1, 1)

    def detect_with_widths(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(tuple(images.shape))
        widths = torch.full((len(images),), float(images.shape[-1]))
        keypoints = torch.stack([unit_images(images).mean(dim=(1, 2, 3)), widths], dim=-1)[:, None]
        return keypoints, torch.ones(len(images), 1)


def grey(value: int, *, width: int = 4) -> ndarray:
    return np.full((4, width, 3), value, np.uint8)


def faces(seed: int, count: int, *, visible: ndarray | None = None) -> Annotations:
    rng = np.random.default_rng(seed)
    detected = rng.uniform(-1, 1, (count, 3, 2))
    weights = np.random.default_rng(9).uniform(size=(6, 68, 2))
    true = np.tensordot((detected.reshape(count, -1) + 1) / 2, weights, axes=1) / 3
    return Annotations(detected, true + rng.normal(size=true.shape) * 0.01, visible)


def test_detection_batches_neighbours_of_one_size_and_keeps_the_order() -> None:
    graph = Corner()
    pictures = [grey(v, width=w) for v, w in ((0, 4), (51, 4), (102, 4), (153, 6), (204, 4))]
    found = detect_with_colours(graph, iter(pictures), batch_size=2).keypoints
    assert graph.batches == [(2, 3, 4, 4), (1, 3, 4, 4), (1, 3, 4, 6), (1, 3, 4, 4)]
    np.testing.assert_allclose(found[:, 0], [[0, 4], [0.2, 4], [0.4, 4], [0.6, 6], [0.8, 4]], atol=1e-6)
    assert found.dtype == np.float64


def test_what_is_found_comes_with_its_widths_and_colours() -> None:
    graph = tiny_graph().eval()
    pictures = np.random.default_rng(0).integers(0, 255, (5, 48, 48, 3), dtype=np.uint8)
    found = detect_with_colours(graph, iter(pictures), batch_size=2)
    keypoints, widths = graph.detect_with_widths(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    assert np.allclose(found.keypoints, keypoints, atol=1e-5) and np.allclose(found.widths, widths, atol=1e-5)
    assert np.allclose(found.colours, pictures.mean(axis=(1, 2)) / 255)
    assert found.widths.shape == (5, 3) and found.widths.min() > 0


def test_detection_without_pictures_is_an_error() -> None:
    with raises_mentioning(ValueError, ("no pictures", "no images"), "keypoints"):
        detect_with_colours(Corner(), [])
    with pytest.raises(ValueError, match="batch_size=0"):
        detect_with_colours(Corner(), [grey(0)], batch_size=0)


def test_detection_takes_bytes_alone() -> None:
    with pytest.raises(ValueError, match=r"must be uint8 arrays \(H, W, 3\), got float32"):
        detect_with_colours(Corner(), [grey(200).astype(np.float32) / 255])


def test_limited_part_is_spread_over_the_table(tmp_path: Path) -> None:
    rows = ["file,x0,y0"]
    for index in range(9):
        Image.fromarray(grey(index)).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,0.{index},0.5")
    (tmp_path / "landmarks.csv").write_text("\n".join(rows))
    part = read_split(tmp_path, limit=3)
    assert part.table.files == ("0.png", "4.png", "8.png")
    assert part.table.points[:, 0, 0].tolist() == [0.0, 0.4, 0.8]
    assert [int(part.image(index)[0, 0, 0]) for index in range(len(part))] == [0, 4, 8]
    with pytest.raises(ValueError, match="limited to 0"):
        read_split(tmp_path, limit=0)


def test_report_agrees_with_the_protocol_and_is_json() -> None:
    fit, test = faces(0, 60), faces(1, 20)
    report = report_landmarks(fit, test, protocol="faces68")
    assert report.score == nme(fit, test)
    assert report.error_percent == pytest.approx(100 * report.score)
    assert report.error_mean_pose_percent == pytest.approx(100 * report.score_mean_pose)
    assert report.error_percent < report.error_mean_pose_percent
    values = json.loads(json.dumps(report.to_dict()))
    assert values["nme_percent"] == report.error_percent
    expected = np.mean(report.per_landmark_percent[27:36])
    assert values["parts_percent"]["nose"] == pytest.approx(expected)


def test_report_of_pixel_protocols_scales_the_landmarks() -> None:
    fit, test = faces(0, 60), faces(1, 20)
    report = report_landmarks(fit, test, protocol="deepfashion")
    predicted_within = report_landmarks(fit, test, protocol="cub")
    assert -1 <= report.score < -0.3
    assert report.error_percent == predicted_within.error_percent
    assert predicted_within.score == pytest.approx(predicted_within.error_percent / 100)
    assert "mean_distance_percent" in report.to_dict()


def test_landmark_that_is_never_visible_is_null_in_json() -> None:
    visible = np.ones((20, 68), bool)
    visible[:, 3] = False
    report = report_landmarks(faces(0, 60), faces(1, 20, visible=visible), protocol="faces68")
    values = report.to_dict()
    assert values["per_landmark_percent"][3] is None
    assert values["per_landmark_percent"][4] > 0
    assert values["parts_percent"]["jaw"] > 0


def test_report_refuses_an_unknown_protocol() -> None:
    with raises_mentioning(ValueError, "protocol", "wflw", "celeba_wild"):
        report_landmarks(faces(0, 9), faces(1, 9), protocol="wflw")


@pytest.mark.parametrize(
    ("protocol", "number", "message"),
    [
        ("faces68", 3, r"needs 68 landmarks \(the eyes are 36-41 and 42-47\), or 5 \(.* 0 and 1\).* has 3; choose cub"),
        ("celeba_wild", 19, "needs 68 landmarks .* the table has 19"),
        ("h36m", 17, "needs Human3.6M's 32 landmarks, 0-31, .* the table has 17"),
    ],
)
def test_a_protocol_names_the_landmarks_that_it_needs(protocol: str, number: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_protocol(protocol, number)
    check_protocol("cub", number)


def test_eyes_are_where_the_protocol_looks_for_them() -> None:
    names = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    check_protocol("celeba_wild", 5, names=names)
    check_protocol("celeba_wild", 5, names=("a", "b", "c", "d", "e"))
    with raises_mentioning(ValueError, "eyes", "0, 1", 5, "0 is nose", "columns"):
        check_protocol("celeba_wild", 5, names=(names[2], *names[:2], *names[3:]))
    check_protocol("faces68", 68, names=FACE_NAMES[68])


def write_table(folder: Path, header: str, *, grey_from: int, count: int = 3) -> AnnotatedSplit:
    """Flat pictures, each brighter than the one before, and a table of zeros for them."""
    folder.mkdir()
    columns = header.count(",")
    rows = "".join(f"{row}.png{',0.5' * columns}\n" for row in range(count))
    (folder / "landmarks.csv").write_text(f"{header}\n{rows}")
    for row in range(count):
        Image.fromarray(grey(grey_from + row)).save(folder / f"{row}.png")
    return read_split(folder)


def test_parts_must_have_the_same_landmarks_in_the_same_order(tmp_path: Path) -> None:
    one = write_table(tmp_path / "one", "file,a_x,a_y,b_x,b_y", grey_from=0)
    check_alike(one, write_table(tmp_path / "same", "file,a_x,a_y,b_x,b_y", grey_from=0))
    check_alike(one, write_table(tmp_path / "numbered", "file,x0,y0,x1,y1", grey_from=0))
    with pytest.raises(
        ValueError, match=r"landmark 0 is a in .*one/landmarks.csv and b in .*turned/landmarks.csv; put"
    ):
        check_alike(one, write_table(tmp_path / "turned", "file,b_x,b_y,a_x,a_y", grey_from=0))
    with raises_mentioning(ValueError, "2 landmarks", 1, "same"):
        check_alike(one, write_table(tmp_path / "fewer", "file,a_x,a_y", grey_from=0))


def test_pictures_of_both_parts_are_counted_by_file_and_by_content(tmp_path: Path) -> None:
    fit = write_table(tmp_path / "fit", "file,x0,y0", grey_from=0)
    assert overlap(fit, fit) == 3
    assert overlap(fit, write_table(tmp_path / "copies", "file,x0,y0", grey_from=1)) == 2
    assert overlap(fit, write_table(tmp_path / "others", "file,x0,y0", grey_from=100)) == 0


def test_default_protocol_goes_by_the_number_of_landmarks() -> None:
    assert [default_protocol("pictures", number) for number in (5, 68, 15)] == ["celeba_wild", "faces68", "cub"]


def test_picture_errors_pass_over_what_is_not_visible() -> None:
    errors = image_errors(np.array([[1.0, np.nan], [2.0, 4.0], [np.nan, np.nan]]))
    np.testing.assert_array_equal(errors, [1.0, 3.0, np.nan])


def test_points_become_fractions_of_the_sides() -> None:
    points = np.array([[[-1.0, 1.0], [0.0, 0.0]]])
    np.testing.assert_allclose(from_normalised(points, size=4), [[[0.125, 0.875], [0.5, 0.5]]])


def test_drawn_landmarks_lie_where_they_should() -> None:
    picture = np.zeros((56, 112, 3), np.uint8)
    points = np.array([[0.25, 0.5], [0.9, 0.1]])
    drawn = draw_landmarks(picture, points + np.array([0.5, 0]), points, np.array([True, False]))
    assert drawn.shape == (112, 224, 3)
    for colour, (x, y) in (((60, 230, 90), (55.5, 55.5)), ((255, 60, 60), (167.5, 55.5))):
        places = np.argwhere((drawn == colour).all(axis=-1))
        np.testing.assert_allclose(places.mean(axis=0), [y, x], atol=1)


def shaded_predictions(asked: list[int], errors_percent: list[float]) -> Predictions:
    """Predictions on pictures whose grey is their index; `asked` notes the ones that are drawn."""

    def picture(index: int) -> ndarray:
        asked.append(index)
        return np.full((32, 32, 3), index, np.uint8)

    count = len(errors_percent)
    points = np.full((count, 2, 2), 0.5)
    return Predictions(
        read_image=picture,
        keypoints=np.zeros((count, 2, 2)),
        predicted=points,
        true=points,
        visible=np.ones((count, 2), bool),
        errors_percent=np.array(errors_percent),
    )


def test_best_and_worst_are_ranked_and_pictures_without_labels_left_out() -> None:
    asked: list[int] = []
    predictions = shaded_predictions(asked, [3.0, np.nan, 1.0, 2.0])
    grid = best_and_worst(predictions, torch.zeros(2, 2), count=2)
    assert asked == [2, 3, 2, 3, 0, 3, 0, 3]
    assert grid.dtype == np.uint8
    assert grid.ndim == 3


@pytest.mark.parametrize(("count", "drawn"), [(3, [0, 3, 6]), (40, list(range(10)))])
def test_graphs_are_drawn_on_an_even_choice_whatever_the_errors(count: int, drawn: list[int]) -> None:
    asked: list[int] = []
    grid = spread_graphs(shaded_predictions(asked, [float(i) for i in range(10)]), torch.zeros(2, 2), count=count)
    assert asked == drawn
    assert grid.shape[1] > min(count, 8) * 200
