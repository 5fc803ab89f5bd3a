"""`autolink-gen detect` where a file fails, the disk is full or a signal comes: what was finished is kept."""

import errno
import json
import os
import pkgutil
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers.detecting import names_in, rows_of, run_detect, save_picture
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.common.files import UnfinishedFile
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.models.autolink import AutoLink

NUM_KEYPOINTS = 4


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a tiny model that has learned nothing."""
    model = tiny_graph(NUM_KEYPOINTS)
    folder = tmp_path_factory.mktemp("work") / "runs" / "graph" / "tiny"
    save_model(folder / "model.safetensors", model)
    return folder


@pytest.fixture
def one_odd(tmp_path: Path) -> Path:
    """A folder of three pictures and a short film."""
    for name in ("a.jpg", "odd.jpg", "z.jpg"):
        save_picture(tmp_path / "in" / name)
    with VideoWriter(tmp_path / "in" / "film.mp4", fps=10) as writer:
        for value in range(4):
            writer.write(np.full((64, 64, 3), 60 * value, np.uint8))
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("autolink_gen.inference.detect.read_image", "odd.jpg"),
        ("autolink_gen.inference.file_detector.draw_graph", "odd.jpg"),
        ("autolink_gen.inference.file_detector.write_image", "odd.jpg"),
        ("autolink_gen.inference.file_detector.VideoReader", "film.mp4"),
        ("autolink_gen.data.video.audio.AudioCopier.open", "film.mp4"),
        ("autolink_gen.data.video.writer.VideoWriter.write", "film.mp4"),
    ],
)
@pytest.mark.parametrize("error", [IndexError("tuple index out of range"), PermissionError(13, "Permission denied")])
def test_an_error_of_any_kind_skips_its_file_alone(
    one_odd: Path,
    tmp_path: Path,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    name: str,
    error: Exception,
) -> None:
    plain, pixels = pkgutil.resolve_name(place), np.asarray(Image.open(one_odd / "odd.jpg"))

    def is_odd(first: object) -> bool:
        if isinstance(first, np.ndarray):
            return first.shape == pixels.shape and bool((first == pixels).all())
        return isinstance(first, VideoWriter) or "odd" in str(first) or "film" in str(first)

    def fail(*arguments, **options):
        if is_odd(arguments[0]):
            raise error
        return plain(*arguments, **options)

    monkeypatch.setattr(place, fail)
    out = tmp_path / "out"
    result = run_detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 0 and "Traceback" not in result.output, result.output
    others = [other for other in ("a.jpg", "odd.jpg", "z.jpg", "film.mp4") if other != name]
    assert list(dict.fromkeys(Path(row["file"]).name for row in rows_of(out))) == others
    (skipped,) = json.loads((out / "keypoints.json").read_text())["skipped"]
    assert Path(skipped["file"]).name == name
    reason = "IndexError: " if isinstance(error, IndexError) else "Permission denied"
    assert name in skipped["reason"] and reason in skipped["reason"]
    assert f"skipped: {skipped['reason']}" in result.output
    assert (
        not [one for one in names_in(out) if one.startswith(".")]
        and (out / name).with_suffix(".mp4" if name == "film.mp4" else ".png").exists() is False
    )


def test_a_picture_that_the_network_fails_on_takes_no_other_with_it(
    one_odd: Path, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture(one_odd / "odd.jpg", size=(90, 64))
    plain = AutoLink.detect_unchecked

    def detect(self, images):
        if images.shape[-1] == 90:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(self, images)

    monkeypatch.setattr(AutoLink, "detect_unchecked", detect)
    result = run_detect(one_odd, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [Path(row["file"]).name for row in rows_of(tmp_path / "out")][:2] == ["a.jpg", "z.jpg"]
    assert_line_mentions(result, "odd.jpg", "RuntimeError", "CUDA out of memory")
    assert_line_mentions(result, "skipped", "1 of 4 files")


def test_names_that_are_no_utf_8_and_long_ones(tmp_path: Path, run_folder: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    names = [os.fsdecode(b"caf\xe9.png"), "l" * 245 + ".png"]
    for name in names:
        save_picture(folder / name)
    with VideoWriter(folder / ("f" * 245 + ".mp4"), fps=10) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    (folder / os.fsdecode(b"film\xe9.mp4")).write_bytes((folder / ("f" * 245 + ".mp4")).read_bytes())
    result = run_detect(folder, "--model", run_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert {*names, "f" * 245 + ".mp4"} <= {one.name for one in out.iterdir()}
    text = (out / "keypoints.json").read_bytes().decode()
    data = json.loads(text)
    assert text == text.encode("utf-8").decode() and json.dumps(data, ensure_ascii=False).encode("utf-8")
    assert r"caf\udce9.png" in {Path(row["file"]).name for row in rows_of(out)}
    assert r"caf\udce9.png" in {Path(one["file"]).name for one in data["pictures"]}
    found = [*data["pictures"], *data["skipped"]]
    assert {Path(one["file"]).name for one in found} == {
        r"caf\udce9.png", "l" * 245 + ".png", "f" * 245 + ".mp4", r"film\udce9.mp4"
    }  # fmt: skip


@pytest.mark.parametrize("where", ["picture", "film"])
def test_a_full_disk_ends_it_and_keeps_what_was_finished(
    one_odd: Path,
    tmp_path: Path,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    plain = Image.Image.save

    def save(self, target, **options):
        if "odd.png" in str(target):
            Path(target).write_bytes(b"half")
            raise full
        plain(self, target, **options)

    def keep(self, *_, **options):
        if "film" in str(self.path):
            raise full
        return plain_keep(self, *_, **options)

    plain_keep = UnfinishedFile.keep
    if where == "picture":
        monkeypatch.setattr(Image.Image, "save", save)
    else:
        monkeypatch.setattr(UnfinishedFile, "keep", keep)
    out = tmp_path / "out"
    result = run_detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 1 and "Traceback" not in result.output
    finished = ["a.jpg"] if where == "picture" else ["a.jpg", "odd.jpg", "z.jpg"]
    name = "odd.png" if where == "picture" else "film.mp4"
    assert_line_mentions(result, out / name, "No space left on device", "free some space")
    assert f"keypoints.json, {len(finished)} record" in caplog.text and "skipped" not in result.output
    assert [Path(row["file"]).name for row in rows_of(out)] == finished
    data = json.loads((out / "keypoints.json").read_text())
    assert data["unfinished"] is True and [Path(one["file"]).name for one in data["pictures"]] == finished
    assert names_in(out) == {"keypoints.csv", "keypoints.json", *(Path(one).stem + ".png" for one in finished)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_keeps_what_was_finished_and_leaves_nothing_else(
    one_odd: Path,
    tmp_path: Path,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
) -> None:
    plain = VideoWriter.write

    def write(self, frame, **options):
        plain(self, frame, **options)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(VideoWriter, "write", write)
    out = tmp_path / "out"
    result = run_detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 128 + number
    assert f"stopped by {number.name}" in result.output and "keypoints.json, 3 records of whole files" in caplog.text
    assert names_in(out) == {"a.png", "odd.png", "z.png", "keypoints.csv", "keypoints.json"}
    assert len(rows_of(out)) == 3
