"""Videos: small ones in every container that a name may promise, playlists under a video's name, damaged boxes."""

import io
import wave
import zlib
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
from fuzz_kinds import Kind, Sample
from kinds_pictures import change_riff, saved
from mutators import word_of
from PIL import Image

from autolink_gen.data.video.animated_images import open_video
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import VideoWriter

TOKENS = (b"moov", b"trak", b"mdia", b"stbl", b"stts", b"stsz", b"stco", b"co64", b"ctts", b"elst", b"dref", b"alis",
          b"url ", b"moof", b"trun", b"\x1aE\xdf\xa3", b"\x15\x49\xa9\x66", b"\x01\xff\xff\xff\xff\xff\xff\xff",
          b"RIFF", b"AVI LIST", b"hdrl", b"strh", b"idx1", b"00dc", b"GIF89a", b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0",
          b"\x47\x40\x00\x10", b"\0\0\1\xba", b"\0\0\1\xb3", b"\0\0\0\1\x67", b"#EXTM3U\n", b"ffconcat version 1.0\n",
          b"FLV\x01\x05",
          b"ANMF", b"fcTL", b"fdAT", b"acTL")  # fmt: skip
_SIDE = 32
_FRAMES = 5


def _frames() -> list[av.VideoFrame]:
    y, x = np.mgrid[:_SIDE, :_SIDE]
    return [
        av.VideoFrame.from_ndarray(
            np.stack([x * 8, y * 8, (x + y + 9 * n) * 4 % 256], -1).astype(np.uint8), format="rgb24"
        )
        for n in range(_FRAMES)
    ]


def encoded(form: str, codec: str, *, pixels: str = "yuv420p", sound: str | None = None, **options: str) -> bytes:
    """A video of a few frames in a container, with or without sound."""
    buffer = io.BytesIO()
    buffer.name = "clip"
    with av.open(buffer, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1
        track = container.add_stream(sound, rate=44_100) if sound else None
        for frame in _frames():
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _mux_sound(container, track)
    return buffer.getvalue()


def _mux_sound(container: av.container.OutputContainer, track: av.AudioStream) -> None:
    samples = (np.sin(np.arange(8820) / 20)[None] * 0.3).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 44_100, 0, Fraction(1, 44_100)
    resampler = av.AudioResampler(format=track.format.name, layout="mono", rate=track.rate)
    fifo = av.AudioFifo()
    for part in resampler.resample(frame):
        fifo.write(part)
    while piece := fifo.read(track.codec_context.frame_size or 1024, partial=True):
        container.mux(track.encode(piece))
    container.mux(track.encode(None))


def playlists() -> dict[str, bytes]:
    """Files that name others, as a video is called; a reader that opens those others is found out."""
    beside = ("../canary/other.ts", "../canary/other.mp4")
    return {
        "playlist.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{beside[0]}\n#EXT-X-ENDLIST\n".encode(),
        "inner.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nbeside/other.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile {beside[1]}\n".encode(),
        "safe.mp4": b"ffconcat version 1.0\nfile beside/other.mp4\n",
        "dash.mp4": (
            b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
            b'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>../canary/other.mp4</BaseURL>'
            b"</Representation></AdaptationSet></Period></MPD>"
        ),
        "session.mov": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "images.mkv": b"../canary/other%d.png",
    }


def samples() -> list[Sample]:
    """Small videos of every form."""
    gif = io.BytesIO()
    first, *more = (Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in _frames())
    first.save(gif, "GIF", save_all=True, append_images=more, duration=40)
    files = {
        "h264.mp4": encoded("mp4", "libx264", sound="aac"),
        "part.mp4": encoded("mp4", "libx264", movflags="frag_keyframe+empty_moov"),
        "mpeg4.mov": encoded("mov", "mpeg4"),
        "jpeg.mov": encoded("mov", "mjpeg", pixels="yuvj420p"),
        "h264.mkv": encoded("matroska", "libx264", sound="aac"),
        "vp9.webm": encoded("webm", "libvpx-vp9"),
        "vp8.webm": encoded("webm", "libvpx"),
        "mpeg4.avi": encoded("avi", "mpeg4"),
        "raw.avi": encoded("avi", "rawvideo"),
        "stream.mpg": encoded("mpegts", "mpeg2video"),
        "program.mpeg": encoded("mpeg", "mpeg1video"),
        "old.wmv": encoded("asf", "wmv2"),
        "flash.flv": encoded("flv", "flv1"),
        "moving.gif": gif.getvalue(),
        "still.mp4": saved(first, "PNG"),
        "moving.webp": _moving("WEBP", first, more),
        "moving.png": _moving("PNG", first, more),
        "joined.ts": 2 * encoded("mpegts", "libx264", sound="aac"),
        "joined.vob": 2 * encoded("vob", "mpeg2video", sound="mp2"),
        "open.ogv": encoded("ogg", "libvpx"),
        "sound.mov": _wave(),
        **playlists(),
    }
    return [Sample(name, content) for name, content in files.items()]


def _moving(form: str, first: Image.Image, more: list[Image.Image]) -> bytes:
    """A picture that moves."""
    buffer = io.BytesIO()
    first.save(buffer, form, save_all=True, append_images=more, duration=40)
    return buffer.getvalue()


def _wave() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    return buffer.getvalue()


_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"udta"}


def boxes(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Places and sizes of all boxes of an MP4 file."""
    found: list[tuple[int, int]] = []
    place, stop = start, len(data) if end is None else end
    while place + 8 <= stop and len(found) < 200:
        size = int.from_bytes(data[place : place + 4], "big")
        if size < 8:
            break
        found.append((place, min(size, stop - place)))
        if data[place + 4 : place + 8] in _CONTAINERS:
            found += boxes(data, place + 8, min(place + size, stop))
        place += size
    return found


def change_boxes(draw: Random, data: bytes) -> bytes:
    """An MP4 with the size of a box, or a number in it, changed; or a box left out or repeated."""
    found = boxes(data) if data[4:8] == b"ftyp" else []
    if not found:
        return data
    place, size = draw.choice(found)
    way = draw.randrange(5)
    if way == 0:
        return data[:place] + word_of(draw, 4, "big") + data[place + 4 :]
    if way == 1:
        return data[:place] + data[place + size :]
    if way == 2:
        return data[: place + size] + data[place : place + size] * draw.choice((1, 3, 100)) + data[place + size :]
    field = place + 8 + 4 * draw.randrange(max(1, min(size - 8, 120) // 4))
    length = draw.choice((2, 4, 4, 8))
    return data[:field] + word_of(draw, length, "big") + data[field + length :]


def change_ebml(draw: Random, data: bytes) -> bytes:
    """A Matroska file with the length of an element changed, or a number near the start."""
    if not data.startswith(b"\x1aE\xdf\xa3"):
        return data
    place = draw.randrange(min(len(data), 600))
    new = draw.choice((b"\x01" + word_of(draw, 7, "big"), b"\x08" + word_of(draw, 4, "big"), b"\xff", b"\x80",
                       b"\x88" + word_of(draw, 8, "big"), b"\x84" + word_of(draw, 4, "big")))  # fmt: skip
    return data[:place] + new + data[place + len(new) :]


def read(home: Path, file: Path) -> None:
    """What commands do with a video: all frames, or some found by seeking, or its sound under another's frames."""
    content = file.read_bytes()
    way = zlib.crc32(content) % 4
    is_small = len(content) < 300  # then all of that
    if way == 0 or is_small:
        frames = FrameStream(file, fps=10, start_s=0.04).spread(3)
        assert all(frame.ndim == 3 for frame in frames)
    if way == 1 or is_small:
        _lay_sound_under(file, home / "out.mp4")
    if way > 1 or is_small:
        reader = open_video(file, max_bad_share=0.9)
        assert float(reader.fps) > 0
        for count, frame in enumerate(reader.timed_frames()):
            assert frame.pixels.shape[2] == 3
            if count > 500:
                break


def _lay_sound_under(file: Path, target: Path) -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(target, fps=25, copy_audio_from=file) as writer:
        for _ in range(3):
            writer.write(frame)


VIDEO = Kind("video", samples, read, mutators=(change_boxes, change_boxes, change_ebml, change_riff), tokens=TOKENS,
             writes=True, cost_ms=2.5, weight=3.0)  # fmt: skip
KINDS = (VIDEO,)
