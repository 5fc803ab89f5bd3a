"""Frames at a time, in files that list no keyframes: each picture shows its own number in black and white bars."""

from pathlib import Path

import av
import numpy as np
import pytest

from autolink_gen.data.video.clips import VideoClip
from autolink_gen.data.video.random_frames import RandomFrames, _shares
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.stream import FrameStream

_BITS, _COUNT, _FPS = 7, 100, 25
_KINDS = {"ts": ("mpegts", "libx264"), "m2v.ts": ("mpegts", "mpeg2video"), "mpg": ("mpeg", "mpeg2video")}
_LISTED = {"mp4": ("mp4", "libx264"), "mkv": ("matroska", "libx264"), "flv": ("flv", "libx264")}


def write_numbered(path: Path, form: str, codec: str, *, every: int) -> Path:
    """100 frames, 25 a second, a keyframe each so many; the noise below has each fill a packet of a program stream."""
    draw = np.random.RandomState(0)
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=_FPS, options={"g": str(every), "sc_threshold": "0", "b": "1500000"})
        stream.width, stream.height, stream.pix_fmt = 16 * _BITS, 96, "yuv420p"
        for number in range(_COUNT):
            pixels = draw.randint(0, 256, (96, 16 * _BITS, 3)).astype(np.uint8)
            pixels[:48] = np.repeat([255 * (number >> bit & 1) for bit in range(_BITS)], 16)[None, :, None]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def number_of(pixels: np.ndarray) -> int:
    """The number that a frame shows, (H, W, 3)."""
    height, width = pixels.shape[:2]
    middles = ((np.arange(_BITS) + 0.5) * width / _BITS).astype(int)
    return sum(int(pixels[height // 4, x].mean() > 128) << bit for bit, x in enumerate(middles))


@pytest.fixture(scope="module", params=[("ts", 12), ("ts", 250), ("m2v.ts", 12), ("mpg", 12), ("mpg", 250)], ids=str)
def unlisted(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A transport or program stream, with several keyframes or one alone."""
    kind, every = request.param
    return write_numbered(tmp_path_factory.mktemp("film") / f"film.{kind}", *_KINDS[kind], every=every)


@pytest.mark.parametrize("start_s", [0.2, 2.5, 3.96])
def test_a_part_begins_at_its_time(unlisted: Path, start_s: float) -> None:
    stream = FrameStream(unlisted, start_s=start_s)
    frames = list(stream)
    first = int(np.ceil(round(_FPS * start_s, 6)))
    assert [number_of(frame.pixels) for frame in frames] == list(range(first, _COUNT))
    assert frames[0].time_s == pytest.approx(first / _FPS - start_s, abs=1e-3)
    assert stream.bad_frames == 0 and not stream.ends_early


def test_frames_of_numbers_are_those_of_the_clip(unlisted: Path) -> None:
    clip = VideoClip(unlisted)
    for wanted in ([3], [33, 50], [99]):
        read = {number: number_of(pixels) for number, pixels in clip.read(wanted, min_side=32)}
        assert set(wanted) <= set(read)
        assert all(number == shown for number, shown in read.items())


def test_a_pair_is_of_the_frames_drawn(unlisted: Path) -> None:
    clip = VideoClip(unlisted)
    draws = RandomFrames([clip], image_size=112, fit="stretch", cache_bytes=0)
    for index in range(2):
        shown = [number_of(picture.permute(1, 2, 0).numpy()) for picture in draws[index]]
        assert shown == [int(share * clip.count()) for share in _shares(0, index, 2)]


def test_frames_at_times_and_spread_are_those_shown_then(unlisted: Path) -> None:
    at = [(round(_FPS * frame.time_s), number_of(frame.pixels)) for frame in VideoReader(unlisted).at([0.4, 1.56, 3.6])]
    assert at == [(10, 10), (39, 39), (90, 90)]
    assert [number_of(frame) for frame in FrameStream(unlisted, start_s=1.0).spread(3)] == [25, 50, 75]
    assert list(VideoReader(unlisted).at([50.0])) == [], "nothing is shown beyond the end"


def test_what_was_decoded_already_is_not_gone_back_to(unlisted: Path) -> None:
    reader = VideoReader(unlisted)
    assert list(reader.from_keyframe(1.2, beyond_s=1.16)) == [], "no keyframe lies between"
    beyond = [number_of(frame.pixels) for frame in reader.from_keyframe(3.8, beyond_s=0.4)]
    with av.open(str(unlisted)) as container:
        keyframes = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    if keyframes == [0]:
        assert beyond == []
    else:
        assert beyond[0] in keyframes and 10 < beyond[0] <= 95
        assert beyond == list(range(beyond[0], _COUNT))


@pytest.mark.parametrize("kind", _LISTED)
def test_where_keyframes_are_listed_one_seek_is_enough(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = VideoReader(write_numbered(tmp_path / f"film.{kind}", *_LISTED[kind], every=20))
    opened, plain = [], VideoReader._open
    monkeypatch.setattr(VideoReader, "_open", lambda self: opened.append(self) or plain(self))
    first = next(reader.from_keyframe(2.0))
    assert (number_of(first.pixels), len(opened)) == (40, 1)
    assert number_of(next(reader.timed_frames(start_s=2.6)).pixels) == 65
