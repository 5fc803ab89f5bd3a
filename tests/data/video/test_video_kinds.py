"""Videos by their names and tracks: every ending, names with colons, covers, default tracks, odd sound."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.video_clips import (
    HEIGHT,
    WIDTH,
    brightness_of,
    loud_from,
    make_frames,
    mux_tone,
    write_click,
    write_clip,
    write_in,
)

from autolink_gen.data.video import audio as sound
from autolink_gen.data.video.audio import AudioCopier
from autolink_gen.data.video.clips import list_clips
from autolink_gen.data.video.reader import VIDEO_SUFFIXES, VideoError, VideoReader, is_video
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.data.video.writer import VideoWriter

_BD = {"mpegts_m2ts_mode": "1"}  # packets of 192 bytes, as camcorders and Blu-ray have them


@pytest.mark.parametrize(
    ("ending", "form", "codec", "options"),
    [(".mts", "mpegts", "libx264", _BD), (".m2ts", "mpegts", "libx264", _BD), (".ts", "mpegts", "mpeg2video", {}),
     (".vob", "vob", "mpeg2video", {}), (".mpe", "mpeg", "mpeg1video", {}), (".3gp", "3gp", "mpeg4", {}),
     (".3g2", "3g2", "mpeg4", {}), (".ogv", "ogg", "libvpx", {}), (".asf", "asf", "wmv2", {}),
     (".divx", "avi", "mpeg4", {}), (".WMV", "asf", "wmv2", {})],
)  # fmt: skip
def test_every_ending_is_found_and_read(tmp_path: Path, ending: str, form: str, codec: str, options: dict) -> None:
    path = write_in(tmp_path / f"clip{ending}", form, codec, count=30, **options)
    assert is_video(path) and ending.lower() in VIDEO_SUFFIXES
    stream = FrameStream(path)
    frames = list(stream)
    assert len(frames) == pytest.approx(30, abs=1)
    assert stream.num_frames == pytest.approx(30, abs=1)
    assert brightness_of([frame.pixels for frame in frames])[:5] == pytest.approx([20, 24, 28, 32, 36], abs=6)
    assert [clip.name for clip in list_clips(tmp_path)] == [str(path)]


@pytest.mark.parametrize("ending", [".ts", ".m2ts", ".vob", ".3gp", ".ogv", ".asf"])
def test_a_playlist_of_a_new_ending_opens_no_other_file(tmp_path: Path, ending: str) -> None:
    write_in(tmp_path / "private.ts", "mpegts", "mpeg2video", count=5)
    lists = ("ffconcat version 1.0\nfile private.ts\n",
             "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nprivate.ts\n#EXT-X-ENDLIST\n")  # fmt: skip
    for content in lists:
        (tmp_path / f"list{ending}").write_text(content)
        assert is_video(tmp_path / f"list{ending}")
        with raises_mentioning(VideoError, "content", "known"):
            VideoReader(tmp_path / f"list{ending}")


@pytest.mark.parametrize("name", ["12:30:45.mp4", "take:2.gif", "http:x.mp4", "concat:a.mov", "-o:2.webm"])
def test_a_name_with_a_colon_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.5).rename(tmp_path / "16:00.wav")
    monkeypatch.chdir(tmp_path)
    write_clip(Path(name), 5, sound=Path(click.name))
    Path("2026:01").mkdir()
    write_clip(Path("2026:01") / name, 5)
    assert sorted(str(path) for path in Path().rglob("*") if path.is_file()) == sorted(
        ["16:00.wav", name, f"2026:01/{name}"]
    )
    assert len(list(VideoReader(Path(name)))) == len(list(FrameStream(Path("2026:01") / name))) == 5
    assert VideoReader(Path(name)).has_audio is not name.endswith(".gif")


def _pictures(output: av.container.OutputContainer, codec: str) -> av.VideoStream:
    stream = output.add_stream(codec, rate=25)
    stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
    return stream


def _two_tracks(path: Path, *, marked: int) -> Path:
    """A black and a white track of pictures, a silent and a loud one of sound; the default ones are `marked`."""
    with av.open(str(path), "w", format="matroska") as output:
        videos = [_pictures(output, "mpeg4") for _ in range(2)]
        sounds = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for pair in (videos, sounds):
            for number, stream in enumerate(pair):
                stream.disposition = Disposition.default if number == marked else Disposition(0)
        for number, stream in enumerate(videos):
            picture = np.full((HEIGHT, WIDTH, 3), 255 * number, np.uint8)
            for packet in [*stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *stream.encode(None)]:
                output.mux(packet)
        for number, stream in enumerate(sounds):
            frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 20_000 * number, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize("marked", [0, 1])
def test_the_default_tracks_are_taken(tmp_path: Path, marked: int) -> None:
    path = _two_tracks(tmp_path / "tracks.mkv", marked=marked)
    assert next(iter(VideoReader(path))).mean() == pytest.approx(255 * marked, abs=4)
    target = write_clip(tmp_path / "target.mp4", 10, sound=path)
    if marked:
        assert loud_from(target) < 0.1
    else:
        with pytest.raises(AssertionError, match="silent"):
            loud_from(target)


def _with_cover(path: Path, *, film: bool) -> Path:
    """A file of sound with a cover, of which FFmpeg makes a track of pictures, before its film where it has one."""
    with av.open(str(path), "w", format="mp4") as output:
        cover = output.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        video = _pictures(output, "libx264") if film else None
        track = output.add_stream("aac", rate=48_000, layout="mono")
        red = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 255, np.uint8), format="rgb24")
        output.mux(cover.encode(red.reformat(format="yuvj420p")))
        if video is not None:
            for pixels in make_frames(10):
                output.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            output.mux(video.encode(None))
        mux_tone(output, track, length_s=0.4)
    return path


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    path = _with_cover(tmp_path / "song.mp4", film=False)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1, "else this test shows nothing"
    with raises_mentioning(VideoError, "song.mp4", "track", ("no", "without")):
        VideoReader(path)
    frames = list(VideoReader(_with_cover(tmp_path / "film.mp4", film=True)))
    assert brightness_of(frames) == pytest.approx(brightness_of(make_frames(10)), abs=4)


# ---- sound that cannot be carried ----


def _of_unknown_sound(path: Path) -> Path:
    """A film whose sound says that it is of a kind that nobody knows."""
    data = bytearray(write_in(path, "mov", "libx264", count=10, sound="pcm_s16le").read_bytes())
    place = data.find(b"sowt")
    data[place : place + 4] = b"zzzz"
    path.write_bytes(data)
    return path


def _only_line(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = [record for record in caplog.records if record.name == sound.logger.name]
    return record.message


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm"])
def test_sound_of_an_unknown_kind_costs_the_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    path = _of_unknown_sound(tmp_path / "strange.mov")
    with caplog.at_level(logging.WARNING):
        target = write_clip(tmp_path / f"target.{ending}", 10, sound=path)
    reader = VideoReader(target)
    assert (len(list(reader)), reader.has_audio) == (10, False)
    assert_line_mentions(_only_line(caplog), "strange.mov", "audio", ("silent", "without audio"))


def test_sound_of_which_nothing_can_be_read_costs_the_sound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_in(tmp_path / "hurt.mkv", "matroska", "mpeg4", count=10, sound="flac")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    for place, size in places:
        start = content.find(b"\xff\xf8", place)
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        target = write_clip(tmp_path / "target.webm", 10, sound=path)
    assert (len(list(VideoReader(target))), VideoReader(target).has_audio) == (10, False)
    assert_line_mentions(_only_line(caplog), "hurt.mkv", "audio")


def test_an_encoder_that_refuses_costs_the_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "_AAC_RATES", (16_000, 12_345))
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.4)
    data = bytearray(click.read_bytes())
    data[24:28] = (12_345).to_bytes(4, "little")  # samples a second
    click.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        target = write_clip(tmp_path / "target.mp4", 10, sound=click)
    assert (len(list(VideoReader(target))), VideoReader(target).has_audio) == (10, False)
    assert_line_mentions(_only_line(caplog), "click.wav", "audio")


def test_what_cannot_be_copied_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sound._COPIED, "mp4", ("pcm_s16le",))  # which no MP4 of ours can hold as it is
    plain = AudioCopier.__init__

    def refuse(self: AudioCopier, *arguments: object, copies: bool, **options: object) -> None:
        if copies:
            raise ValueError("it does not fit")
        plain(self, *arguments, copies=copies, **options)

    monkeypatch.setattr(AudioCopier, "__init__", refuse)
    click = write_click(tmp_path / "click.wav", at_s=0.2, length_s=0.6)
    target = write_clip(tmp_path / "target.mp4", 15, sound=click)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert loud_from(target) == pytest.approx(0.2, abs=0.02)


def test_sound_that_ends_before_the_part_costs_the_sound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    click = write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.4)
    with (
        caplog.at_level(logging.WARNING),
        VideoWriter(tmp_path / "cut.mp4", fps=25, copy_audio_from=click, audio_start_s=2.0) as writer,
    ):
        for frame in make_frames(5):
            writer.write(frame)
    assert (len(list(VideoReader(tmp_path / "cut.mp4"))), VideoReader(tmp_path / "cut.mp4").has_audio) == (5, False)
    assert_line_mentions(_only_line(caplog), "none", "2 s")
