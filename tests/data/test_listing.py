"""What listing a folder found and left out, in one line."""

import logging
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.video_clips import write_clip
from PIL import Image

from autolink_gen.data.folders import list_images
from autolink_gen.data.listing import image_listing
from autolink_gen.data.source import open_source
from autolink_gen.data.video.prepare import prepare_videos

LOGGER = "autolink_gen.data.listing"


def make_pictures(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(folder / f"{number}.png")
    return folder


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger=LOGGER)
    return caplog


def lines(told: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in told.records if record.name == LOGGER]


def test_pictures_that_are_not_read_are_told_of(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    folder = make_pictures(tmp_path / "pics")
    touch(folder, *(f"{number}.HEIC" for number in range(24)), "clip.mp4", "more.zip", "notes.txt", ".hidden.heic")
    open_source(folder).images(size=16)

    ((level, line),) = lines(told)
    assert level == logging.WARNING
    assert line.startswith(f"images: 3 in {folder}, left out: 24 x .heic (convert")
    assert "1 x .mp4 (" in line and "1 x .zip (unpack" in line and line.endswith("beside them: 1 x .txt")


def test_the_ordinary_case_is_one_short_line(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    folder = make_pictures(tmp_path / "pics")
    open_source(folder).images(size=16)
    touch(folder, *(f"{number}.txt" for number in range(4)))
    open_source(folder).images(size=16)

    assert lines(told) == [
        (logging.INFO, f"images: 3 in {folder}"),
        (logging.INFO, f"images: 3 in {folder}, beside them: 4 x .txt"),
    ]


def test_far_more_files_that_are_not_read_are_a_warning(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    folder = make_pictures(tmp_path / "pics")
    touch(folder, *(f"image_{number}" for number in range(24)))
    open_source(folder).images(size=16)

    assert lines(told) == [(logging.WARNING, f"images: 3 in {folder}, beside them: 24 x no suffix")]


def test_each_part_of_several_is_told_of(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    first, second = make_pictures(tmp_path / "a"), make_pictures(tmp_path / "b", 5)
    open_source(f"{first}+{second}").images(size=16)

    assert [line for _, line in lines(told)] == [f"images: 3 in {first}", f"images: 5 in {second}"]


def test_one_process_tells_for_all_that_train_together(
    tmp_path: Path, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    open_source(make_pictures(tmp_path / "pics")).images(size=16)

    assert lines(told) == []


def test_clips_and_what_is_none(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    write_clip(tmp_path / "film.mp4", count=4)
    make_pictures(tmp_path / "take")
    make_pictures(tmp_path / "alone", 1)
    touch(tmp_path, "old.rmvb", "labels.csv")
    assert len(open_source(tmp_path).clips(size=16)) == 2

    ((level, line),) = lines(told)
    assert level == logging.WARNING and line.startswith(f"clips: 2 in {tmp_path}, left out: 1 x .png (")
    assert "1 x .rmvb (convert" in line and line.endswith("beside them: 1 x .csv")


def test_videos_to_prepare_and_what_is_none(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in/film.mp4", count=4)
    touch(tmp_path / "in", "old.rmvb")
    prepare_videos(tmp_path / "in", tmp_path / "out", size=16)

    ((level, line),) = lines(told)
    assert level == logging.WARNING and line.startswith(f"videos: 1 in {tmp_path / 'in'}, left out: 1 x .rmvb (convert")


def test_shards_tell_of_pictures_they_leave_out_and_not_of_labels(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    picture = BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "PNG")
    with tarfile.open(tmp_path / "pics.tar", "w") as tar:
        for name, content in (
            ("a.png", picture.getvalue()), ("a.json", b"{}"), ("a.cls", b"1"), ("a.txt", b"a"), ("b.heic", b"?")
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    open_source(tmp_path / "pics.tar").images(size=16)

    ((level, line),) = lines(told)
    assert level == logging.WARNING and line.startswith(f"images: 1 in {tmp_path / 'pics.tar'}, left out: 1 x .heic")
    assert "json" not in line


def test_many_kinds_are_cut_short() -> None:
    kinds = ("heic", "psd", "cr2", "nef", "svg", "dng", "raw")
    names = [f"{number}.{kind}" for place, kind in enumerate(kinds) for number in range(9 - place)]
    line = image_listing("pics", 1, map(Path, names)).line

    assert "9 x .heic" in line and "5 x .svg" in line and ".dng" not in line and line.endswith("and 7 more")


@pytest.mark.parametrize("names", [(".a.png", ".b.png"), (".git/a.png",)])
def test_a_folder_of_hidden_files_is_not_called_empty(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{len(names)} file\(s\), which are hidden"):
        list_images(tmp_path)
    with pytest.raises(ValueError, match=rf"{len(names)} file\(s\), which are hidden"):
        prepare_videos(tmp_path, tmp_path / "out", size=16)
