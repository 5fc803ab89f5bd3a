"""`autolink-gen detect`: overlays, tables, and what is said of files that are left out."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.detecting import names_in, rows_of, run_detect, save_film, save_picture
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.data.video.reader import VideoReader

NUM_KEYPOINTS = 4


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a tiny model that has learned nothing."""
    model = tiny_graph(NUM_KEYPOINTS)
    folder = tmp_path_factory.mktemp("work") / "runs" / "graph" / "tiny"
    save_model(folder / "model.safetensors", model)
    return folder


def test_pictures_and_a_film_become_overlays_and_tables(tmp_path: Path, run_folder: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a/1.jpg", "a/1.png", "b/1.jpg"):
        save_picture(folder / name)
    film = save_film(folder / "b" / "clip.mp4")
    result = run_detect(folder, "--model", run_folder, "--out", out, "--batch-size", 3)
    assert result.exit_code == 0, result.output
    assert names_in(out) == {
        "a/1.jpg.png", "a/1.png.png", "b/1.png", "b/clip.mp4", "keypoints.csv", "keypoints.json",
    }  # fmt: skip
    rows = rows_of(out)
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
        result = run_detect(picture, "--model", run_folder, "--out", out, "--threshold", 0, flag)
        assert result.exit_code == 0, result.output
        shown[flag] = np.asarray(Image.open(out / "grey.png"))
    assert (shown["--no-edges"] != 90).any()
    assert (shown["--edges"] != shown["--no-edges"]).any()


def test_tables_alone(tmp_path: Path, run_folder: Path) -> None:
    film = save_film(tmp_path / "clip.mp4")
    out = tmp_path / "out"
    result = run_detect(film, "--model", run_folder / "model.safetensors", "--out", out, "--no-overlays", "--fps", 5)
    assert result.exit_code == 0, result.output
    assert names_in(out) == {"keypoints.csv", "keypoints.json"}
    assert [row["frame"] for row in rows_of(out)] == [str(i) for i in range(0, 20, 2)]
    assert "overlays" not in result.output


def test_fewer_frames_a_second_keep_the_length_of_the_film(tmp_path: Path, run_folder: Path) -> None:
    film = save_film(tmp_path / "clip.mp4")
    result = run_detect(film, "--model", run_folder, "--out", tmp_path / "out", "--fps", 5)
    assert result.exit_code == 0, result.output
    overlay = VideoReader(tmp_path / "out" / "clip.mp4")
    assert (overlay.fps, overlay.num_frames, overlay.has_audio) == (5, 10, True)


def test_a_second_call_does_not_take_overlays_for_pictures(
    tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture(tmp_path / "1.jpg")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        result = run_detect(".", "--model", run_folder, "--overwrite")
        assert result.exit_code == 0, result.output
        assert len(rows_of(tmp_path / "detections")) == 1


def test_the_newest_run_is_taken_and_named(tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_folder.parents[2])
    result = run_detect(save_picture(tmp_path / "1.jpg"), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "model: runs/graph/tiny (newest), 4 keypoints" in result.output.replace("\\", "/")


def test_bad_files_are_skipped_and_reported(tmp_path: Path, run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    save_picture(folder / "good.jpg")
    (folder / "text.jpg").write_text("This is no picture.")
    (folder / "text.mp4").write_text("This is no film.")
    film = save_film(folder / "torn.mp4", num_frames=40)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    result = run_detect(folder, "--model", run_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert names_in(out) == {"good.png", "torn.mp4", "keypoints.csv", "keypoints.json"}
    files = [Path(row["file"]).name for row in rows_of(out)]
    assert set(files) == {"good.jpg", "torn.mp4"} and 10 < files.count("torn.mp4") < 30, "the beginning of a cut film"
    skipped = {Path(item["file"]).name for item in json.loads((out / "keypoints.json").read_text())["skipped"]}
    assert skipped == {"text.jpg", "text.mp4"}
    for reason in ("text.jpg: its content", "text.mp4: its content"):
        assert reason in result.output
    assert_line_mentions(caplog.messages, folder / "torn.mp4", "early")
    assert "skipped 2 of 4 files" in result.output


def test_nothing_readable_is_an_error_that_writes_nothing(tmp_path: Path, run_folder: Path) -> None:
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("no")
    result = run_detect(tmp_path, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert_line_mentions(result, "none", "2 files", "nothing")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        ((), ("Missing", "PATH...")),
        (("gone",), ("no file or folder gone",)),
        (("empty",), ("no images", "empty")),
        (("notes.txt",), ("notes.txt", "name", ".jpg")),
        (("1.png", "--out", "."), ("input", "--out")),
        (("1.png", "--model", "gone"), ("no run gone",)),
        (("1.png",), ("autolink-gen learn-graph",)),
        (("1.png", "--threshold", "2"), ("--threshold", "2.0", "0<=x<=1")),
        (("1.png", "--batch-size", "0"), ("--batch-size", 0, "x>=1")),
        (("1.png", "--fps", "0"), ("--fps", "0.0", "x>0")),
        (("--smooth", "median:4", "1.png"), ("--smooth", 4, "odd")),
        (("1.png", "--smooth=mean"), ("--smooth", "'mean'", "one-euro")),
        (("1.png", "--smooth", "medain:7"), ("--smooth", "medain:7", "did you mean median:7")),
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
    save_picture(Path("1.png"))
    result = run_detect(*(run_folder if argument == "RUN" else argument for argument in arguments))
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)
    assert not Path("detections").exists()


def test_real_faces_and_a_real_film(shared_dir: Path, tmp_path: Path, run_folder: Path) -> None:
    films = sorted((shared_dir / "data" / "voxceleb2" / "test").rglob("*.mp4"))
    faces = sorted((shared_dir / "data" / "faces68" / "test").glob("*.jpg"))[:3]
    if not (films and faces):
        pytest.skip(f"no faces or films in {shared_dir}")
    film = min(films, key=lambda path: path.stat().st_size)
    result = run_detect(*faces, film, "--model", run_folder, "--out", tmp_path, "--fps", 2)
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("*.png"))) == 3
    reader = VideoReader(tmp_path / film.name)
    assert reader.has_audio
    assert len(rows_of(tmp_path)) == 3 + len(list(reader))


def test_what_is_not_all_looked_at_is_said(tmp_path: Path, run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (64, 64), (shade, 90, 30)) for shade in (0, 120, 240)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], duration=100)
    cut = save_film(tmp_path / "cut.webm", num_frames=30)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    inputs = (tmp_path / "moving.webp", cut)
    assert run_detect(*inputs, "--model", run_folder, "--out", tmp_path / "out", "--no-overlays").exit_code == 0
    assert_line_mentions(caplog.messages, "moving.webp", "moves", "first", "alone")
    assert re.search(r"cut\.webm ends early: \d\.\d of 3\.0 seconds came", caplog.text)


@pytest.mark.parametrize("name", ["a.heic", "folder"])
def test_pictures_of_another_kind_are_named_with_the_remedy(tmp_path: Path, run_folder: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for file in (tmp_path / "a.heic", tmp_path / "folder" / "b.HEIC"):
        file.write_bytes(b"no picture")
    result = run_detect(tmp_path / name, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 1 and "magick mogrify" in result.output and "rename" not in result.output


def test_nothing_that_is_there_is_replaced_unasked(tmp_path: Path, run_folder: Path) -> None:
    first, second, out = save_picture(tmp_path / "1.jpg"), save_picture(tmp_path / "second.jpg"), tmp_path / "out"
    assert run_detect(first, "--model", run_folder, "--out", out).exit_code == 0
    before = {name: (out / name).read_bytes() for name in names_in(out)}
    for more in ((), ("--no-overlays",)):
        result = run_detect(second, "--model", run_folder, "--out", out, *more)
        assert result.exit_code == 1 and "model:" not in result.output
        assert f"{out / 'keypoints.csv'} is there already (and 1 more): give another --out" in result.output
        assert "--overwrite" in result.output
    for name in ("keypoints.csv", "keypoints.json"):
        (out / name).unlink()
    result = run_detect(first, "--model", run_folder, "--out", out)
    assert result.exit_code == 1 and f"{out / '1.png'} is there already" in result.output
    assert {name: (out / name).read_bytes() for name in names_in(out)} == {"1.png": before["1.png"]}
    assert run_detect(second, "--model", run_folder, "--out", out).exit_code == 0
    assert run_detect(first, "--model", run_folder, "--out", out, "--overwrite").exit_code == 0
    assert [row["file"] for row in rows_of(out)] == [first.as_posix()]
    assert names_in(out) == {"1.png", "second.png", "keypoints.csv", "keypoints.json"}


def test_pose_files_are_written_once(tmp_path: Path, run_folder: Path) -> None:
    save_film(tmp_path / "in" / "clip.mp4")
    save_film(tmp_path / "in" / "clop.mp4")
    out = tmp_path / "out"
    arguments = (tmp_path / "in", "--model", run_folder, "--out", out, "--format", "dlc, csv", "--no-overlays")
    first = run_detect(*arguments)
    assert first.exit_code == 0, first.output
    assert names_in(out) == {"clip.csv", "clip.dlc.csv", "clop.csv", "clop.dlc.csv"}
    assert_line_mentions(first, "wrote", out / "clop.dlc.csv")
    (out / "clop.csv").unlink()
    again = run_detect(*arguments)
    assert again.exit_code == 0, again.output
    assert_line_mentions(again, "1 file of 2", "--overwrite")
    assert_line_mentions(again, "wrote", out / "clop.csv")
    assert_line_mentions(again, "20 records")
    assert str(out / "clip.csv") not in again.output


def test_smoothing_may_stand_alone_before_a_path(tmp_path: Path, run_folder: Path) -> None:
    film, xs = save_film(tmp_path / "film.mp4", num_frames=6), {}
    for number, words in enumerate([("--no-edges",), ("--smooth",), ("--smooth", "one-euro"), ("--smooth", "median")]):
        out = tmp_path / str(number)
        result = run_detect(*words, film, "--model", run_folder, "--out", out, "--no-overlays")
        assert result.exit_code == 0, result.output
        xs[words] = [float(row["x0_px"]) for row in rows_of(out)]
    plain, alone, named, median = xs.values()
    assert alone == named and plain != named and median[2] == pytest.approx(np.median(plain[:5]), abs=2e-3)


@pytest.mark.parametrize(("formats", "things"), [("dlc,xml", ("'xml'", "dlc")), (",", ("--format",))])
def test_a_format_that_there_is_not_is_one_line(
    tmp_path: Path, run_folder: Path, formats: str, things: tuple[str, ...]
) -> None:
    picture = save_picture(tmp_path / "a.png")
    result = run_detect(picture, "--model", run_folder, "--out", tmp_path / "out", "--format", formats)
    assert result.exit_code != 0 and not (tmp_path / "out").exists()
    assert_line_mentions(result, *things)


def test_verbose_says_what_each_film_took(tmp_path: Path, run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_picture(tmp_path / "1.png")
    film = save_film(tmp_path / "film.mp4")
    with caplog.at_level(logging.INFO, logger="autolink_gen.inference.file_detector"):
        result = run_detect(tmp_path / "1.png", film, "--model", run_folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert_line_mentions(caplog.messages, "images", "1 record", " s")
    assert_line_mentions(caplog.messages, film, f"{VideoReader(film).num_frames} records", " s")
