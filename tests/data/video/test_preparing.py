"""Frames made of videos: where they lie, what a repeated call does, what is reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.video_clips import make_frames, write_clip
from PIL import Image

from autolink_gen.data.video import prepare as preparing
from autolink_gen.data.video.clips import list_clips
from autolink_gen.data.video.prepare import prepare_videos
from autolink_gen.data.video.reader import VideoReader


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
    plain = VideoReader.timed_frames

    def breaks_off(self, **kwargs):
        if "id2" in str(self.path):
            raise KeyboardInterrupt
        return plain(self, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(VideoReader, "timed_frames", breaks_off)
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


def test_frames_of_another_size_are_made_where_one_insists(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    prepare_videos(films, out, size=32)
    found = prepare_videos(films, out, size=48, overwrite=True)
    assert [(clip.num_frames, clip.was_there) for clip in found] == [(6, False)] * 2
    assert Image.open(out / "id1" / "00001" / "000000.jpg").size == (48, 48)
    assert json.loads((out / "prepared.json").read_text())["size"] == 48


def test_frames_of_other_videos_with_other_settings_are_never_removed(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    prepare_videos(films, out, size=32)
    shutil.rmtree(films / "id2")
    with pytest.raises(ValueError, match=r"give another folder$"):
        prepare_videos(films, out, size=48, overwrite=True)
    assert Image.open(out / "id1" / "00001" / "000000.jpg").size == (32, 32)


def test_frames_of_another_video_of_that_name_are_not_taken_for_its_own(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    prepare_videos(films, out, size=32)
    write_clip(films / "id2" / "00001.mp4", 9)
    with pytest.raises(ValueError, match=r"id2/00001 is there already.*--overwrite"):
        prepare_videos(films, out, size=32)
    found = prepare_videos(films, out, size=32, overwrite=True)
    assert [(clip.num_frames, clip.was_there) for clip in found] == [(6, True), (9, False)]


def test_folders_of_others_are_not_taken_for_frames_made_here(films: Path, tmp_path: Path) -> None:
    place = tmp_path / "frames" / "id1" / "00001"
    place.mkdir(parents=True)
    (place / "mine.jpg").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"id1/00001 is (there already|in the way)"):
            prepare_videos(films, tmp_path / "frames", size=32, overwrite=overwrite)
    assert files_below(tmp_path / "frames") == ["id1/00001/mine.jpg"]


def test_frames_that_an_earlier_version_made_are_gone_on_with(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    prepare_videos(films, out, size=32)
    (out / "prepared.json").write_text('{"size": 32, "fit": "crop", "fps": null}')
    assert [clip.was_there for clip in prepare_videos(films, out, size=32)] == [True, True]
    write_clip(films / "id2" / "00001.mp4", 9)
    with pytest.raises(ValueError, match="id2/00001 is there already"):
        prepare_videos(films, out, size=32)


def test_what_a_killed_process_left_is_removed(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(work, pairs, **options):
        yield work(pairs[0])
        (left := tmp_path / "frames/id2/.00001.tmp").mkdir(parents=True)
        (left / "000000.jpg").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "spread_work", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_videos(films, tmp_path / "frames", size=32)
    assert not list(tmp_path.glob("frames/**/.*")) and (tmp_path / "frames/id1/00001/000005.jpg").is_file()


def test_a_long_name_is_no_obstacle(films: Path, tmp_path: Path) -> None:
    for ending in (".mp4", ".mov"):
        write_clip(films / f"short{ending}", 2).rename(films / f"{'n' * 251}{ending}")
    found = prepare_videos(films, tmp_path / "frames", size=32)
    assert [clip.num_frames for clip in found] == [6, 6, 2, 2]


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


@pytest.mark.parametrize("note", ["[" * 10**5, "{", "\x00", "[]", '{"videos": [1]}'])
def test_a_damaged_note_is_one_line(films: Path, tmp_path: Path, note: str) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "prepared.json").write_text(note)
    with pytest.raises(ValueError, match=r"prepared\.json is no readable note") as error:
        prepare_videos(films, tmp_path / "frames", size=32)
    assert "\n" not in str(error.value)
