"""The tools that people have open our pose files, and find the numbers that we have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.pose_run import NUM_FRAMES, NUM_KEYPOINTS, detect, save_films, save_pictures


def _films_points(out: Path) -> np.ndarray:
    """(N, K, 3): x, y and likelihood of what `detect` says of the first film."""
    pictures = json.loads((out / "film00.json").read_text())["pictures"]
    points = np.array([picture["keypoints_px"] for picture in pictures])
    return np.concatenate([points, np.array([picture["likelihoods"] for picture in pictures])[..., None]], axis=-1)


def _pose_set(out: Path, *formats: str) -> np.ndarray:
    save_films(out.parent / "in", 1)
    detect(out.parent / "in", out, "json", *formats)
    return _films_points(out)


def _movement_points(poses: Any) -> np.ndarray:
    position = poses.position.transpose("time", "keypoints", "space", "individuals").values[..., 0]
    confidence = poses.confidence.transpose("time", "keypoints", "individuals").values
    return np.concatenate([position, confidence], axis=-1)


@pytest.mark.parametrize(("form", "ending"), [("dlc", ".dlc.csv"), ("sleap", ".slp")])
def test_movement_loads_our_tracks(tmp_path: Path, form: str, ending: str) -> None:
    load_poses = pytest.importorskip("movement.io.load_poses", reason="movement is not installed")
    if form == "sleap":
        pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    expected = _pose_set(tmp_path / "out", form)
    load = load_poses.from_dlc_file if form == "dlc" else load_poses.from_sleap_file
    poses = load(tmp_path / "out" / f"film00{ending}", fps=10)
    assert list(poses.keypoints.values) == [f"keypoint_{k}" for k in range(NUM_KEYPOINTS)]
    assert _movement_points(poses) == pytest.approx(expected, abs=1e-3)
    assert poses.time.values == pytest.approx(np.arange(NUM_FRAMES) / 10)


def test_pandas_reads_our_dlc_table_as_deeplabcut_does(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    expected = _pose_set(tmp_path / "out", "dlc")
    table = pandas.read_csv(tmp_path / "out" / "film00.dlc.csv", header=[0, 1, 2], index_col=0)
    assert table.columns.names == ["scorer", "bodyparts", "coords"]
    assert table.to_numpy().reshape(expected.shape) == pytest.approx(expected)
    assert list(table.index) == list(range(NUM_FRAMES))


@pytest.mark.parametrize("ending", [".slp", ".nwb"])
def test_sleap_io_reads_what_it_wrote(tmp_path: Path, ending: str) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    expected = _pose_set(tmp_path / "out", "sleap", "nwb")
    labels = sleap_io.load_file(str(tmp_path / "out" / f"film00{ending}"))
    assert labels.numpy(return_confidence=True)[:, 0] == pytest.approx(expected, abs=1e-3)
    assert [node.name for node in labels.skeleton.nodes] == [f"keypoint_{k}" for k in range(NUM_KEYPOINTS)]
    assert labels.skeleton.edges and Path(labels.video.filename).name == "film00.mp4"


def test_images_become_one_slp_and_no_nwb(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    save_pictures(tmp_path / "in")
    detect(tmp_path / "in", tmp_path / "out", "sleap", "nwb")
    labels = sleap_io.load_file(str(tmp_path / "out" / "keypoints.slp"))
    assert len(labels) == 2 and [Path(name).name for name in labels.video.filename] == ["another.png", "one.png"]
    assert not (tmp_path / "out" / "keypoints.nwb").exists()
    with raises_mentioning(ValueError, "nwb", "another.png"):
        detect(tmp_path / "in", tmp_path / "out", "nwb")


def test_nwb_has_the_times_of_the_frames(tmp_path: Path) -> None:
    pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
    save_films(tmp_path / "in", 1)
    detect(tmp_path / "in", tmp_path / "out", "nwb", fps=5)
    with pynwb.NWBHDF5IO(str(tmp_path / "out" / "film00.nwb"), "r") as file:
        content = file.read()
        (module,) = [module for name, module in content.processing.items() if name != "behavior"]
        (poses,) = [item for name, item in module.data_interfaces.items() if "track" in name]
        series = poses.pose_estimation_series["keypoint_0"]
        rate = series.rate if series.rate else 1 / np.diff(series.timestamps[:]).mean()
        assert (len(series.data), rate) == (2, pytest.approx(5))
        assert poses.scorer == "autolink-gen"


def test_pycocotools_scores_our_coco_files(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    _pose_set(tmp_path / "out", "coco")
    file = tmp_path / "out" / "film00.coco.json"
    true = COCO(str(file))
    scores = []
    for shift_px in (0.0, 500.0):
        found = json.loads(file.read_text())["annotations"]
        for annotation in found:
            annotation["keypoints"][::3] = [x + shift_px for x in annotation["keypoints"][::3]]
        evaluation = COCOeval(true, true.loadRes(found), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.full(NUM_KEYPOINTS, 0.05)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        scores.append(evaluation.stats[0])
    assert scores == pytest.approx([1.0, 0.0])
