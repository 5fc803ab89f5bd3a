import csv
import errno
import json
import os
import pkgutil
import re
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.common.files import UnfinishedFile
from autolink_gen.data.video.reader import VideoReader
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


def _picture(path: Path, *, size: tuple[int, int] = (80, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(len(path.name))
    Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    return path


def _film(path: Path, *, num_frames: int = 20, fps: int = 10) -> Path:
    """A film with a tone, of which the first frame differs from the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".wav")
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes((9000 * np.sin(np.arange(num_frames * 16_000 // fps) / 9)).astype(np.int16).tobytes())
    draw = np.random.default_rng(0)
    with VideoWriter(path, fps=fps, copy_audio_from=sound) as writer:
        for _ in range(num_frames):
            writer.write(draw.integers(0, 256, (64, 96, 3)).astype(np.uint8))
    sound.unlink()
    return path


def _detect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["detect", *map(str, arguments)])


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "keypoints.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pictures_and_a_film_become_overlays_and_tables(tmp_path: Path, run_folder: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a/1.jpg", "a/1.png", "b/1.jpg"):
        _picture(folder / name)
    film = _film(folder / "b" / "clip.mp4")
    result = _detect(folder, "--model", run_folder, "--out", out, "--batch-size", 3)
    assert result.exit_code == 0, result.output
    assert _names(out) == {
        "a/1.jpg.png", "a/1.png.png", "b/1.png", "b/clip.mp4", "keypoints.csv", "keypoints.json",
    }  # fmt: skip
    rows = _rows(out)
    assert len(rows) == 3 + 20
    for row in rows:
        assert -1 < float(row["x0_px"]) < int(row["width_px"])
        assert -1 < float(row["y3_px"]) < int(row["height_px"])
    assert (rows[0]["width_px"], rows[0]["height_px"], rows[0]["time_s"]) == ("80", "60", "")
    assert [row["time_s"] for row in rows[3:6]] == ["0.0", "0.1", "0.2"]
    data = json.loads((out / "keypoints.json").read_text())
    assert (data["num_keypoints"], len(data["edges"]), data["skipped"]) == (NUM_KEYPOINTS, 6, [])
    assert [picture["file"] for picture in data["pictures"]] == [row["file"] for row in rows]
    overlay = VideoReader(out / "b" / "clip.mp4")
    assert (overlay.fps, overlay.num_frames, overlay.has_audio) == (VideoReader(film).fps, 20, True)
    for line in (f"model: {run_folder}", "wrote 4 overlays", f"wrote {out / 'keypoints.csv'} (23 "):
        assert line in result.output


def test_overlays_show_dots_and_edges(tmp_path: Path, run_folder: Path) -> None:
    picture = tmp_path / "grey.png"
    Image.new("RGB", (200, 200), (90, 90, 90)).save(picture)
    shown = {}
    for flag in ("--edges", "--no-edges"):
        out = tmp_path / flag
        result = _detect(picture, "--model", run_folder, "--out", out, "--threshold", 0, flag)
        assert result.exit_code == 0, result.output
        shown[flag] = np.asarray(Image.open(out / "grey.png"))
    assert (shown["--no-edges"] != 90).any()
    assert (shown["--edges"] != shown["--no-edges"]).any()


def test_tables_alone(tmp_path: Path, run_folder: Path) -> None:
    film = _film(tmp_path / "clip.mp4")
    out = tmp_path / "out"
    result = _detect(film, "--model", run_folder / "model.safetensors", "--out", out, "--no-overlays", "--fps", 5)
    assert result.exit_code == 0, result.output
    assert _names(out) == {"keypoints.csv", "keypoints.json"}
    assert [row["frame"] for row in _rows(out)] == [str(i) for i in range(0, 20, 2)]
    assert "overlays" not in result.output


def test_fewer_frames_a_second_keep_the_length_of_the_film(tmp_path: Path, run_folder: Path) -> None:
    film = _film(tmp_path / "clip.mp4")
    result = _detect(film, "--model", run_folder, "--out", tmp_path / "out", "--fps", 5)
    assert result.exit_code == 0, result.output
    overlay = VideoReader(tmp_path / "out" / "clip.mp4")
    assert (overlay.fps, overlay.num_frames, overlay.has_audio) == (5, 10, True)


def test_a_second_call_does_not_take_overlays_for_pictures(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _picture(tmp_path / "1.jpg")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        result = _detect(".", "--model", run_folder, "--overwrite")
        assert result.exit_code == 0, result.output
        assert len(_rows(tmp_path / "detections")) == 1


def test_the_newest_run_is_taken_and_named(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_folder.parents[2])
    result = _detect(_picture(tmp_path / "1.jpg"), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "model: runs/graph/tiny (newest), 4 keypoints" in result.output.replace("\\", "/")


def test_bad_files_are_skipped_and_reported(tmp_path: Path, run_folder: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    _picture(folder / "good.jpg")
    (folder / "text.jpg").write_text("This is no picture.")
    (folder / "text.mp4").write_text("This is no film.")
    film = _film(folder / "torn.mp4", num_frames=40)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    result = _detect(folder, "--model", run_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert _names(out) == {"good.png", "keypoints.csv", "keypoints.json"}
    assert [row["file"] for row in _rows(out)] == [(folder / "good.jpg").as_posix()]
    skipped = {Path(item["file"]).name for item in json.loads((out / "keypoints.json").read_text())["skipped"]}
    assert skipped == {"text.jpg", "text.mp4", "torn.mp4"}
    for reason in ("text.jpg: its content", "text.mp4: its content", "frames are damaged or missing"):
        assert reason in result.output
    assert "skipped 3 of 4 files" in result.output


def test_nothing_readable_is_an_error_that_writes_nothing(tmp_path: Path, run_folder: Path) -> None:
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("no")
    result = _detect(tmp_path, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert_line_mentions(result, "none", "2 files", "nothing")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        ((), ("Missing", "PATH...")),
        (("gone",), ("no file or folder gone",)),
        (("empty",), ("no pictures", "empty")),
        (("notes.txt",), ("notes.txt", "name", ".jpg")),
        (("1.png", "--out", "."), ("input", "--out")),
        (("1.png", "--model", "gone"), ("no run gone",)),
        (("1.png",), ("autolink-gen learn-graph",)),
        (("1.png", "--threshold", "2"), ("--threshold", "2.0", "0<=x<=1")),
        (("1.png", "--batch-size", "0"), ("--batch-size", 0, "x>=1")),
        (("1.png", "--fps", "0"), ("--fps", "0.0", "x>0")),
        (("1.png", "--model", "RUN", "--device", "toaster"), ("toaster", "used")),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    things: tuple,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("notes.txt").write_text("text")
    _picture(Path("1.png"))
    result = _detect(*(run_folder if argument == "RUN" else argument for argument in arguments))
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)
    assert not Path("detections").exists()


def test_real_faces_and_a_real_film(shared_dir: Path, tmp_path: Path, run_folder: Path) -> None:
    films = sorted((shared_dir / "data" / "voxceleb2" / "test").rglob("*.mp4"))
    faces = sorted((shared_dir / "data" / "faces68" / "test").glob("*.jpg"))[:3]
    if not (films and faces):
        pytest.skip(f"no faces or films in {shared_dir}")
    film = min(films, key=lambda path: path.stat().st_size)
    result = _detect(*faces, film, "--model", run_folder, "--out", tmp_path, "--fps", 2)
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("*.png"))) == 3
    reader = VideoReader(tmp_path / film.name)
    assert reader.has_audio
    assert len(_rows(tmp_path)) == 3 + len(list(reader))


def test_what_is_not_all_looked_at_is_said(tmp_path: Path, run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (64, 64), (shade, 90, 30)) for shade in (0, 120, 240)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], duration=100)
    cut = _film(tmp_path / "cut.webm", num_frames=30)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    inputs = (tmp_path / "moving.webp", cut)
    assert _detect(*inputs, "--model", run_folder, "--out", tmp_path / "out", "--no-overlays").exit_code == 0
    assert_line_mentions(caplog.messages, "moving.webp", "moves", "first", "alone")
    assert re.search(r"cut\.webm ends early: \d\.\d of 3\.0 seconds came", caplog.text)


@pytest.mark.parametrize("name", ["a.heic", "folder"])
def test_pictures_of_another_kind_are_named_with_the_remedy(tmp_path: Path, run_folder: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for file in (tmp_path / "a.heic", tmp_path / "folder" / "b.HEIC"):
        file.write_bytes(b"no picture")
    result = _detect(tmp_path / name, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 1 and "magick mogrify" in result.output and "rename" not in result.output


def test_nothing_that_is_there_is_replaced_unasked(tmp_path: Path, run_folder: Path) -> None:
    first, second, out = _picture(tmp_path / "1.jpg"), _picture(tmp_path / "second.jpg"), tmp_path / "out"
    assert _detect(first, "--model", run_folder, "--out", out).exit_code == 0
    before = {name: (out / name).read_bytes() for name in _names(out)}
    for more in ((), ("--no-overlays",)):
        result = _detect(second, "--model", run_folder, "--out", out, *more)
        assert result.exit_code == 1 and "model:" not in result.output
        assert f"{out / 'keypoints.csv'} is there already (and 1 more): give another --out" in result.output
        assert "--overwrite" in result.output
    for name in ("keypoints.csv", "keypoints.json"):
        (out / name).unlink()
    result = _detect(first, "--model", run_folder, "--out", out)
    assert result.exit_code == 1 and f"{out / '1.png'} is there already" in result.output
    assert {name: (out / name).read_bytes() for name in _names(out)} == {"1.png": before["1.png"]}
    assert _detect(second, "--model", run_folder, "--out", out).exit_code == 0
    assert _detect(first, "--model", run_folder, "--out", out, "--overwrite").exit_code == 0
    assert [row["file"] for row in _rows(out)] == [first.as_posix()]
    assert _names(out) == {"1.png", "second.png", "keypoints.csv", "keypoints.json"}


@pytest.fixture
def one_odd(tmp_path: Path) -> Path:
    """A folder of three pictures and a short film."""
    for name in ("a.jpg", "odd.jpg", "z.jpg"):
        _picture(tmp_path / "in" / name)
    with VideoWriter(tmp_path / "in" / "film.mp4", fps=10) as writer:
        for value in range(4):
            writer.write(np.full((64, 64, 3), 60 * value, np.uint8))
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("autolink_gen.inference.detect.read_image", "odd.jpg"),
        ("autolink_gen.inference.detect_files.draw_graph", "odd.jpg"),
        ("autolink_gen.inference.detect_files.write_picture", "odd.jpg"),
        ("autolink_gen.inference.detect_files.VideoReader", "film.mp4"),
        ("autolink_gen.data.video.audio.Sound.open", "film.mp4"),
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
    result = _detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 0 and "Traceback" not in result.output, result.output
    others = [other for other in ("a.jpg", "odd.jpg", "z.jpg", "film.mp4") if other != name]
    assert list(dict.fromkeys(Path(row["file"]).name for row in _rows(out))) == others
    (skipped,) = json.loads((out / "keypoints.json").read_text())["skipped"]
    assert Path(skipped["file"]).name == name
    reason = "IndexError: " if isinstance(error, IndexError) else "Permission denied"
    assert name in skipped["reason"] and reason in skipped["reason"]
    assert f"skipped: {skipped['reason']}" in result.output
    assert (
        not [one for one in _names(out) if one.startswith(".")]
        and (out / name).with_suffix(".mp4" if name == "film.mp4" else ".png").exists() is False
    )


def test_a_picture_that_the_network_fails_on_takes_no_other_with_it(
    one_odd: Path, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _picture(one_odd / "odd.jpg", size=(90, 64))
    plain = AutoLink.detect

    def detect(self, images):
        if images.shape[-1] == 90:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(self, images)

    monkeypatch.setattr(AutoLink, "detect", detect)
    result = _detect(one_odd, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [Path(row["file"]).name for row in _rows(tmp_path / "out")][:2] == ["a.jpg", "z.jpg"]
    assert_line_mentions(result, "odd.jpg", "RuntimeError", "CUDA out of memory")
    assert_line_mentions(result, "skipped", "1 of 4 files")


def test_names_that_are_no_utf_8_and_long_ones(tmp_path: Path, run_folder: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    names = [os.fsdecode(b"caf\xe9.png"), "l" * 245 + ".png"]
    for name in names:
        _picture(folder / name)
    with VideoWriter(folder / ("f" * 245 + ".mp4"), fps=10) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    (folder / os.fsdecode(b"film\xe9.mp4")).write_bytes((folder / ("f" * 245 + ".mp4")).read_bytes())
    result = _detect(folder, "--model", run_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert {*names, "f" * 245 + ".mp4"} <= {one.name for one in out.iterdir()}
    text = (out / "keypoints.json").read_bytes().decode()
    data = json.loads(text)
    assert text == text.encode("utf-8").decode() and json.dumps(data, ensure_ascii=False).encode("utf-8")
    assert r"caf\udce9.png" in {Path(row["file"]).name for row in _rows(out)}
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
    result = _detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 1 and "Traceback" not in result.output
    finished = ["a.jpg"] if where == "picture" else ["a.jpg", "odd.jpg", "z.jpg"]
    name = "odd.png" if where == "picture" else "film.mp4"
    assert_line_mentions(result, out / name, "No space left on device", "free some space")
    assert f"keypoints.json, {len(finished)} record" in caplog.text and "skipped" not in result.output
    assert [Path(row["file"]).name for row in _rows(out)] == finished
    data = json.loads((out / "keypoints.json").read_text())
    assert data["unfinished"] is True and [Path(one["file"]).name for one in data["pictures"]] == finished
    assert _names(out) == {"keypoints.csv", "keypoints.json", *(Path(one).stem + ".png" for one in finished)}


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
    result = _detect(one_odd, "--model", run_folder, "--out", out)
    assert result.exit_code == 128 + number
    assert f"stopped by {number.name}" in result.output and "keypoints.json, 3 records of whole files" in caplog.text
    assert _names(out) == {"a.png", "odd.png", "z.png", "keypoints.csv", "keypoints.json"}
    assert len(_rows(out)) == 3
