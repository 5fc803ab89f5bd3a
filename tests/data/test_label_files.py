"""Landmarks that other tools saved: each file gives the points of a table, as fractions of the images' sizes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.hidden_packages import hide
from helpers.messages import raises_mentioning
from PIL import Image

from autolink_gen.common.extras import MissingExtraError
from autolink_gen.common.files import BadFileError
from autolink_gen.data.label_files import read_landmarks

NAMES = ("beak", "tail")
SIZES = {"deep/one.png": (40, 20), "two.png": (10, 30)}
POINTS_PX = {"deep/one.png": [(3.5, 4.0), (31.0, 12.25)], "two.png": [(9.0, 0.0), None]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in SIZES.items():
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(file)
    return tmp_path / "images"


def save_dlc(file: Path, *, columns: int = 1) -> Path:
    file = file.with_suffix(".csv")
    blank = [""] * (columns - 1)
    with file.open("w", newline="") as handle:
        write = csv.writer(handle).writerow
        write(["scorer", *blank, *["me"] * 4])
        write(["bodyparts", *blank, "beak", "beak", "tail", "tail"])
        write(["coords", *blank, *["x", "y"] * 2])
        for name, points in POINTS_PX.items():
            path = f"labeled-data/film/{name}" if columns == 1 else name
            head = [path] if columns == 1 else ["labeled-data", "film", name]
            write([*head, *(value for point in points for value in (point or ("", "")))])
    return file


def save_dlc_in_three_columns(file: Path) -> Path:
    return save_dlc(file, columns=3)


def save_coco(file: Path) -> Path:
    file = file.with_suffix(".json")
    images = [
        {"id": 10 + number, "file_name": f"/elsewhere/images/{name}", "width": size[0], "height": size[1]}
        for number, (name, size) in enumerate(SIZES.items())
    ]
    annotations: list[dict[str, Any]] = [{"id": 9, "image_id": 10, "category_id": 1, "keypoints": [0] * 6}]
    for number, points in enumerate(POINTS_PX.values()):
        keypoints = [value for point in points for value in ((*point, 2) if point else (0, 0, 0))]
        annotations.append({"id": number, "image_id": 10 + number, "category_id": 1, "keypoints": keypoints})
    categories = [{"id": 1, "name": "bird", "keypoints": list(NAMES)}]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def save_label_studio(file: Path) -> Path:
    file = file.with_suffix(".json")
    tasks = []
    for name, points in POINTS_PX.items():
        width, height = SIZES[name]
        result: list[dict[str, Any]] = [{"type": "choices", "value": {"choices": ["a bird"]}}]
        for label, point in reversed(list(zip(NAMES, points, strict=True))):
            if point:
                percent = {"x": 100 * (point[0] + 0.5) / width, "y": 100 * (point[1] + 0.5) / height, "width": 0.3}
                result.append({"type": "keypointlabels", "value": {**percent, "keypointlabels": [label]}})
        address = "/data/local-files/?d=images/deep/one.png" if "one" in name else "/data/upload/3/0a1b2c3d-two.png"
        annotations = [{"was_cancelled": True, "result": []}, {"result": result}]
        tasks.append({"id": len(tasks), "data": {"image": address}, "annotations": annotations})
    file.write_text(json.dumps(tasks))
    return file


def save_slp(file: Path) -> Path:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    file = file.with_suffix(".slp")
    video = sleap_io.Video.from_filename([str(file.parent / "images" / name) for name in POINTS_PX])
    skeleton = sleap_io.Skeleton(nodes=list(NAMES), name="bird")
    frames = []
    for number, points in enumerate(POINTS_PX.values()):
        places = np.array([point or (np.nan, np.nan) for point in points])
        instance = sleap_io.Instance.from_numpy(places, skeleton)
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=number, instances=[instance]))
    sleap_io.save_slp(sleap_io.Labels(frames, videos=[video], skeletons=[skeleton]), str(file), verbose=False)
    return file


SAVERS = [save_dlc, save_dlc_in_three_columns, save_coco, save_label_studio, save_slp]


@pytest.mark.parametrize("save", SAVERS)
def test_each_kind_of_labels_gives_the_same_table(folder: Path, save: Callable[[Path], Path]) -> None:
    table = read_landmarks(save(folder.parent / "labels"), folder)
    assert (table.files, table.names) == (tuple(SIZES), NAMES)
    assert table.visible.tolist() == [[True, True], [True, False]]
    expected = [
        [(np.add(point or np.nan, 0.5) / SIZES[name]).tolist() for point in points]
        for name, points in POINTS_PX.items()
    ]
    assert table.points == pytest.approx(np.array(expected), abs=1e-5, nan_ok=True)


def test_a_table_of_ours_is_read_as_before(folder: Path) -> None:
    file = folder.parent / "landmarks.csv"
    file.write_text("file,x0,y0\ndeep/one.png,0.25,0.5\n")
    table = read_landmarks(file, folder)
    assert (table.files, table.points.tolist()) == (("deep/one.png",), [[[0.25, 0.5]]])


def test_a_hidden_point_of_coco_is_labelled_and_not_visible(folder: Path) -> None:
    file = save_coco(folder.parent / "labels")
    content = json.loads(file.read_text())
    content["annotations"][1]["keypoints"][2] = 1
    file.write_text(json.dumps(content))
    table = read_landmarks(file, folder)
    assert table.visible[0].tolist() == [False, True] and np.isfinite(table.points[0]).all()


def test_several_objects_in_an_image_are_refused(folder: Path) -> None:
    file = save_coco(folder.parent / "labels")
    content = json.loads(file.read_text())
    content["annotations"].append(content["annotations"][1])
    file.write_text(json.dumps(content))
    with raises_mentioning(BadFileError, file, "deep/one.png", "twice"):
        read_landmarks(file, folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("b.json", "7"),
        ("c.json", '{"annotations": []}'),
        ("d.json", "[]"),
        ("e.json", '[{"annotations": 3}]'),
        ("f.csv", "scorer,me,me\nbodyparts,a,a\n"),
        ("g.csv", "scorer,me,me\nbodyparts,a,a\ncoords,x,y\none.png,5,wide\n"),
    ],
)
def test_labels_that_cannot_be_read_are_named(folder: Path, name: str, text: str) -> None:
    file = folder.parent / name
    file.write_text(text)
    with raises_mentioning(BadFileError, file, ".slp"):
        read_landmarks(file, folder)


def test_labels_never_lead_out_of_the_folder(folder: Path) -> None:
    (folder.parent / "secret.png").write_bytes((folder / "two.png").read_bytes())
    file = save_coco(folder.parent / "labels")
    file.write_text(file.read_text().replace("/elsewhere/images/two.png", "../secret.png"))
    assert read_landmarks(file, folder).files == ("deep/one.png", "secret.png")


def test_slp_without_sleap_io_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "labels.slp").write_bytes(b"")
    hide(monkeypatch, "sleap_io")
    with raises_mentioning(MissingExtraError, "autolink-gen[pose]"):
        read_landmarks(folder.parent / "labels.slp", folder)


def test_labels_of_a_videos_frames_are_refused(tmp_path: Path, folder: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    video = sleap_io.Video(filename="film.mp4", open_backend=False, backend_metadata={"shape": (5, 8, 8, 3)})
    skeleton = sleap_io.Skeleton(nodes=["beak"], name="bird")
    frame = sleap_io.LabeledFrame(video, 3, [sleap_io.Instance.from_numpy(np.ones((1, 2)), skeleton)])
    sleap_io.save_slp(sleap_io.Labels([frame]), str(tmp_path / "labels.slp"), verbose=False)
    with raises_mentioning(BadFileError, "film.mp4", "images"):
        read_landmarks(tmp_path / "labels.slp", folder)
