"""When frames are shown: trimmed films, joined ones, uneven ones; what is whole and what ends early."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.video_clips import (
    brightness_of,
    make_frames,
    packets_of,
    trim,
    write_click,
    write_clip,
    write_in,
    write_joined,
    write_keyframes,
)

from autolink_gen.data.video.clips import VideoClip
from autolink_gen.data.video.random_frames import RandomFrames, _shares
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.times import RisingClock
from autolink_gen.data.video.writer import VideoWriter


@pytest.fixture(params=[0.0, 1.0, 1.2], ids=["its end cut", "from a keyframe", "between keyframes"])
def trimmed(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, int]:
    """1.2 of 4 s, 30 of 100 frames, and the number of the first one shown."""
    path = write_keyframes(tmp_path / "trimmed.mp4", 100, every=10)
    return trim(path, start_s=request.param, length_s=1.2), round(25 * request.param)


def test_of_a_trimmed_film_what_is_shown_counts(trimmed: tuple[Path, int]) -> None:
    path, first = trimmed
    reader = VideoReader(path)
    frames = list(reader.timed_frames())
    assert (reader.num_frames, reader.length_s, reader.bad_frames) == (30, 1.2, 0)
    assert brightness_of([frame.pixels for frame in frames]) == pytest.approx(
        [20 + 2 * (first + i) for i in range(30)], abs=3
    )
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(30) / 25)
    later = list(reader.timed_frames(start_s=0.8))
    assert brightness_of([frame.pixels for frame in later]) == brightness_of([frame.pixels for frame in frames[20:]])


def test_of_a_trimmed_film_all_frames_asked_for_come(trimmed: tuple[Path, int]) -> None:
    stream = FrameStream(trimmed[0])
    assert len(stream.spread(8)) == 8
    assert len({frame.tobytes() for frame in stream.spread(8)}) == 8
    assert len(list(stream)) == stream.num_frames == 30
    assert not stream.ends_early
    with pytest.raises(ValueError, match=r"1\.20 s long"):
        FrameStream(trimmed[0], start_s=2.0)


def test_pairs_of_a_trimmed_clip_are_of_frames_that_are_shown(trimmed: tuple[Path, int]) -> None:
    draws = RandomFrames([VideoClip(trimmed[0])], image_size=32)
    alike = sum(bool((draws[index][0] == draws[index][1]).all()) for index in range(120))
    assert alike <= 12, "one in thirty draws has the same number twice"


def test_a_clip_shorter_than_it_promises_gives_pairs_of_different_frames_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = VideoClip(write_clip(tmp_path / "clip.mp4", 12))
    clip.count = lambda: 100
    draws = RandomFrames([clip], image_size=32)
    with caplog.at_level(logging.WARNING):
        pairs = {index: draws[index] for index in range(40) if len({int(100 * s) for s in _shares(0, index, 2)}) == 2}
    assert len(pairs) > 35
    assert not any((pair[0] == pair[1]).all() for pair in pairs.values())
    (record,) = caplog.records
    assert "clip.mp4 ends at 0.48 s of the 4.00 s" in record.message
    again = RandomFrames([clip], image_size=32, cache_bytes=0)
    assert all((again[index] == pairs[index]).all() for index in reversed(pairs)), "whatever was read before"


def test_a_clip_of_one_frame_gives_no_pair(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = [VideoClip(write_clip(tmp_path / f"{count}.mp4", count)) for count in (1, 12)]
    draws = RandomFrames(clips, image_size=32)
    assert not (draws[6][0] == draws[6][1]).all()
    assert draws.bad_clips == [str(tmp_path / "1.mp4")]
    assert "one frame" in caplog.text
    assert RandomFrames(clips, image_size=32, frames=1)[0].shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("form", "codec", "ending"),
    [("mpeg", "mpeg2video", "mpg"), ("mpegts", "libx264", "mpg"), ("flv", "flv1", "flv"), ("webm", "libvpx", "webm")],
)
def test_joined_films_go_on(tmp_path: Path, form: str, codec: str, ending: str) -> None:
    reader = VideoReader(write_joined(tmp_path / f"joined.{ending}", form, codec))
    frames = list(reader.timed_frames())
    assert brightness_of([frame.pixels for frame in frames]) == pytest.approx(2 * brightness_of(make_frames(50)), abs=5)
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx(times[0] + np.arange(100) / 25, abs=2e-3)
    assert len(list(reader.timed_frames(fps=10))) == 40
    assert (reader.ends_s - times[0]) == pytest.approx(4.0, abs=2e-3)


@pytest.mark.parametrize(("form", "codec"), [("mpeg", "mpeg2video"), ("mpegts", "libx264"), ("mpegts", "mpeg2video")])
def test_joined_films_are_as_long_as_all_their_parts(tmp_path: Path, form: str, codec: str) -> None:
    path = write_joined(tmp_path / "joined.mpg", form, codec)
    stream = FrameStream(path, start_s=3.0)
    assert (FrameStream(path).num_frames, VideoReader(path).length_s) == (100, pytest.approx(4.0))
    assert brightness_of([frame.pixels for frame in stream])[-1] == pytest.approx(20 + 4 * 49, abs=5)
    assert len(list(stream)) == pytest.approx(25, abs=1)
    assert brightness_of(FrameStream(path).spread(4)) == pytest.approx([20, 120, 20, 120], abs=8)


@pytest.mark.parametrize("codec", ["mp2", "aac"])
def test_the_sound_of_joined_films_goes_on_with_the_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str
) -> None:
    kinds = {"mp2": ("mpeg", "mpeg2video"), "aac": ("mpegts", "libx264")}
    source = write_joined(tmp_path / "joined.mpg", *kinds[codec], sound=codec)
    reader, target = VideoReader(source), tmp_path / "target.mp4"
    with VideoWriter(target, fps=reader.fps, copy_audio_from=source) as writer:
        for frame in reader.timed_frames():
            writer.write(frame.pixels, time_s=frame.time_s)
    times = np.array([float(time) for time, _ in packets_of(target, "audio")])
    assert caplog.records == []
    assert times[-1] == pytest.approx(4.0, abs=0.06)
    assert np.diff(times).min() > 0 and np.diff(times).max() < 0.08
    again = VideoReader(target)
    assert (again.num_frames, len(list(again))) == (100, 100)


def test_a_part_whose_sound_is_shorter_moves_both_tracks_alike(tmp_path: Path) -> None:
    """Two seconds of pictures, one and a half of sound, twice: the second sound begins with the second pictures."""
    path = tmp_path / "joined.mpg"
    click = write_click(tmp_path / "click.wav", at_s=0.0, length_s=1.5)
    part = _program(path, click).read_bytes()
    path.write_bytes(part + part)
    target = tmp_path / "target.mp4"
    with VideoWriter(target, fps=25, copy_audio_from=path) as writer:
        for frame in VideoReader(path).timed_frames():
            writer.write(frame.pixels, time_s=frame.time_s)
    gaps = np.diff([float(time) for time, _ in packets_of(target, "audio")])
    assert gaps.max() == pytest.approx(0.5, abs=0.1)


def _program(path: Path, sound: Path) -> Path:
    """A program stream of 50 frames and all of a wave file."""
    with av.open(str(path), "w", format="mpeg") as output, av.open(str(sound)) as source:
        video, audio = output.add_stream("mpeg2video", rate=25), output.add_stream("mp2", rate=16_000)
        video.width, video.height, video.pix_fmt, audio.layout = 64, 48, "yuv420p", "mono"
        for pixels in make_frames(50):
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))
        for piece in source.decode(audio=0):
            output.mux(audio.encode(piece))
        output.mux(audio.encode(None))
    return path


def _times(*given: float | None, **options: object) -> list[float]:
    clock = RisingClock(0.04, **options)
    return [clock(time) for time in given]


def test_times_rise_whatever_a_file_says() -> None:
    assert _times(0.0, 0.04, 0.1) == [0.0, 0.04, 0.1], "as they are, where they rise"
    assert _times(None, None, None) == pytest.approx([0, 0.04, 0.08])
    assert _times(-0.5, -0.46) == pytest.approx([0, 0.04]), "before the file's start"
    assert _times(5.0, 5.04, 0.0, 0.04) == pytest.approx([5, 5.04, 5.08, 5.12]), "a part that begins anew"
    assert _times(0.0, 0.04, 0.04, 0.08, 0.12) == pytest.approx([0, 0.04, 0.06, 0.08, 0.12]), "one that is doubled"
    assert _times(0.0, 0.0, 0.0, 0.0) == pytest.approx([0, 0.02, 0.06, 0.10])
    assert _times(0.0, 2.0**33, 0.08) == pytest.approx([0, 0.04, 0.08]), "one that is absurd"
    assert _times(0.0, 3600.0) == [0, 3600], "a long gap is one"
    assert _times(0.0, 95443.7, 95443.74, leaps=True) == pytest.approx([0, 0.04, 0.08]), "a clock that was wrapped"
    assert _times(0.0, 20.0, 20.04, leaps=True) == pytest.approx([0, 0.04, 0.08])
    assert _times(1.0, 1.04, from_s=1.0) == [1.0, 1.04]


UNEVEN_S = [i * 0.04 for i in range(25)] + [1 + 0.4 * i for i in range(25)]


@pytest.mark.parametrize(
    "options", [{}, {"fps": 10}, {"start_s": 0.5}, {"start_s": 1.0}, {"end_s": 5.0}, {"start_s": 3.0, "end_s": 6.0}]
)
def test_a_film_of_uneven_rate_is_whole(tmp_path: Path, options: dict) -> None:
    stream = FrameStream(write_in(tmp_path / "uneven.mp4", "mp4", "libx264", times_s=UNEVEN_S), **options)
    assert len(list(stream)) > 5
    assert not stream.ends_early


def test_a_film_of_uneven_rate_has_at_most_the_frames_a_second_asked_for(tmp_path: Path) -> None:
    path = write_in(tmp_path / "uneven.mp4", "mp4", "libx264", times_s=UNEVEN_S)
    times = [frame.time_s for frame in FrameStream(path, fps=10)]
    assert times == pytest.approx([0, 0.12, 0.2, 0.32, 0.4, 0.52, 0.6, 0.72, 0.8, 0.92, *UNEVEN_S[25:]], abs=2e-3)


def test_a_recording_without_a_length_is_measured(tmp_path: Path) -> None:
    path = write_in(tmp_path / "live.webm", "webm", "libvpx", seekable=False, live="1")
    stream = FrameStream(path, start_s=1.0)
    assert (stream.num_frames, len(list(stream)), stream.length_s) == (25, 25, pytest.approx(1.0))
    assert not stream.ends_early
    with pytest.raises(ValueError, match=r"2\.00 s long"):
        FrameStream(path, start_s=3.0)


def test_frames_left_out_of_an_avi_are_not_missing(tmp_path: Path) -> None:
    times_s = [0.12 * i for i in range(50)]
    path = write_in(tmp_path / "gaps.avi", "avi", "mpeg4", times_s=times_s, tick=Fraction(1, 25))
    stream = FrameStream(path)
    assert [frame.time_s for frame in stream] == pytest.approx(times_s)
    assert not stream.ends_early
    assert len(stream.spread(8)) == 8


def test_a_film_that_breaks_off_ends_early(tmp_path: Path) -> None:
    path = write_in(tmp_path / "half.mkv", "matroska", "mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    stream = FrameStream(path)
    assert 5 < len(list(stream)) < 40
    assert stream.ends_early
    assert len(stream.spread(8)) < 8


def test_a_frame_held_over_the_start_is_shown(tmp_path: Path) -> None:
    path = write_in(tmp_path / "slides.mkv", "matroska", "mpeg4", count=3, times_s=[0.0, 1.0, 2.0])
    frames = list(FrameStream(path, start_s=1.2, end_s=1.6))
    assert [(frame.time_s, frame.pixels[-4, -4, 0]) for frame in frames] == [(0.0, pytest.approx(24, abs=2))]


def test_frames_of_several_times_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    plain = VideoReader._decode
    monkeypatch.setattr(
        VideoReader,
        "_decode",
        lambda self, *args, **kwargs: (decoded.append(frame.pts) or frame for frame in plain(self, *args, **kwargs)),
    )
    one = FrameStream(write_keyframes(tmp_path / "one.mp4", 100, every=1000))
    decoded.clear()
    frames = list(one.spread_one_by_one(24))
    assert brightness_of(frames) == pytest.approx([20 + 2 * (i * 100 // 24) for i in range(24)], abs=3)
    assert len(frames) == one.spread_count(24) == 24
    assert len(decoded) <= 100, "one pass, where there is no keyframe to seek"
    many = FrameStream(write_keyframes(tmp_path / "many.mp4", 100, every=5))
    decoded.clear()
    assert brightness_of(list(many.spread_one_by_one(3))) == pytest.approx([20, 86, 152], abs=3)
    assert len(decoded) < 20, "what lies between is passed over"


@pytest.mark.parametrize("guess", [1000, 100])
def test_a_film_that_says_no_rate_has_that_of_its_frames(tmp_path: Path, guess: int) -> None:
    """WMV of uneven times: what FFmpeg guesses is the rate by which all of them are even."""
    gaps_s = np.random.RandomState(1).randint(guess // 50, 6 * guess // 100, 49) / guess
    times_s = [0.0, *np.cumsum(gaps_s).tolist()]
    path = write_in(tmp_path / "uneven.wmv", "asf", "wmv2", times_s=times_s)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.guessed_rate) == (None, guess), "else this test shows nothing"
    reader = VideoReader(path)
    assert float(reader.fps) == pytest.approx(49 / times_s[-1], rel=1e-3)
    assert (reader.num_frames, reader.estimated_frames, VideoClip(path).count()) == (50, 50, 50)
    assert reader.length_s == pytest.approx(times_s[-1] + 1 / float(reader.fps), abs=0.05)
    frames = list(reader.timed_frames())
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=2e-3)
    assert {frame.hold_s for frame in frames} == {1 / float(reader.fps)}, "not one tick"
    assert brightness_of([next(reader.timed_frames(start_s=times_s[30])).pixels]) == pytest.approx([20 + 4 * 30], abs=3)
    stream = FrameStream(path)
    assert len(list(stream)) == 50 and not stream.ends_early
    assert brightness_of(stream.spread(2)) == pytest.approx([20, 20 + 4 * 25], abs=12)
