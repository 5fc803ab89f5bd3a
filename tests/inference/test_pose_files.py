"""`detect` with formats: a file a video, each written when that video is done, and what the files hold."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.detecting import names_in, save_film, save_picture
from helpers.hidden_packages import hide
from helpers.messages import raises_mentioning
from helpers.pose_run import NUM_FRAMES, NUM_KEYPOINTS, StopAfter, detect, save_films, save_pictures
from helpers.tiny_models import tiny_graph

import autolink_gen
from autolink_gen.common.extras import MissingExtraError
from autolink_gen.common.progress import no_progress
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.ops.likelihood import LikelihoodMap


def test_each_video_has_its_file_and_all_images_one(tmp_path: Path) -> None:
    save_films(tmp_path / "in" / "deep", 2)
    save_pictures(tmp_path / "in")
    report = detect(tmp_path / "in", tmp_path / "out", "csv", "json", "coco", "dlc")
    stems, endings = ("deep/film00", "deep/film01", "keypoints"), (".csv", ".json", ".coco.json", ".dlc.csv")
    expected = {stem + ending for stem in stems for ending in endings}
    assert names_in(tmp_path / "out") == expected
    assert {path.relative_to(tmp_path / "out").as_posix() for path in report.tables} == expected
    assert report.num_records == 2 * NUM_FRAMES + 2 and not report.finished


def test_a_stop_loses_no_finished_video_and_the_rest_is_done_once(tmp_path: Path) -> None:
    count, whole = 5, 2
    films, out = save_films(tmp_path / "in", count), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        detect(tmp_path / "in", out, "csv", "dlc", overlays=True, progress=StopAfter(whole * NUM_FRAMES + 3))
    expected = {f"film{n:02d}{ending}" for n in range(whole) for ending in (".csv", ".dlc.csv", ".mp4")}
    assert names_in(out) == expected
    before = {name: ((out / name).read_bytes(), (out / name).stat().st_mtime_ns) for name in expected}
    report = detect(tmp_path / "in", out, "csv", "dlc", overlays=True)
    assert report.finished == tuple(films[:whole])
    assert report.num_records == (count - whole) * NUM_FRAMES and report.num_overlays == count - whole
    assert len(names_in(out)) == 3 * count
    assert all(((out / name).read_bytes(), (out / name).stat().st_mtime_ns) == before[name] for name in expected)
    assert detect(tmp_path / "in", out, "csv", "dlc", overlays=True).num_records == 0


def test_what_is_there_stays_until_overwrite(tmp_path: Path) -> None:
    (film,) = save_films(tmp_path / "in", 1)
    out = tmp_path / "out"
    out.mkdir()
    (out / "film00.csv").write_text("a stranger's")
    report = detect(film, out, "csv", "dlc")
    assert report.tables == (out / "film00.dlc.csv",)
    assert (out / "film00.csv").read_text() == "a stranger's"
    assert detect(film, out, "csv", overwrite=True).tables == (out / "film00.csv",)
    assert len((out / "film00.csv").read_text().splitlines()) == 1 + NUM_FRAMES


def test_a_broken_video_is_skipped_and_the_others_are_written(tmp_path: Path) -> None:
    films = save_films(tmp_path / "in", 3)
    films[1].write_bytes(b"no film")
    report = detect(tmp_path / "in", tmp_path / "out", "dlc")
    assert [path for path, _ in report.skipped] == [films[1]]
    assert names_in(tmp_path / "out") == {"film00.dlc.csv", "film02.dlc.csv"}


def test_a_video_called_as_the_images_files_are_has_another_name(tmp_path: Path) -> None:
    save_film(tmp_path / "in" / "keypoints.mp4", num_frames=2)
    save_picture(tmp_path / "in" / "one.png")
    detect(tmp_path / "in", tmp_path / "out", "csv")
    assert names_in(tmp_path / "out") == {"keypoints-video.csv", "keypoints.csv"}


def test_all_formats_hold_the_same_numbers(tmp_path: Path) -> None:
    (film,) = save_films(tmp_path / "in", 1)
    out = tmp_path / "out"
    detect(film, out, "csv", "json", "coco", "dlc")
    detect(film, tmp_path / "usual")
    pictures = json.loads((out / "film00.json").read_text())["pictures"]
    usual = json.loads((tmp_path / "usual" / "keypoints.json").read_text())["pictures"]
    points = np.array([picture["keypoints_px"] for picture in pictures])
    likelihoods = np.array([picture["likelihoods"] for picture in pictures])
    assert points == pytest.approx(np.array([picture["keypoints_px"] for picture in usual]), abs=2e-3)
    triples = np.concatenate([points, likelihoods[..., None]], axis=-1).reshape(NUM_FRAMES, -1)
    with (out / "film00.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [f"{name}" for k in range(NUM_KEYPOINTS) for name in (f"x{k}_px", f"y{k}_px", f"likelihood{k}")]
    assert [[float(row[name]) for name in names] for row in rows] == triples.tolist()
    dlc = list(csv.reader((out / "film00.dlc.csv").open(newline="")))
    assert [row[:4] for row in dlc[:3]] == [
        ["scorer", "autolink-gen", "autolink-gen", "autolink-gen"],
        ["bodyparts", "keypoint_0", "keypoint_0", "keypoint_0"],
        ["coords", "x", "y", "likelihood"],
    ]
    assert [row[0] for row in dlc[3:]] == ["0", "1", "2", "3"]
    assert [[float(cell) for cell in row[1:]] for row in dlc[3:]] == triples.tolist()
    coco = json.loads((out / "film00.coco.json").read_text())
    places = np.array([annotation["keypoints"] for annotation in coco["annotations"]]).reshape(NUM_FRAMES, -1, 3)
    assert places[..., :2].tolist() == points.tolist() and (places[..., 2] == 2).all()
    assert [image["frame"] for image in coco["images"]] == [0, 1, 2, 3]


def test_unlikely_points_are_empty_in_every_format(tmp_path: Path) -> None:
    (film,) = save_films(tmp_path / "in", 1)
    out = tmp_path / "out"
    detect(film, out, "csv", "json", "coco", "dlc", min_likelihood=1.0)
    picture = json.loads((out / "film00.json").read_text())["pictures"][0]
    assert picture["keypoints_px"] == [None] * NUM_KEYPOINTS
    assert all(0 <= likelihood < 1 for likelihood in picture["likelihoods"])
    row = list(csv.reader((out / "film00.dlc.csv").open(newline="")))[3]
    assert row[1:3] == ["", ""] and float(row[3]) == picture["likelihoods"][0]
    annotation = json.loads((out / "film00.coco.json").read_text())["annotations"][0]
    assert annotation["keypoints"] == [0] * (3 * NUM_KEYPOINTS) and annotation["num_keypoints"] == 0


def test_smoothed_keypoints_move_less(tmp_path: Path) -> None:
    film = save_film(tmp_path / "film.mp4", num_frames=12)
    points = {}
    for smooth in (False, True, "median:3"):
        detect(film, tmp_path / str(smooth), "json", smooth=smooth)
        pictures = json.loads((tmp_path / str(smooth) / "film.json").read_text())["pictures"]
        assert [picture["frame"] for picture in pictures] == list(range(12))
        points[smooth] = np.array([picture["keypoints_px"] for picture in pictures])
    moved = {smooth: np.abs(np.diff(places, axis=0)).sum() for smooth, places in points.items()}
    assert 0 < moved[True] < 0.9 * moved[False]
    around = np.stack([points[False][:-2], points[False][1:-1], points[False][2:]])
    assert points["median:3"][1:-1] == pytest.approx(np.median(around, axis=0), abs=2e-3)
    assert points["median:3"][[0, -1]] == pytest.approx(points[False][[0, -1]], abs=2e-3)


def test_landmarks_are_points_like_the_keypoints(tmp_path: Path) -> None:
    picture = save_picture(tmp_path / "in" / "one.png")
    coefficients = np.zeros((2 * NUM_KEYPOINTS + 1, 1, 2))
    coefficients[2, 0, 0] = coefficients[3, 0, 1] = 1.0  # where keypoint 1 is
    regressor = LandmarkRegressor(("nose",), coefficients, "graph", 5)
    assert regressor.parts().tolist() == [[0, 1, 0, 0]]
    detect(picture, tmp_path / "out", "json", "dlc", regressor=regressor)
    record = json.loads((tmp_path / "out" / "keypoints.json").read_text())["pictures"][0]
    assert record["landmark_likelihoods"]["nose"] == pytest.approx(record["likelihoods"][1], abs=1e-3)
    dlc = list(csv.reader((tmp_path / "out" / "keypoints.dlc.csv").open(newline="")))
    assert dlc[1][-1] == "nose" and [float(cell) for cell in dlc[3][-3:-1]] == record["landmarks_px"]["nose"]


def test_a_format_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = save_picture(tmp_path / "one.png")
    with raises_mentioning(ValueError, "'xml'", "dlc"):
        detect(picture, tmp_path / "out", "xml")
    hide(monkeypatch, "sleap_io")
    with raises_mentioning(MissingExtraError, "pip install", "autolink-gen[pose]"):
        detect(picture, tmp_path / "out", "sleap")
    assert not (tmp_path / "out").exists()


def test_a_likelihood_to_leave_out_lies_from_0_to_1(tmp_path: Path) -> None:
    with raises_mentioning(ValueError, "min_likelihood", 2):
        detect(save_picture(tmp_path / "one.png"), tmp_path / "out", min_likelihood=2)


@pytest.mark.parametrize("calibrated", [False, True])
def test_likelihoods_are_the_models_own_or_are_said_to_be_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, calibrated: bool
) -> None:
    picture, graph = save_picture(tmp_path / "one.png"), tiny_graph(NUM_KEYPOINTS).eval()
    graph.likelihood = LikelihoodMap((0.0, 2.0), (0.75, 0.75)) if calibrated else None
    autolink_gen.detect(graph, picture, out=tmp_path / "out", formats=["json"], overlays=False, progress=no_progress)
    content = json.loads((tmp_path / "out" / "keypoints.json").read_text())
    assert content["calibrated"] == calibrated
    assert (content["pictures"][0]["likelihoods"] == [0.75] * NUM_KEYPOINTS) == calibrated
    assert any("learn-graph" in message for message in caplog.messages) == (not calibrated)
