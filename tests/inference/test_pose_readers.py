"""The tools that people have open our pose files, and find the numbers that we have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.pose_run import LEAST, NUM_FRAMES, NUM_KEYPOINTS, detect, save_films, save_pictures

NAMES = [f"keypoint_{k}" for k in range(NUM_KEYPOINTS)]


def _films_points(out: Path) -> np.ndarray:
    """(N, K, 3): x, y and likelihood of what `detect` says of the first film; unlikely points are NaN."""
    pictures = json.loads((out / "film00.json").read_text())["pictures"]
    points = np.array([[point or (np.nan, np.nan) for point in picture["keypoints_px"]] for picture in pictures])
    assert 0 < np.isnan(points).sum() < points.size
    return np.concatenate([points, np.array([picture["likelihoods"] for picture in pictures])[..., None]], axis=-1)


def _pose_set(out: Path, *formats: str) -> np.ndarray:
    save_films(out.parent / "in", 1)
    detect(out.parent / "in", out, "json", *formats, min_likelihood=LEAST)
    return _films_points(out)


def _movement_points(poses: Any) -> np.ndarray:
    poses = poses.sel(keypoints=NAMES)
    position = poses.position.transpose("time", "keypoints", "space", "individuals").values[..., 0]
    confidence = poses.confidence.transpose("time", "keypoints", "individuals").values
    return np.concatenate([position, confidence], axis=-1)


@pytest.mark.parametrize(("form", "ending"), [("dlc", ".dlc.csv"), ("sleap", ".slp"), ("nwb", ".nwb")])
def test_movement_loads_our_tracks(tmp_path: Path, form: str, ending: str) -> None:
    load_poses = pytest.importorskip("movement.io.load_poses", reason="movement is not installed")
    if form != "dlc":
        pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    expected = _pose_set(tmp_path / "out", form)
    load = getattr(load_poses, f"from_{form}_file")
    poses = load(tmp_path / "out" / f"film00{ending}", **({} if form == "nwb" else {"fps": 10}))
    assert list(poses.keypoints.values) == NAMES
    assert _movement_points(poses) == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert poses.time.values == pytest.approx(np.arange(NUM_FRAMES) / 10)


def test_pandas_reads_our_dlc_table_as_deeplabcut_does(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    expected = _pose_set(tmp_path / "out", "dlc")
    table = pandas.read_csv(tmp_path / "out" / "film00.dlc.csv", header=[0, 1, 2], index_col=0)
    assert table.columns.names == ["scorer", "bodyparts", "coords"]
    assert table.to_numpy().reshape(expected.shape) == pytest.approx(expected, nan_ok=True)
    assert list(table.index) == list(range(NUM_FRAMES))


@pytest.mark.parametrize("ending", [".slp", ".nwb"])
def test_sleap_io_reads_what_it_wrote(tmp_path: Path, ending: str) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    expected = _pose_set(tmp_path / "out", "sleap", "nwb")
    labels = sleap_io.load_file(str(tmp_path / "out" / f"film00{ending}"))
    if ending == ".slp":  # its reader of NWB begins with a time of memory not set, which may be a frame more
        assert labels.numpy(return_confidence=True)[:, 0] == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert [node.name for node in labels.skeleton.nodes] == NAMES
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


@pytest.mark.parametrize(("fps", "times_s"), [(None, [0.0, 0.1, 0.2, 0.3]), (5, [0.0, 0.2])])
def test_nwb_has_every_frame_with_its_time(tmp_path: Path, fps: float | None, times_s: list[float]) -> None:
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed")
    save_films(tmp_path / "in", 1)
    detect(tmp_path / "in", tmp_path / "out", "json", "nwb", fps=fps, min_likelihood=LEAST)
    expected = _films_points(tmp_path / "out")
    with pynwb.NWBHDF5IO(str(tmp_path / "out" / "film00.nwb"), "r") as file:
        poses = file.read().processing["behavior"]["PoseEstimation"]
        series = [poses.pose_estimation_series[name] for name in NAMES]
        for k, one in enumerate(series):
            assert one.timestamps[:] == pytest.approx(times_s)
            assert one.data[:] == pytest.approx(expected[:, k, :2], abs=1e-3, nan_ok=True)
            assert one.confidence[:] == pytest.approx(expected[:, k, 2], abs=1e-3)
        assert poses.scorer == "autolink-gen" and len(poses.skeleton.edges)


def test_pycocotools_scores_our_coco_files(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    expected = _pose_set(tmp_path / "out", "coco")
    file = tmp_path / "out" / "film00.coco.json"
    true = COCO(str(file))
    places = np.array([one["keypoints"] for one in true.loadAnns(true.getAnnIds())]).reshape(NUM_FRAMES, -1, 3)
    assert np.where(places[..., 2:] > 0, places[..., :2], np.nan) == pytest.approx(expected[..., :2], nan_ok=True)
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
