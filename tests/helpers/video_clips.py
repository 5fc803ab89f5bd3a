"""Small clips that the tests of video make for themselves."""

import io
import struct
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from autolink_gen.data.video.writer import VideoWriter

RATE = 16_000
HEIGHT, WIDTH = 48, 64


def make_frames(count: int, *, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Grey frames whose brightness is 20 and 4 for each before it (2 in long clips), a white upper left corner."""
    step = 4 if count <= 58 else 2
    frames = [np.full((height, width, 3), 20 + step * i, np.uint8) for i in range(count)]
    for frame in frames:
        frame[: height // 3, : width // 3] = 255
    return frames


def write_clip(path: Path, count: int = 20, *, fps: float | Fraction = 25, sound: Path | None = None) -> Path:
    with VideoWriter(path, fps=fps, copy_audio_from=sound) as writer:
        for frame in make_frames(count):
            writer.write(frame)
    return path


def write_keyframes(path: Path, count: int = 50, *, every: int = 10) -> Path:
    """The same frames, 25 a second, every tenth of them a keyframe."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": str(every), "sc_threshold": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for frame in make_frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_in(
    path: Path,
    form: str,
    codec: str,
    *,
    count: int = 50,
    times_s: Sequence[float] | None = None,
    sound: str | None = None,
    tick: Fraction = Fraction(1, 1000),
    seekable: bool = True,
    **options: str,
) -> Path:
    """The same frames in any kind of file, 25 a second or at given times; one that is not seekable lacks its length."""
    file = io.BytesIO()
    target = str(path) if seekable else _Pipe(file)
    with av.open(target, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        if times_s is not None:
            stream.codec_context.time_base = tick
        track = container.add_stream(sound, rate=48_000) if sound else None
        for number, pixels in enumerate(make_frames(count)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[number] / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            mux_tone(container, track, length_s=count / 25)
    if not seekable:
        path.write_bytes(file.getvalue())
    return path


class _Pipe:
    """A file that can be written in order alone."""

    def __init__(self, file: io.BytesIO) -> None:
        self.write = file.write


def mux_tone(container: av.container.OutputContainer, track: av.AudioStream, *, length_s: float) -> None:
    samples = (0.3 * np.sin(np.arange(round(48_000 * length_s)) / 20)).astype(np.float32)[None]
    whole = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    whole.sample_rate = 48_000
    fifo = av.AudioFifo()
    for part in av.AudioResampler(format=track.format.name, layout="mono", rate=48_000).resample(whole):
        fifo.write(part)
    while piece := fifo.read(track.codec_context.frame_size or 1024, partial=True):
        container.mux(track.encode(piece))
    container.mux(track.encode(None))


def write_joined(path: Path, form: str, codec: str, *, sound: str | None = None) -> Path:
    """Twice the same two seconds, one after the other as `cat` joins files: the times begin anew."""
    part = write_in(path, form, codec, sound=sound).read_bytes()
    path.write_bytes(part + (part[13:] if form == "flv" else part))  # the head of a second FLV would end it
    return path


def trim(path: Path, *, start_s: float, length_s: float, rate: int = 12_800) -> Path:
    """Have an edit list show a part of a film, as telephones trim: all its frames stay in the file."""
    data = bytearray(path.read_bytes())
    place = data.find(b"elst")
    (first,) = struct.unpack_from(">I", data, place + 16)
    struct.pack_into(">II", data, place + 12, round(1000 * length_s), first + round(rate * start_s))
    path.write_bytes(data)
    return path


def write_click(path: Path, *, at_s: float, length_s: float) -> Path:
    """A wave file, silent but for a short tone that begins at `at_s`."""
    samples = np.zeros(round(length_s * RATE), np.int16)
    start = round(at_s * RATE)
    samples[start : start + 800] = 20_000 * np.sin(np.arange(800) * 0.4)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def loud_from(path: Path) -> float:
    """Seconds from the start of the file to the first loud sample."""
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / av.time_base
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
            limit = 0.1 if frame.format.name.startswith("flt") else 3000
            if (samples > limit).any():
                return frame.time - start_s + np.argmax(samples > limit) / frame.sample_rate
    raise AssertionError("the sound is silent")


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def brightness_of(frames: Sequence[np.ndarray]) -> list[float]:
    return [float(frame[-4, -4].mean()) for frame in frames]


def waves_clip(path: Path) -> Path:
    """40 frames of moving waves."""
    y, x = np.mgrid[:96, :128]
    with VideoWriter(path, fps=25) as writer:
        for i in range(40):
            grey = (127 + 60 * np.sin((x + 3 * i) / 9) + 60 * np.sin((y - 2 * i) / 7)).astype(np.uint8)
            writer.write(np.stack([grey, grey, 255 - grey], axis=-1))
    return path


def destroy_packet(path: Path, *, packet: int, keep: float) -> Path:
    """Overwrite the compressed picture of one packet, in the order of the file, but for its first part."""
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, end = places[packet][0], sum(places[packet])
    data, first = bytearray(path.read_bytes()), start + 4 + round(keep * (end - start - 4))
    data[first:end] = np.random.RandomState(0).bytes(end - first) if keep else b"\xff" * (end - first)
    path.write_bytes(data)
    return path


def noise_clip(path: Path, count: int = 40) -> Path:
    """Frames that all need as many bytes."""
    draw = np.random.RandomState(0)
    with VideoWriter(path, fps=25) as writer:
        for _ in range(count):
            writer.write(draw.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    return path
