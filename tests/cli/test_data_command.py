"""`autolink-gen data check`: its report, its JSON file, its errors."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.messages import assert_line_mentions, assert_mentions
from PIL import Image

from autolink_gen.cli.data import data
from autolink_gen.cli.main import cli
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirteen pictures, the second like the first, one unreadable, and a text file."""
    base = tmp_path / "pictures"
    base.mkdir()
    for number in range(12):
        cells = np.random.default_rng(max(1, number)).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((72, 48), Image.Resampling.BICUBIC).save(base / f"{number:02}.png")
    (base / "broken.jpg").write_text("not a picture")
    (base / "notes.txt").touch()
    return base


def test_check_prints_a_report_and_fails_where_something_is_bad(folder: Path) -> None:
    result = CliRunner().invoke(data, ["check", str(folder)])

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert_mentions(lines[0], folder, "13", "12 .png", "1 .jpg")
    assert lines[1:7] == [
        "width            72 / 72 / 72 px (min/median/max)",
        "height           48 / 48 / 48 px (min/median/max)",
        "under 64 px      12",
        "modes            12 RGB",
        "other files      1 .txt",
        "unreadable       1",
    ]
    assert_mentions(lines[7], folder / "broken.jpg", "content", "known")
    assert_mentions(lines[8], "near-duplicates", 1, "1 group")
    assert lines[9] == f"  {folder}/00.png = 01.png"
    assert_mentions(lines[10], "unreadable", "remove", "training")
    assert len(lines) == 11


def test_check_can_skip_near_duplicates(folder: Path) -> None:
    result = CliRunner().invoke(data, ["check", str(folder), "--no-near-duplicates"])

    assert result.exit_code == 1 and "near-duplicates" not in result.output


def test_check_of_good_pictures_succeeds(folder: Path) -> None:
    (folder / "broken.jpg").unlink()
    result = CliRunner().invoke(data, ["check", str(folder)])

    assert result.exit_code == 0 and "unreadable       0\n" in result.output and "training" not in result.output


def test_check_names_all_that_is_bad_at_once(folder: Path) -> None:
    for number in range(14):
        (folder / f"empty{number:02}.jpg").touch()

    result = CliRunner().invoke(data, ["check", str(folder)])

    assert "unreadable       15\n" in result.output
    assert result.output.count("(0 bytes)") == 14
    assert_line_mentions(result, "training", "ends")


def test_check_shortens_long_lists_of_what_is_alike(folder: Path) -> None:
    for number in range(12):
        shutil.copy(folder / f"{number:02}.png", folder / f"again{number:02}.png")

    result = CliRunner().invoke(data, ["check", str(folder)])

    assert "  ... and 1 more (--json FILE writes them all)" in result.output


def write_film(path: Path, num_frames: int) -> Path:
    with VideoWriter(path, fps=25) as writer:
        for number in range(num_frames):
            writer.write(np.full((32, 32, 3), 10 * number, np.uint8))
    return path


def test_check_decodes_videos_too(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", 20)
    (tmp_path / "half.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    write_film(tmp_path / "good.mp4", 5)
    (tmp_path / "new.heic").touch()
    (tmp_path / "empty.mp4").touch()

    result = CliRunner().invoke(data, ["check", str(tmp_path), "--json", str(tmp_path / "report.json")])

    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path}: 0 images, 4 videos\n")
    assert "unreadable       2\n" in result.stdout and "near-duplicates" not in result.stdout
    assert f"{tmp_path}/half.mp4" in result.stdout and f"{tmp_path}/empty.mp4" in result.stdout
    assert "1 .heic left out: convert" in result.stdout
    videos = {Path(one["path"]).name: one for one in json.loads((tmp_path / "report.json").read_text())["videos"]}
    assert videos["film.mp4"]["num_frames"] == 20 and videos["good.mp4"]["num_frames"] == 5
    assert not videos["good.mp4"]["problem"] and "half.mp4" in videos["half.mp4"]["problem"]


def test_check_keeps_a_report_that_is_there(folder: Path) -> None:
    path = folder.parent / "report.json"
    path.write_text("mine")
    arguments = ["data", "check", str(folder), "--json", str(path)]

    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1 and path.read_text() == "mine"
    assert str(path) in refused.output and "--overwrite" in refused.output and "near-duplicates" not in refused.output
    CliRunner().invoke(cli, [*arguments, "--overwrite"])
    assert json.loads(path.read_text())["num_readable"] == 12


def test_check_writes_the_whole_report_as_json(folder: Path) -> None:
    path = folder.parent / "new/report.json"

    result = CliRunner().invoke(data, ["check", str(folder), "--json", str(path)])

    assert result.exit_code == 1 and f"wrote {path}" in result.output
    report = json.loads(path.read_text())
    assert report["num_readable"] == 12 and report["suffixes"] == {".png": 12, ".jpg": 1}
    assert report["widths"] == {"smallest": 72, "median": 72.0, "largest": 72}
    assert report["unreadable"][0]["path"] == str(folder / "broken.jpg")
    assert report["near_duplicates"] == [[str(folder / "00.png"), str(folder / "01.png")]]


def test_check_of_unreadable_pictures_alone_still_reports(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    result = CliRunner().invoke(data, ["check", str(tmp_path)])

    assert result.exit_code == 1
    assert "unreadable       1" in result.output and "width" not in result.output
    assert_line_mentions(result, "none", tmp_path, "read")


@pytest.mark.parametrize(("name", "things"), [("", ("empty", ".jpg")), ("none", ("no folder", "none"))])
def test_check_of_nothing_is_an_error(tmp_path: Path, name: str, things: tuple[str, ...]) -> None:
    result = CliRunner().invoke(data, ["check", str(tmp_path / name)])

    assert result.exit_code == 1
    assert isinstance(result.exception, ValueError)
    assert_mentions(result.exception, *things)


def test_help_ends_with_an_example() -> None:
    result = CliRunner().invoke(data, ["check", "--help"])

    assert "autolink-gen data check ./my_pictures" in result.output


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, autolink_gen.cli.data; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# ---- prepare-videos ----


def write_clip(path: Path, count: int) -> None:
    with VideoWriter(path, fps=25) as writer:
        for number in range(count):
            writer.write(np.full((48, 64, 3), 20 * number, np.uint8))


def prepare(*arguments: object, expect: int = 0) -> str:
    result = CliRunner().invoke(cli, ["data", "prepare-videos", *map(str, arguments), "--processes", "1"])
    assert result.exit_code == expect, result.output
    return result.output


def test_frames_of_videos(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for name in ("a", "b"):
        write_clip(tmp_path / "films" / f"{name}.mp4", 4)
    (tmp_path / "films" / "c.mp4").write_bytes(b"no video")
    out = tmp_path / "frames"
    output = prepare(tmp_path / "films", out, "--size", "32")
    assert f"wrote 8 frames of 2 videos in {out}" in output
    assert_line_mentions(output, "1 video", "read")
    assert_line_mentions(output, "c.mp4", "content")
    again = prepare(tmp_path / "films", out, "--size", "32")
    assert f"kept 8 frames of 2 videos in {out}" in again and "wrote" not in again


def test_nothing_but_broken_videos_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "c.mp4").write_bytes(b"no video")
    output = prepare(tmp_path / "films", tmp_path / "frames", expect=1)
    assert_line_mentions(output, "none", "videos", tmp_path / "films")
    (tmp_path / "empty").mkdir()
    assert "no videos in" in prepare(tmp_path / "empty", tmp_path / "frames", expect=1)


def test_videos_of_puppets(tmp_path: Path) -> None:
    result = CliRunner().invoke(data, ["puppets", str(tmp_path / "films"), "--clips", "2", "--size", "32"])
    assert result.exit_code == 0, result.output
    assert f"wrote {tmp_path / 'films'}: 2 videos of 100 frames" in result.stdout
    first, second = (list(VideoReader(tmp_path / "films" / f"puppet-{number}.mp4")) for number in (0, 1))
    assert len(first) == len(second) == 100 and first[0].shape == (32, 32, 3)
    moved, others = (np.abs(first[50].astype(int) - frame).mean() for frame in (first[0], second[50]))
    assert 0.5 < moved < others


WICKED = (
    b"\x1b[31mred.jpg",
    b"=cmd|x.jpg",
    b"a\nb.png",
    "\u202egpj.exe.png".encode(),
    b"\xff\xfe.png",
    b"\x1b]0;bad\x07.jpg",
)


def test_videos_that_are_there_are_not_replaced_by_puppets(tmp_path: Path) -> None:
    (tmp_path / "puppet-1.mp4").write_bytes(b"mine")
    refused = CliRunner().invoke(cli, ["data", "puppets", str(tmp_path), "--size", "32"])
    assert refused.exit_code == 1 and str(tmp_path / "puppet-1.mp4") in refused.output
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_names_of_pictures_do_not_control_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "pictures\x1b[35m"
    folder.mkdir()
    for name in map(os.fsdecode, WICKED[:-1]):
        Image.new("RGB", (8, 8)).save(folder / name, "PNG")
    (folder / os.fsdecode(WICKED[-1])).write_bytes(b"no picture")
    report = tmp_path / "report.json"
    result = CliRunner().invoke(cli, ["data", "check", str(folder), "--json", str(report)])
    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.output.splitlines())
    assert r"\x1b]0;bad\x07.jpg: " in result.output
    named = json.loads(report.read_text())
    assert named["folder"] == str(folder), "JSON is exact"
    same = {Path(path).name for group in named["near_duplicates"] for path in group}
    assert same == {os.fsdecode(name) for name in WICKED[:-1]}
    missing = CliRunner().invoke(cli, ["data", "check", f"{folder}\nError: none"])
    assert missing.exit_code == 1 and missing.output.count("\n") == 1 and missing.output.isascii()


def test_near_duplicates_in_other_folders_are_named_with_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    Image.effect_noise((64, 64), 90).save(tmp_path / "a/1.png")
    for copy in ("a/2.png", "b/1.png"):
        (tmp_path / copy).write_bytes((tmp_path / "a/1.png").read_bytes())
    result = CliRunner().invoke(cli, ["data", "check", str(tmp_path)])
    assert f"  {tmp_path / 'a/1.png'} = 2.png, {tmp_path / 'b/1.png'}\n" in result.output


def test_trees_keep_their_lines_and_names_take_one_each(tmp_path: Path) -> None:
    home = tmp_path / "flowers-102"
    home.mkdir()
    (home / "a\n  jpg\x1b[2J").touch()
    result = CliRunner().invoke(cli, ["data", "prepare", "flowers", "--data-root", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[-2:] == ["found:", r"  flowers-102/a\n  jpg\x1b[2J"] and "expected:" in lines
