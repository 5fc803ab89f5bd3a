"""Animated WebP files: what was written is read back, and what fails leaves nothing."""

import errno
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import brightness_of, make_frames, write_click
from PIL import Image

from autolink_gen.data.video import animated_writer
from autolink_gen.data.video.animated_images import open_video
from autolink_gen.data.video.animated_writer import AnimatedImageWriter
from autolink_gen.data.video.outputs import MOVING_SUFFIXES, open_writer
from autolink_gen.data.video.reader import VideoError
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import VideoWriter


def holds_ms(path: Path) -> list[int]:
    holds = []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            holds.append(image.info["duration"])
    return holds


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    times_s, frames = [0.0, 0.1, 0.5, 0.55, 2.0], make_frames(5)
    with AnimatedImageWriter(tmp_path / "a.webp", fps=10) as writer:
        for frame, time_s in zip(frames, times_s, strict=True):
            writer.write(frame, time_s=time_s)
        writer.end_at(2.7)
    video = FrameStream(tmp_path / "a.webp")
    found = list(video)
    assert [frame.time_s for frame in found] == pytest.approx(times_s)
    assert (len(found), video.length_s) == (5, pytest.approx(2.7))
    for frame, true in zip(found, frames, strict=True):
        assert frame.pixels.shape == true.shape
        assert np.abs(frame.pixels.astype(int) - true).mean() < 2
    with Image.open(tmp_path / "a.webp") as image:
        assert image.info["loop"] == 0, "for ever"


def test_colours_and_odd_sizes_are_kept(tmp_path: Path) -> None:
    colours = np.array([(220, 40, 30), (30, 160, 60), (40, 60, 210)], np.uint8)
    with AnimatedImageWriter(tmp_path / "a.webp", fps=5) as writer:
        for colour in colours:
            writer.write(np.broadcast_to(colour, (33, 51, 3)))
    found = np.stack(list(open_video(tmp_path / "a.webp")))
    assert found.shape == (3, 33, 51, 3)
    assert np.abs(found.mean((1, 2)) - colours).max() < 6


def test_a_frame_painted_into_the_same_memory_is_another_one(tmp_path: Path) -> None:
    canvas = np.zeros((16, 16, 3), np.uint8)
    with AnimatedImageWriter(tmp_path / "a.webp", fps=10) as writer:
        for brightness in (20, 120, 220):
            canvas[:] = brightness
            writer.write(canvas)
    assert brightness_of(list(open_video(tmp_path / "a.webp"))) == pytest.approx([20, 120, 220], abs=3)


@pytest.mark.parametrize(("fps", "expected"), [(Fraction(30000, 1001), 30 / 29.97), (60, 0.5), (25, 1.2)])
def test_rates_are_kept_and_rounding_does_not_add_up(tmp_path: Path, fps: Fraction | int, expected: float) -> None:
    with AnimatedImageWriter(tmp_path / "a.webp", fps=fps) as writer:
        for frame in make_frames(30):
            writer.write(frame)
    holds = holds_ms(tmp_path / "a.webp")
    assert len(holds) == 30 and sum(holds) == pytest.approx(1000 * expected, abs=1)
    assert max(holds) - min(holds) <= 1


def test_frames_too_fast_for_browsers_are_left_out(tmp_path: Path) -> None:
    with AnimatedImageWriter(tmp_path / "a.webp", fps=200) as writer:
        for frame in make_frames(30):
            writer.write(frame)
    assert min(holds_ms(tmp_path / "a.webp")) > 10
    assert open_video(tmp_path / "a.webp").length_s == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize(("end_s", "last_ms"), [(None, 100), (0.1, 100), (-1.0, 100), (1.2, 1000), (1e9, 600_000)])
def test_the_last_frame_is_held(tmp_path: Path, end_s: float | None, last_ms: int) -> None:
    with AnimatedImageWriter(tmp_path / "a.webp", fps=10) as writer:
        for frame in make_frames(3):
            writer.write(frame)
        if end_s is not None:
            writer.end_at(end_s)
    assert holds_ms(tmp_path / "a.webp") == [100, 100, last_ms]


def test_one_frame_is_an_image(tmp_path: Path) -> None:
    with AnimatedImageWriter(tmp_path / "a.webp", fps=10) as writer:
        writer.write(make_frames(1)[0])
    assert FrameStream(tmp_path / "a.webp").is_image


# ---- what fails ----


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.webp").write_text("mine")
    for name in ("a.webp", "old.webp"):
        with pytest.raises(KeyError), AnimatedImageWriter(tmp_path / name, fps=10) as writer:
            writer.write(make_frames(1)[0])
            raise KeyError("a bug")
    assert [path.name for path in tmp_path.iterdir()] == ["old.webp"]
    assert (tmp_path / "old.webp").read_text() == "mine"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = AnimatedImageWriter(tmp_path / "a.webp", fps=10)
    with raises_mentioning(OSError, "a.webp", "No space left"), writer:
        for frame in make_frames(3):
            writer.write(frame)
        monkeypatch.setattr(Path, "write_bytes", full)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_is_said_at_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = AnimatedImageWriter(tmp_path / "file" / "a.webp", fps=10)
    with raises_mentioning(OSError, "a.webp", "choose another place"), writer:
        writer.write(make_frames(1)[0])
        pytest.fail("an hour of painting would be lost")


def test_frames_of_another_size_none_and_too_large_ones_are_refused(tmp_path: Path) -> None:
    one, empty, wide = (AnimatedImageWriter(tmp_path / f"{name}.webp", fps=10) for name in "abc")
    with raises_mentioning(ValueError, "frame 1", "a.webp", "(24, 32)", "(48, 64)", "one size"), one:
        one.write(make_frames(1)[0])
        one.write(make_frames(1, height=24, width=32)[0])
    with raises_mentioning(ValueError, "b.webp", "no frame", "at least one"), empty:
        pass
    with raises_mentioning(VideoError, "c.webp", "16384", "16383"), wide:
        wide.write(np.zeros((1, 16_384, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("expected_frames", [0, 4])
def test_more_than_memory_may_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_frames: int
) -> None:
    bound = 3 * make_frames(1)[0].nbytes
    monkeypatch.setattr(animated_writer, "MAX_BYTES", bound)
    writer = AnimatedImageWriter(tmp_path / "a.webp", fps=10, expected_frames=expected_frames)
    with raises_mentioning(ValueError, "a.webp", "3 frames", f"{bound:,} bytes", ".mp4"), writer:
        for frame in make_frames(4):
            writer.write(frame)
    assert writer.num_frames == (4 if expected_frames == 0 else 0), "known from the first frame on, where that can be"
    assert not list(tmp_path.iterdir())


def test_the_ending_chooses_the_writer(tmp_path: Path) -> None:
    kinds = {ending: type(open_writer(tmp_path / f"a{ending}", fps=10)) for ending in (*MOVING_SUFFIXES, ".WEBP")}
    assert {ending for ending, kind in kinds.items() if kind is AnimatedImageWriter} == {".webp", ".WEBP"}
    assert {ending for ending, kind in kinds.items() if kind is VideoWriter} == {".mp4", ".mov", ".webm", ".gif"}
    with raises_mentioning(ValueError, "a.avi", *MOVING_SUFFIXES):
        open_writer(tmp_path / "a.avi", fps=10)
    for ending, fps in ((".avi", 10), (".webp", 0)):
        with raises_mentioning(ValueError, ".webp" if fps else "fps"):
            AnimatedImageWriter(tmp_path / f"a{ending}", fps=fps)


def test_it_is_silent_as_a_gif_is(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.5)
    with open_writer(tmp_path / "a.webp", fps=10, copy_audio_from=click) as writer:
        for frame in make_frames(3):
            writer.write(frame)
    video = open_video(tmp_path / "a.webp")
    assert (len(list(video)), video.has_audio) == (3, False)
