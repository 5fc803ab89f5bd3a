"""`autolink_gen.detect`: files in, overlays and tables out, and a report of both."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph
from helpers.video_clips import noise_clip
from PIL import Image

import autolink_gen
from autolink_gen.checkpoints import save_model
from autolink_gen.common.progress import no_progress
from autolink_gen.inference.detect_files import DetectionReport
from autolink_gen.inference.landmark_regressor import LandmarkRegressor, graph_fingerprint
from autolink_gen.models.autolink import AutoLink


@pytest.fixture(scope="module")
def graph() -> AutoLink:
    return tiny_graph(4).eval()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two images and a text file that is called one."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(folder / name)
    (folder / "c.jpg").write_text("no image")
    return folder


def test_the_report_says_what_was_written(graph: AutoLink, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = autolink_gen.detect(graph, images, out=out, progress=no_progress)
    assert isinstance(report, DetectionReport)
    assert (report.num_records, report.num_overlays, report.num_files) == (2, 2, 3)
    assert report.tables == (out / "keypoints.csv", out / "keypoints.json")
    ((file, reason),) = report.skipped
    assert file == images / "c.jpg" and "c.jpg" in reason
    assert Image.open(out / "a.png").size >= (80, 60)
    with pytest.raises(ValueError, match=r"keypoints\.csv is there already"):
        autolink_gen.detect(graph, images, out=out, progress=no_progress)
    again = autolink_gen.detect(graph, [images / "a.png"], out=out, overlays=False, overwrite=True)
    assert (again.num_records, again.num_overlays, again.skipped) == (1, 0, ())


def test_a_run_is_taken_by_its_folder(graph: AutoLink, images: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "run" / "model.safetensors", graph)
    texts = []
    for number, model in enumerate((graph, tmp_path / "run", str(tmp_path / "run" / "model.safetensors"))):
        out = tmp_path / str(number)
        autolink_gen.detect(model, str(images / "b.jpg"), out=out, overlays=False)
        texts.append((out / "keypoints.csv").read_text())
    assert len(texts[0].splitlines()) == 2 and texts[1] == texts[2]
    x0_px = [float(text.splitlines()[1].split(",")[5]) for text in texts]
    assert x0_px[0] == pytest.approx(x0_px[1], abs=0.05)


def test_what_cannot_be_read_is_named_with_the_reasons(graph: AutoLink, tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"none of the 7 files.*nothing was written: .*0\.jpg.*4\.jpg.*and 2 more"):
        autolink_gen.detect(graph, tmp_path, out=tmp_path / "out", progress=no_progress)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("overlays", [False, True])
def test_the_beginning_of_a_cut_video_is_looked_at(
    graph: AutoLink, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, overlays: bool
) -> None:
    cut = noise_clip(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    report = autolink_gen.detect(graph, [cut], out=tmp_path / "out", overlays=overlays, progress=no_progress)
    assert not report.skipped and 10 < report.num_records < 25
    assert_line_mentions(caplog.messages, cut, "early")
    assert (tmp_path / "out" / "cut.mp4").is_file() == overlays


def test_the_package_lists_what_it_offers() -> None:
    assert {"detect", "generate", "learn_graph", "load_gan", "transfer"} <= set(autolink_gen.__all__)
    assert set(autolink_gen.__all__) <= set(dir(autolink_gen))
    assert all(callable(getattr(autolink_gen, name)) for name in autolink_gen.__all__)
    with pytest.raises(AttributeError, match="no_such_thing"):
        autolink_gen.no_such_thing  # noqa: B018


def test_a_regressor_is_taken_by_its_file(graph: AutoLink, images: Path, tmp_path: Path) -> None:
    coefficients = np.zeros((2 * 4 + 1, 1, 2))
    coefficients[-1] = 0.25  # a landmark that stays where it is
    fingerprint = graph_fingerprint(graph.edge_weights)
    LandmarkRegressor(("nose",), coefficients, fingerprint, 5).save(tmp_path / "map.json")
    out = tmp_path / "out"
    autolink_gen.detect(
        graph, images / "a.png", out=out, regressor=tmp_path / "map.json", overlays=False, progress=no_progress
    )
    (record,) = json.loads((out / "keypoints.json").read_text())["pictures"]
    assert record["landmarks_px"]["nose"] == pytest.approx([0.25 * 80, 0.25 * 60], abs=1)
