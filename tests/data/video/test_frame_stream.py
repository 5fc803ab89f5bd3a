"""Videos, pictures and folders of frames as one stream."""

from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import brightness_of, make_frames, write_click, write_clip, write_in, write_keyframes
from PIL import Image

from autolink_gen.data.video import stream as frame_stream
from autolink_gen.data.video.stream import FrameStream


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_keyframes(tmp_path / "film.mp4", 50, every=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(make_frames(10)):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{number:03}.png")
    return tmp_path / "frames"


def test_a_video(film: Path) -> None:
    stream = FrameStream(film)
    frames = list(stream)
    assert (stream.fps, stream.num_frames, stream.has_audio, stream.is_image) == (25, 50, False, False)
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(50) / 25)
    assert len(list(stream)) == 50, "it can be iterated again"


def test_times_count_from_the_start(film: Path) -> None:
    stream = FrameStream(film, start_s=0.5, end_s=0.7)
    frames = list(stream)
    assert stream.num_frames == len(frames) == 5
    assert frames[0].time_s == pytest.approx(0.02)
    straight = list(FrameStream(film))[13:18]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames, straight, strict=True))


def test_fewer_frames_a_second(film: Path) -> None:
    stream = FrameStream(film, fps=5)
    assert (stream.fps, stream.num_frames, len(list(stream))) == (5, 10, 10)
    assert FrameStream(film, fps=100).fps == 25


def test_a_folder_of_frames(folder: Path) -> None:
    stream = FrameStream(folder, fps=10, start_s=0.3, end_s=0.6)
    frames = list(stream)
    assert (stream.num_frames, len(frames)) == (3, 3)
    assert brightness_of([frame.pixels for frame in frames]) == [32, 36, 40]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert FrameStream(folder).fps == 25


def test_a_picture(folder: Path) -> None:
    stream = FrameStream(folder / "003.png")
    assert stream.is_image and stream.num_frames == 1
    (frame,) = stream
    assert frame.time_s == 0 and frame.pixels[-1, -1, 0] == 32


def test_frames_spread_over_it(film: Path, folder: Path) -> None:
    assert brightness_of(FrameStream(film).spread(5)) == pytest.approx([20, 60, 100, 140, 180], abs=3)
    assert brightness_of(FrameStream(folder).spread(2)) == [20, 40]
    assert len(FrameStream(folder / "000.png").spread(4)) == 1


def test_more_frames_than_there_are_spread_over_all(film: Path) -> None:
    stream = FrameStream(film, end_s=0.16)
    assert stream.num_frames == 4
    assert brightness_of(stream.spread(8)) == pytest.approx(brightness_of([frame.pixels for frame in stream]), abs=1)


def test_sound_is_told_of(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.5)
    assert FrameStream(write_clip(tmp_path / "loud.mp4", 10, sound=click)).has_audio


def test_damaged_frames_are_counted(film: Path) -> None:
    data = film.read_bytes()
    film.write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(ValueError, match="cannot read the video"):
        list(FrameStream(film))


def test_damaged_frames_of_a_folder_are_counted_up_to_a_share(folder: Path) -> None:
    (folder / "004.png").write_text("no picture")
    stream = FrameStream(folder)
    frames = list(stream)
    assert (len(frames), stream.bad_frames) == (9, 1)
    assert frames[4].time_s == pytest.approx(0.2), "the others keep their times"
    with raises_mentioning(ValueError, "1 of the 10", ("cannot be read", "unreadable"), "004.png"):
        list(FrameStream(folder, max_bad_share=0.05))
    with pytest.raises(ValueError, match=r"004\.png"):
        list(FrameStream(folder / "004.png"))


@pytest.mark.parametrize(
    ("changes", "things"),
    [
        ({"start_s": 1.0, "end_s": 0.5}, ("start 1 s", "end 0.5 s")),
        ({"start_s": -1.0}, ("start -1 s",)),
        ({"start_s": 99.0}, ("2.00 s", "start", "99 s")),
    ],
)
def test_times_are_checked(film: Path, changes: dict, things: tuple[str, ...]) -> None:
    with raises_mentioning(ValueError, *things):
        FrameStream(film, **changes)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with raises_mentioning(ValueError, "notes.txt", "name", "video"):
        FrameStream(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"none\.avi"):
        FrameStream(tmp_path / "none.avi")
    with raises_mentioning(ValueError, "none", ("exist", "no such")):
        FrameStream(tmp_path / "none")


def test_of_large_frames_fewer_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = FrameStream(write_clip(tmp_path / "film.mp4", 20))
    monkeypatch.setattr(frame_stream, "_MAX_SPREAD_BYTES", 3 * 64 * 48 * 3)
    assert len(film.spread(10)) == 3
    assert len(list(film.spread_one_by_one(10))) == 10


def test_an_end_beyond_the_video_leaves_the_count_as_it_is(tmp_path):
    times_s = [0.066 * (i // 2) + 0.033 * (i % 2) for i in range(19)] + [1.2]
    clip = write_in(tmp_path / "a.webm", "webm", "libvpx", count=20, times_s=times_s, seekable=False)
    assert FrameStream(clip, end_s=300.0).num_frames == FrameStream(clip).num_frames
    assert FrameStream(clip, end_s=0.4).num_frames < 20
