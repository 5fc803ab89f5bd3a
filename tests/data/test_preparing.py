"""Frames made of videos: where they lie, what a repeated call does, what is reported."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_clips import make_frames, write_clip

from autolink_gen.data import preparing
from autolink_gen.data.clips import list_clips
from autolink_gen.data.preparing import prepare_videos
from autolink_gen.data.video import VideoReader


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("id1/00001.mp4", "id2/00001.mp4"):
        (tmp_path / "films" / name).parent.mkdir(parents=True)
        write_clip(tmp_path / "films" / name, 6)
    return tmp_path / "films"


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_of_frames_a_video(films: Path, tmp_path: Path, processes: int) -> None:
    out = tmp_path / "frames"
    found = prepare_videos(films, out, size=32, processes=processes)
    assert [(clip.video.parent.name, clip.num_frames, clip.was_there, clip.error) for clip in found] == [
        ("id1", 6, False, ""),
        ("id2", 6, False, ""),
    ]
    names = [f"{person}/00001/{number:06d}.jpg" for person in ("id1", "id2") for number in range(6)]
    assert files_below(out) == [*names, "prepared.json"]
    frame = np.asarray(Image.open(out / "id2" / "00001" / "000004.jpg"))
    assert frame.shape == (32, 32, 3)
    assert frame[-2, -2].mean() == pytest.approx(make_frames(6)[4][-1, -1].mean(), abs=3)
    assert [clip.count() for clip in list_clips(out)] == [6, 6]


def test_a_repeated_call_makes_only_what_is_missing(films: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "frames"
    plain = VideoReader.timed

    def breaks_off(self, **kwargs):
        if "id2" in str(self.path):
            raise KeyboardInterrupt
        return plain(self, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(VideoReader, "timed", breaks_off)
        prepare_videos(films, out, size=32)
    assert not (out / "id2" / "00001").exists()
    before = (out / "id1" / "00001" / "000000.jpg").stat().st_mtime_ns
    found = prepare_videos(films, out, size=32)
    assert [clip.was_there for clip in found] == [True, False]
    assert [clip.num_frames for clip in found] == [6, 6]
    assert (out / "id1" / "00001" / "000000.jpg").stat().st_mtime_ns == before
    assert not list(out.rglob(".*"))


def test_frames_of_another_size_are_not_mixed_in(films: Path, tmp_path: Path) -> None:
    prepare_videos(films, tmp_path / "frames", size=32)
    assert json.loads((tmp_path / "frames" / "prepared.json").read_text())["size"] == 32
    with pytest.raises(ValueError, match=r"holds frames made with .*'size': 32.*give another folder"):
        prepare_videos(films, tmp_path / "frames", size=48)


def test_fewer_frames_a_second(films: Path, tmp_path: Path) -> None:
    found = prepare_videos(films, tmp_path / "frames", size=32, fps=12.5)
    assert [clip.num_frames for clip in found] == [3, 3]


def test_broken_videos_are_reported_and_leave_nothing(films: Path, tmp_path: Path) -> None:
    (films / "id1" / "00001.mp4").write_bytes(b"no video")
    first, second = prepare_videos(films, tmp_path / "frames", size=32)
    assert "00001.mp4" in first.error and first.num_frames == 0
    assert (second.num_frames, second.error) == (6, "")
    assert files_below(tmp_path / "frames" / "id1") == []


def test_two_videos_of_one_name_do_not_meet(films: Path, tmp_path: Path) -> None:
    write_clip(films / "id1" / "00001.mov", 3)
    prepare_videos(films, tmp_path / "frames", size=32)
    assert len(files_below(tmp_path / "frames" / "id1" / "00001.mov")) == 3
    assert len(files_below(tmp_path / "frames" / "id1" / "00001.mp4")) == 6


def test_a_full_disk_is_an_error_that_leaves_no_half_folder(films: Path, tmp_path: Path, monkeypatch) -> None:
    def full(image, path, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(preparing.Image.Image, "save", full)
        prepare_videos(films, tmp_path / "frames", size=32)
    assert not (tmp_path / "frames" / "id1" / "00001").exists()
    assert [clip.num_frames for clip in prepare_videos(films, tmp_path / "frames", size=32)] == [6, 6]


@pytest.mark.parametrize(("changes", "message"), [({"size": 8}, "size is 8"), ({"fps": 0.0}, "fps is 0.0")])
def test_arguments_are_checked(films: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_videos(films, tmp_path / "frames", **{"size": 32, **changes})


def test_a_folder_without_videos(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"no videos in .*found 1 x \.png"):
        prepare_videos(tmp_path, tmp_path / "frames", size=32)


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_somebody_elses_is_not_removed(films: Path, tmp_path: Path, link: bool) -> None:
    place = tmp_path / "frames" / "id1" / ".00001.tmp"
    mine = tmp_path / "mine" if link else place
    mine.mkdir(parents=True)
    (mine / ("000000.jpg" if link else "letter.txt")).write_text("mine")
    if link:
        place.parent.mkdir(parents=True)
        place.symlink_to(mine)
    found = prepare_videos(films, tmp_path / "frames", size=32)
    assert [bool(clip.error) for clip in found] == [True, False]
    assert str(place) in found[0].error and len(list(mine.iterdir())) == 1


def test_what_a_killed_call_left_is_made_anew(films: Path, tmp_path: Path) -> None:
    left = tmp_path / "frames" / "id1" / ".00001.tmp"
    left.mkdir(parents=True)
    (left / "000009.jpg").write_bytes(b"half")
    assert [clip.num_frames for clip in prepare_videos(films, tmp_path / "frames", size=32)] == [6, 6]
    assert not left.exists() and "id1/00001/000009.jpg" not in files_below(tmp_path / "frames")


@pytest.mark.parametrize("note", ["[" * 10**5, "{", "\x00"])
def test_a_damaged_note_is_one_line(films: Path, tmp_path: Path, note: str) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "prepared.json").write_text(note)
    with pytest.raises(ValueError, match=r"prepared\.json is no readable note") as error:
        prepare_videos(films, tmp_path / "frames", size=32)
    assert "\n" not in str(error.value)
