"""Reading and writing videos: rate, count, pictures, sound."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import (
    HEIGHT,
    RATE,
    WIDTH,
    brightness_of,
    loud_from,
    make_frames,
    packets_of,
    write_click,
    write_clip,
    write_keyframes,
)
from PIL import Image

from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import FrameFolderWriter, VideoWriter


@pytest.mark.parametrize("fps", [25, Fraction(30_000, 1001), Fraction(24_000, 1001), 12.5, 60, 7])
@pytest.mark.parametrize("timed", [True, False])
def test_rate_count_and_pictures_survive(tmp_path: Path, fps: float | Fraction, *, timed: bool) -> None:
    path, frames = tmp_path / "clip.mp4", make_frames(20)
    with VideoWriter(path, fps=fps) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, time_s=float(i / Fraction(fps)) if timed else None)
    reader = VideoReader(path)
    assert (reader.fps, reader.num_frames) == (Fraction(fps), 20)
    assert (reader.width, reader.height, reader.has_audio) == (WIDTH, HEIGHT, False)
    assert brightness_of(list(reader)) == pytest.approx(brightness_of(frames), abs=4)
    assert reader.bad_frames == 0
    times = [frame.time_s for frame in reader.timed_frames()]
    assert times == pytest.approx([i / float(fps) for i in range(20)], abs=2e-4)
    assert [frame.number for frame in reader.timed_frames()] == list(range(20))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 60), (255, 255, 255)])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        writer.write(np.full((HEIGHT, WIDTH, 3), colour, np.uint8))
    assert next(iter(VideoReader(path))).mean(axis=(0, 1)) == pytest.approx(colour, abs=4)


def test_mp4_is_what_players_and_browsers_take(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat"), "the index belongs at the front"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        writer.write(make_frames(1, height=33, width=51)[0])
    frame = next(iter(VideoReader(path)))
    assert frame.shape == (34, 52, 3)
    assert abs(int(frame[33, 51, 0]) - 20) < 5, "the border is repeated, not black"


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    path, times = tmp_path / "clip.mp4", [0.0, 0.1, 0.5, 0.55, 2.0]
    with VideoWriter(path, fps=10) as writer:
        for frame, time_s in zip(make_frames(5), times, strict=True):
            writer.write(frame, time_s=time_s)
    assert [frame.time_s for frame in VideoReader(path).timed_frames()] == pytest.approx(times, abs=1e-3)


def test_gif_is_written_and_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.gif", 10, fps=20)
    reader = VideoReader(path)
    frames = list(reader)
    assert path.read_bytes()[:4] == b"GIF8"
    assert (len(frames), reader.fps) == (10, 20)
    assert brightness_of(frames) == pytest.approx(brightness_of(make_frames(10)), abs=1)


def test_webm_is_written_with_its_sound(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.9)
    reader = VideoReader(write_clip(tmp_path / "clip.webm", 20, sound=click))
    assert (reader.fps, reader.has_audio) == (25, True)
    assert brightness_of(list(reader)) == pytest.approx(brightness_of(make_frames(20)), abs=3)
    assert [frame.time_s for frame in reader.timed_frames()] == pytest.approx(np.arange(20) / 25, abs=1e-3)
    assert loud_from(tmp_path / "clip.webm") == pytest.approx(0.5, abs=0.03)


def test_a_folder_of_frames_is_written(tmp_path: Path) -> None:
    with FrameFolderWriter(tmp_path / "frames") as writer:
        for frame in make_frames(3):
            writer.write(frame, time_s=0.0)
    assert writer.num_frames == 3
    found = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "frames").iterdir())]
    assert all(np.array_equal(a, b) for a, b in zip(found, make_frames(3), strict=True))
    with pytest.raises(ValueError, match="is not empty"):
        FrameFolderWriter(tmp_path / "frames")


def test_gif_has_at_most_fifty_frames_a_second(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.gif", 30, fps=100))
    times = [frame.time_s for frame in reader.timed_frames()]
    assert np.diff(times).min() >= 0.02 - 1e-6
    assert times[-1] == pytest.approx(0.28, abs=0.011)


def test_a_reader_can_be_iterated_again_and_left_early(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4"))
    next(iter(reader))
    assert len(list(reader)) == len(list(reader)) == 20


def test_fewer_frames_a_second_are_spread_evenly(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", 50, fps=25))
    assert [frame.number for frame in reader.timed_frames(fps=5)] == list(range(0, 50, 5))
    assert len(list(reader.timed_frames(fps=10))) == 20
    assert len(list(reader.timed_frames(fps=1000))) == 50
    with pytest.raises(ValueError, match="fps is 0"):
        list(reader.timed_frames(fps=0))


def test_a_start_is_sought(tmp_path: Path) -> None:
    reader = VideoReader(write_keyframes(tmp_path / "clip.mp4", 50, every=10))
    frames = list(reader.timed_frames(start_s=1.0, end_s=1.2))
    assert [frame.number for frame in frames] == [25, 26, 27, 28, 29]
    assert [frame.time_s for frame in frames] == pytest.approx([1.0, 1.04, 1.08, 1.12, 1.16])
    straight = [frame.pixels for frame in reader.timed_frames() if 25 <= frame.number < 30]
    assert all(np.array_equal(frame.pixels, other) for frame, other in zip(frames, straight, strict=True))
    assert [frame.number for frame in reader.timed_frames(fps=5, start_s=1.0)] == [25, 30, 35, 40, 45]


def test_what_lies_before_the_keyframe_is_not_decoded(tmp_path: Path) -> None:
    reader = VideoReader(write_keyframes(tmp_path / "clip.mp4", 50, every=10))
    assert [frame.number for frame in reader.from_keyframe(1.0)] == list(range(20, 50))
    assert [frame.number for frame in reader.from_keyframe(100.0)] == list(range(40, 50))
    assert [frame.number for frame in reader.from_keyframe(0.0)] == list(range(50))


def test_a_gif_is_sought_in_too(tmp_path: Path) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.gif", 20, fps=20))
    (frame,) = reader.timed_frames(start_s=0.5, end_s=0.55)
    assert brightness_of([frame.pixels]) == pytest.approx(brightness_of(make_frames(20)[10:11]), abs=1)


@pytest.mark.parametrize(
    ("matrix", "white_corner", "size"),
    [
        ((0, 1, 0, -1, 0, 0, HEIGHT, 0), "upper right", (HEIGHT, WIDTH)),
        ((-1, 0, 0, 0, -1, 0, WIDTH, HEIGHT), "lower right", (WIDTH, HEIGHT)),
        ((0, -1, 0, 1, 0, 0, 0, WIDTH), "lower left", (HEIGHT, WIDTH)),
    ],
)
def test_films_of_turned_telephones_are_upright(
    tmp_path: Path, matrix: tuple[int, ...], white_corner: str, size: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", 3)
    data = path.read_bytes()
    place = data.find(struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), data.find(b"tkhd"))
    turned = struct.pack(">9i", *(value << 16 for value in matrix), 1 << 30)
    path.write_bytes(data[:place] + turned + data[place + 36 :])
    reader = VideoReader(path)
    frame = next(iter(reader))
    assert (reader.width, reader.height) == size
    assert frame.shape[:2] == (size[1], size[0])
    corners = {"upper left": frame[3, 3], "upper right": frame[3, -4], "lower left": frame[-4, 3]}
    corners["lower right"] = frame[-4, -4]
    assert max(corners, key=lambda name: corners[name].mean()) == white_corner


def test_sound_is_copied_bit_for_bit_and_in_step(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    source = write_clip(tmp_path / "source.mp4", 20, sound=click)
    target = tmp_path / "target.mp4"
    reader = VideoReader(source)
    with VideoWriter(target, fps=reader.fps, copy_audio_from=source) as writer:
        for frame in reader.timed_frames():
            writer.write(frame.pixels, time_s=frame.time_s)
    assert reader.has_audio
    assert packets_of(target, "audio") == packets_of(source, "audio")
    assert loud_from(target) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["wav", "mp4"])
def test_sound_from_a_time_on(tmp_path: Path, kind: str) -> None:
    click = write_click(tmp_path / "click.wav", at_s=1.0, length_s=2.0)
    source = click if kind == "wav" else write_clip(tmp_path / "source.mp4", 50, sound=click)
    with VideoWriter(tmp_path / "cut.mp4", fps=25, copy_audio_from=source, audio_start_s=0.6) as writer:
        for frame in make_frames(20):
            writer.write(frame)
    assert loud_from(tmp_path / "cut.mp4") == pytest.approx(0.4, abs=0.03)


def test_sound_that_mp4_cannot_hold_is_encoded_and_stays_in_step(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    target = write_clip(tmp_path / "target.mp4", 20, sound=click)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert loud_from(target) == pytest.approx(0.5, abs=0.01)


def test_sound_of_a_file_that_starts_late_stays_in_step(tmp_path: Path) -> None:
    """Time stamps of a program stream do not begin at zero."""
    source, target = tmp_path / "source.mpg", tmp_path / "target.mp4"
    click = write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    with av.open(str(source), "w", format="mpeg") as output, av.open(str(click)) as sound:
        video = output.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = output.add_stream("mp2", rate=RATE)
        audio.layout = "mono"
        for frame in make_frames(20):
            output.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(video.encode(None))
        for piece in sound.decode(audio=0):
            output.mux(audio.encode(piece))
        output.mux(audio.encode(None))
    with av.open(str(source)) as container:
        assert container.start_time > 100_000, "else this test shows nothing"
    reader = VideoReader(source)
    with VideoWriter(target, fps=reader.fps, copy_audio_from=source) as writer:
        for frame in reader.timed_frames():
            writer.write(frame.pixels, time_s=frame.time_s)
    assert next(reader.timed_frames()).time_s < 0.05
    assert loud_from(target) == pytest.approx(loud_from(source), abs=0.03)


def test_sound_ends_with_the_frames(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=5.0)
    target = write_clip(tmp_path / "target.mp4", 25, sound=click)
    with av.open(str(target)) as container:
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.1)


def test_a_source_without_sound_changes_nothing(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4")
    assert not VideoReader(write_clip(tmp_path / "target.mp4", sound=silent)).has_audio


def test_a_source_of_sound_that_is_none_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("not a sound")
    with raises_mentioning(ValueError, "audio", "text.mp3"):
        write_clip(tmp_path / "target.mp4", sound=text)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp3"]


def test_real_clips_keep_rate_length_and_sound(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data" / "voxceleb2" / "test"
    clips = sorted(folder.rglob("*.mp4"))
    if not clips:
        pytest.skip(f"no clips in {folder}")
    clip = min(clips, key=lambda path: path.stat().st_size)
    reader, target = VideoReader(clip), tmp_path / "target.mp4"
    with VideoWriter(target, fps=reader.fps, copy_audio_from=clip) as writer:
        for frame in reader.timed_frames():
            writer.write(frame.pixels, time_s=frame.time_s)
    again = VideoReader(target)
    assert (again.fps, again.num_frames, again.has_audio) == (reader.fps, reader.num_frames, reader.has_audio)
    assert packets_of(target, "audio") == packets_of(clip, "audio")
