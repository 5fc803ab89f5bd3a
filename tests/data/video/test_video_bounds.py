"""Videos of strangers: no other file is opened, no memory beyond the limit, no hanging, one error."""

import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import make_frames, write_click, write_clip

from autolink_gen.common.files import BadFileError
from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.video import limits as video_limits
from autolink_gen.data.video import reader as video
from autolink_gen.data.video import times as video_times
from autolink_gen.data.video.audio import AudioCopier
from autolink_gen.data.video.media_files import open_media
from autolink_gen.data.video.reader import VideoError, VideoReader
from autolink_gen.data.video.writer import VideoWriter

_MEASURE = """
import re, sys
from pathlib import Path
from autolink_gen.data.video.reader import VideoReader
try:
    print(sum(1 for _ in VideoReader(sys.argv[1])))
except ValueError as error:
    print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


_HAS_PEAKS = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells no peak of memory")


def _peak_mib(path: Path) -> float:
    command = [sys.executable, "-c", _MEASURE, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()[-1])


def _gif(side: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0" * 6
    return screen + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\2\2\x44\1\0;"


def _two_sizes(path: Path) -> Path:
    """An MJPEG stream, raw in an AVI, whose frames grow in the middle."""
    sizes = [(48, 64)] * 4 + [(96, 128)] * 4
    with av.open(str(path), "w", format="avi") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for number, (height, width) in enumerate(sizes):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = (
                height,
                width,
                "yuvj420p",
                Fraction(1, 25),
            )
            frame = av.VideoFrame.from_ndarray(make_frames(1, height=height, width=width)[0], format="rgb24")
            for packet in encoder.encode(frame.reformat(format="yuvj420p")):
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
                output.mux(packet)
    return path


def test_a_playlist_named_as_a_video_opens_no_other_file(tmp_path: Path) -> None:
    write_clip(tmp_path / "private.mp4", 5)
    script = tmp_path / "list.mp4"
    script.write_text("ffconcat version 1.0\nfile private.mp4\n")
    with av.open(str(script)) as container:  # what would happen otherwise
        assert len(list(container.decode(video=0))) == 5
    with raises_mentioning(VideoError, "list.mp4", "content", "known"):
        VideoReader(script)
    with raises_mentioning(VideoError, "audio", "list.mp4"):
        AudioCopier.open(script, output=None)


@pytest.mark.parametrize(
    "content", ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nprivate.mp4\n#EXT-X-ENDLIST\n", "v=0\n"]
)
def test_other_lists_are_no_videos(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.mp4").write_text(content)
    with raises_mentioning(VideoError, "list.mp4", "content", "known"):
        VideoReader(tmp_path / "list.mp4")


@pytest.mark.parametrize("name", ["http:x.mp4", "concat:a.mp4", "file:x.mp4", "subfile,,start,0,end,9,,:x.mp4"])
def test_a_name_with_a_colon_is_that_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_clip(tmp_path / "plain.mp4", 5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(VideoReader(Path(name)))) == 5


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm", "gif"])
def test_every_kind_that_is_written_is_read(tmp_path: Path, ending: str) -> None:
    assert len(list(VideoReader(write_clip(tmp_path / f"clip.{ending}", 6)))) == 6


@pytest.mark.parametrize(
    ("form", "codec"),
    [("matroska", "libx264"), ("avi", "mpeg4"), ("mpeg", "mpeg1video"), ("mpegts", "mpeg2video"), ("asf", "wmv2"),
     ("flv", "flv"), ("mpeg1video", "mpeg1video"), ("m4v", "mpeg4"), ("3gp", "mpeg4")],
)  # fmt: skip
def test_every_kind_that_the_endings_stand_for_is_read(tmp_path: Path, form: str, codec: str) -> None:
    with av.open(str(tmp_path / "clip.mpg"), "w", format=form) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in make_frames(30):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    assert len(list(VideoReader(tmp_path / "clip.mpg"))) >= 29


def test_large_frames_are_refused_with_the_limit_and_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", 3)
    monkeypatch.setenv(PIXELS_VARIABLE, "10000")  # the frames that H.264 keeps count
    with pytest.raises(VideoError, match=rf"64 x 48 pixels .*the limit is 2,898.*{PIXELS_VARIABLE}"):
        VideoReader(path)
    monkeypatch.setenv(PIXELS_VARIABLE, "20000")
    assert len(list(VideoReader(path))) == 3


@_HAS_PEAKS
def test_a_tiny_gif_of_huge_frames_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(_gif(12_000))
    assert _peak_mib(tmp_path / "a.gif") < 250
    with pytest.raises(VideoError, match=PIXELS_VARIABLE):
        VideoReader(tmp_path / "a.gif")


def test_frames_that_grow_in_the_middle_are_limited_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _two_sizes(tmp_path / "clip.avi")
    frames = list(VideoReader(path))
    assert len(frames) == 8 and {frame.shape for frame in frames} == {(48, 64, 3)}
    monkeypatch.setenv(PIXELS_VARIABLE, "8000")
    with pytest.raises(VideoError, match="damaged or missing"):
        list(VideoReader(path))


def test_large_frames_are_not_decoded_by_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    for pixels in ("12000", "1000000"):
        monkeypatch.setenv(PIXELS_VARIABLE, pixels)
        with open_media(write_clip(tmp_path / "clip.mp4", 3)) as container:
            video_limits.limit_decoder(container.streams.video[0])
            kinds.append(container.streams.video[0].thread_type.name)
    assert kinds == ["SLICE", "AUTO"]


@pytest.mark.parametrize("kind", ["stsz", "trun", "cmov", "free"])
@_HAS_PEAKS
def test_an_index_of_samples_that_are_not_there_takes_no_memory(tmp_path: Path, kind: str) -> None:
    content = bytearray(write_clip(tmp_path / "clip.mp4", 3).read_bytes())
    place, many = content.find(b"stsz"), struct.pack(">I", 50_000_000)
    if kind in ("stsz", "free"):
        content[place + 8 : place + 16] = struct.pack(">I", 7) + many
    if kind == "free":  # which FFmpeg looks into where it finds no index
        index = content.find(b"moov") - 4
        content[index:index] = struct.pack(">I", 8 + len(content) - index) + b"free"
    elif kind == "trun":
        content += struct.pack(">I", 24) + b"moof" + struct.pack(">I", 16) + b"trun\0\0\0\0" + many
    elif kind == "cmov":
        content += (
            struct.pack(">I", 28) + b"moov" + struct.pack(">I", 20) + b"cmov" + struct.pack(">I", 12) + b"dcomzlib"
        )
    (tmp_path / "bomb.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=r"promises 50,000,0|compressed"):
        VideoReader(tmp_path / "bomb.mp4")
    assert _peak_mib(tmp_path / "bomb.mp4") < 250


@pytest.mark.parametrize("kind", [b"mdat", b"moov", b"trak"])
def test_numbers_that_look_like_an_index_are_none(tmp_path: Path, kind: bytes) -> None:
    content = write_clip(tmp_path / "clip.mp4", 3).read_bytes()
    data = b"stsz" * 100
    if kind != b"mdat":  # within it a table of places, which may be any numbers
        data = struct.pack(">I", 8 + len(data)) + b"stco" + data
    (tmp_path / "clip.mp4").write_bytes(content + struct.pack(">I", 8 + len(data)) + kind + data)
    video_limits.opening_options(tmp_path / "clip.mp4")
    if kind == b"mdat":
        assert len(list(VideoReader(tmp_path / "clip.mp4"))) == 3


def test_a_promise_of_countless_frames_is_not_believed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 3)
    stream = SimpleNamespace(frames=0, duration=2**62, time_base=Fraction(1), average_rate=None)
    container = SimpleNamespace(duration=-5)
    count = video_times.count_frames(container, stream, Fraction(25), num_bytes=path.stat().st_size)
    assert count == path.stat().st_size
    stream.duration = -(2**62)
    assert video_times.count_frames(container, stream, Fraction(25), num_bytes=9) is None


def test_incredible_rates_are_not_believed() -> None:
    rates = SimpleNamespace(average_rate=Fraction(0), guessed_rate=Fraction(10**9), base_rate=None)
    assert video_times.rate_of(rates) == 25


@pytest.mark.parametrize("damage", [{"pts": None}, {"pts": 2**62}, {"pts": -(2**62)}, {"time_base": Fraction(0)}])
def test_damaged_time_stamps_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: dict[str, object]
) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", 4))
    decoded = VideoReader._decode

    def damaged(self: VideoReader, *arguments: object, **options: object) -> object:
        for frame in decoded(self, *arguments, **options):
            proxy = {"pts": frame.pts, "time_base": frame.time_base} | damage
            yield SimpleNamespace(frame=frame, interlaced_frame=False, **proxy)

    monkeypatch.setattr(VideoReader, "_decode", damaged)
    monkeypatch.setattr(video.Display, "pixels", lambda _, proxy: proxy.frame.to_ndarray(format="rgb24"))
    frames = list(reader.timed_frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12], abs=1e-6)
    with VideoWriter(tmp_path / "copy.mp4", fps=25) as writer:
        for frame in frames:
            writer.write(frame.pixels, time_s=frame.time_s)


def test_packets_in_vain_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packet = SimpleNamespace(is_discard=False, size=1, dts=None, decode=lambda: [])

    def for_ever(*_: object) -> object:
        while True:
            yield packet

    reader = VideoReader(write_clip(tmp_path / "clip.mp4", 3))
    monkeypatch.setattr(VideoReader, "_packets", for_ever)
    with pytest.raises(VideoError, match="damaged or missing"):
        list(reader)


@pytest.mark.parametrize(
    "error", [MemoryError(), OverflowError("x"), ZeroDivisionError(), struct.error(), IndexError()]
)
def test_whatever_a_decoder_raises_is_a_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", 3))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(video.Display, "pixels", fail)
    with pytest.raises(VideoError, match=r"clip\.mp4") as found:
        list(reader)
    assert isinstance(found.value, BadFileError) and "\n" not in str(found.value)


def test_what_a_user_of_the_frames_raises_is_left_alone(tmp_path: Path) -> None:
    def use() -> None:
        for _ in VideoReader(write_clip(tmp_path / "clip.mp4", 3)):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        use()


def test_pipes_are_not_waited_for_and_names_are_printable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe\x1b[1m.mp4")
    with pytest.raises(VideoError, match="no ordinary file") as error:
        VideoReader(tmp_path / "pipe\x1b[1m.mp4")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".webm", ".gif"])
def test_flipped_bytes_end_in_frames_or_in_a_video_error(tmp_path: Path, ending: str) -> None:
    with VideoWriter(tmp_path / f"clip{ending}", fps=25) as writer:
        for frame in make_frames(8):
            writer.write(frame)
    content = (tmp_path / f"clip{ending}").read_bytes()
    draw = np.random.default_rng(0)
    ends = []
    for number in range(12):
        hurt = bytearray(content)
        for place in draw.integers(0, len(hurt), 1 + 3 * number):
            hurt[place] = draw.integers(0, 256)
        (tmp_path / "hurt.mp4").write_bytes(hurt)
        try:
            ends.append(len(list(VideoReader(tmp_path / "hurt.mp4", max_bad_share=0.9))))
        except VideoError as error:
            ends.append(str(error))
    assert len(ends) == 12


def test_damaged_sound_does_not_cost_the_pictures(tmp_path: Path) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=1.0)
    source = write_clip(tmp_path / "source.mp4", 25, sound=click)
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    for place, size in places[2:]:
        content[place : place + size] = b"\xff" * size
    source.write_bytes(content)
    for ending in ("mp4", "webm"):
        assert len(list(VideoReader(write_clip(tmp_path / f"copy.{ending}", 25, sound=source)))) == 25
