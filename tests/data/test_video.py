import logging
import struct
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from autolink_gen.data.video import VideoError, VideoReader, VideoWriter

RATE = 16_000
HEIGHT, WIDTH = 48, 64


def _frames(count: int, *, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Grey frames whose brightness is their number, a white block in the upper left corner."""
    frames = [np.full((height, width, 3), 20 + 4 * i, np.uint8) for i in range(count)]
    for frame in frames:
        frame[: height // 3, : width // 3] = 255
    return frames


def _write(path: Path, count: int = 20, *, fps: float | Fraction = 25, sound: Path | None = None) -> Path:
    with VideoWriter(path, fps=fps, copy_audio_from=sound) as writer:
        for frame in _frames(count):
            writer.write(frame)
    return path


def _write_click(path: Path, *, at_s: float, length_s: float) -> Path:
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


def _loud_from(path: Path) -> float:
    """Seconds from the start of the file to the first loud sample."""
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / av.time_base
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
            limit = 0.1 if frame.format.name.startswith("flt") else 3000
            if (samples > limit).any():
                return frame.time - start_s + np.argmax(samples > limit) / frame.sample_rate
    raise AssertionError("the sound is silent")


def _packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def _brightness(frames: Sequence[np.ndarray]) -> list[float]:
    return [float(frame[-4, -4].mean()) for frame in frames]


def _waves_clip(path: Path) -> Path:
    """40 frames of moving waves."""
    y, x = np.mgrid[:96, :128]
    with VideoWriter(path, fps=25) as writer:
        for i in range(40):
            grey = (127 + 60 * np.sin((x + 3 * i) / 9) + 60 * np.sin((y - 2 * i) / 7)).astype(np.uint8)
            writer.write(np.stack([grey, grey, 255 - grey], axis=-1))
    return path


def _destroy(path: Path, *, packet: int, keep: float) -> Path:
    """Overwrite the compressed picture of one packet, in the order of the file, but for its first part."""
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, end = places[packet][0], sum(places[packet])
    data, first = bytearray(path.read_bytes()), start + 4 + round(keep * (end - start - 4))
    data[first:end] = np.random.RandomState(0).bytes(end - first) if keep else b"\xff" * (end - first)
    path.write_bytes(data)
    return path


def _noise_clip(path: Path, count: int = 40) -> Path:
    """Frames that all need as many bytes."""
    draw = np.random.RandomState(0)
    with VideoWriter(path, fps=25) as writer:
        for _ in range(count):
            writer.write(draw.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    return path


# ---- there and back ----


@pytest.mark.parametrize("fps", [25, Fraction(30_000, 1001), Fraction(24_000, 1001), 12.5, 60, 7])
@pytest.mark.parametrize("timed", [True, False])
def test_rate_count_and_pictures_survive(tmp_path: Path, fps: float | Fraction, *, timed: bool) -> None:
    path, frames = tmp_path / "clip.mp4", _frames(20)
    with VideoWriter(path, fps=fps) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, time_s=float(i / Fraction(fps)) if timed else None)
    reader = VideoReader(path)
    assert (reader.fps, reader.num_frames) == (Fraction(fps), 20)
    assert (reader.width, reader.height, reader.has_audio) == (WIDTH, HEIGHT, False)
    assert _brightness(list(reader)) == pytest.approx(_brightness(frames), abs=4)
    assert reader.bad_frames == 0
    times = [frame.time_s for frame in reader.timed()]
    assert times == pytest.approx([i / float(fps) for i in range(20)], abs=2e-4)
    assert [frame.number for frame in reader.timed()] == list(range(20))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 60), (255, 255, 255)])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        writer.write(np.full((HEIGHT, WIDTH, 3), colour, np.uint8))
    assert next(iter(VideoReader(path))).mean(axis=(0, 1)) == pytest.approx(colour, abs=4)


def test_mp4_is_what_players_and_browsers_take(tmp_path: Path) -> None:
    path = _write(tmp_path / "clip.mp4")
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat"), "the index belongs at the front"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        writer.write(_frames(1, height=33, width=51)[0])
    frame = next(iter(VideoReader(path)))
    assert frame.shape == (34, 52, 3)
    assert abs(int(frame[33, 51, 0]) - 20) < 5, "the border is repeated, not black"


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    path, times = tmp_path / "clip.mp4", [0.0, 0.1, 0.5, 0.55, 2.0]
    with VideoWriter(path, fps=10) as writer:
        for frame, time_s in zip(_frames(5), times, strict=True):
            writer.write(frame, time_s=time_s)
    assert [frame.time_s for frame in VideoReader(path).timed()] == pytest.approx(times, abs=1e-3)


def test_gif_is_written_and_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "clip.gif", 10, fps=20)
    reader = VideoReader(path)
    frames = list(reader)
    assert path.read_bytes()[:4] == b"GIF8"
    assert (len(frames), reader.fps) == (10, 20)
    assert _brightness(frames) == pytest.approx(_brightness(_frames(10)), abs=1)


def test_gif_has_at_most_fifty_frames_a_second(tmp_path: Path) -> None:
    reader = VideoReader(_write(tmp_path / "clip.gif", 30, fps=100))
    times = [frame.time_s for frame in reader.timed()]
    assert np.diff(times).min() >= 0.02 - 1e-6
    assert times[-1] == pytest.approx(0.28, abs=0.011)


def test_a_reader_can_be_iterated_again_and_left_early(tmp_path: Path) -> None:
    reader = VideoReader(_write(tmp_path / "clip.mp4"))
    next(iter(reader))
    assert len(list(reader)) == len(list(reader)) == 20


def test_fewer_frames_a_second_are_spread_evenly(tmp_path: Path) -> None:
    reader = VideoReader(_write(tmp_path / "clip.mp4", 50, fps=25))
    assert [frame.number for frame in reader.timed(fps=5)] == list(range(0, 50, 5))
    assert len(list(reader.timed(fps=10))) == 20
    assert len(list(reader.timed(fps=1000))) == 50
    with pytest.raises(ValueError, match="fps is 0"):
        list(reader.timed(fps=0))


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
    path = _write(tmp_path / "clip.mp4", 3)
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


# ---- sound ----


def test_sound_is_copied_bit_for_bit_and_in_step(tmp_path: Path) -> None:
    click = _write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    source = _write(tmp_path / "source.mp4", 20, sound=click)
    target = tmp_path / "target.mp4"
    reader = VideoReader(source)
    with VideoWriter(target, fps=reader.fps, copy_audio_from=source) as writer:
        for frame in reader.timed():
            writer.write(frame.pixels, time_s=frame.time_s)
    assert reader.has_audio
    assert _packets(target, "audio") == _packets(source, "audio")
    assert _loud_from(target) == pytest.approx(0.5, abs=0.01)


def test_sound_that_mp4_cannot_hold_is_encoded_and_stays_in_step(tmp_path: Path) -> None:
    click = _write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    target = _write(tmp_path / "target.mp4", 20, sound=click)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert _loud_from(target) == pytest.approx(0.5, abs=0.01)


def test_sound_of_a_file_that_starts_late_stays_in_step(tmp_path: Path) -> None:
    """Time stamps of a program stream do not begin at zero."""
    source, target = tmp_path / "source.mpg", tmp_path / "target.mp4"
    click = _write_click(tmp_path / "click.wav", at_s=0.5, length_s=0.8)
    with av.open(str(source), "w", format="mpeg") as output, av.open(str(click)) as sound:
        video = output.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = output.add_stream("mp2", rate=RATE)
        audio.layout = "mono"
        for frame in _frames(20):
            output.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(video.encode(None))
        for piece in sound.decode(audio=0):
            output.mux(audio.encode(piece))
        output.mux(audio.encode(None))
    with av.open(str(source)) as container:
        assert container.start_time > 100_000, "else this test shows nothing"
    reader = VideoReader(source)
    with VideoWriter(target, fps=reader.fps, copy_audio_from=source) as writer:
        for frame in reader.timed():
            writer.write(frame.pixels, time_s=frame.time_s)
    assert next(reader.timed()).time_s < 0.05
    assert _loud_from(target) == pytest.approx(_loud_from(source), abs=0.03)


def test_sound_ends_with_the_frames(tmp_path: Path) -> None:
    click = _write_click(tmp_path / "click.wav", at_s=0.1, length_s=5.0)
    target = _write(tmp_path / "target.mp4", 25, sound=click)
    with av.open(str(target)) as container:
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.1)


def test_a_source_without_sound_changes_nothing(tmp_path: Path) -> None:
    silent = _write(tmp_path / "silent.mp4")
    assert not VideoReader(_write(tmp_path / "target.mp4", sound=silent)).has_audio


def test_a_source_of_sound_that_is_none_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("not a sound")
    with pytest.raises(ValueError, match=r"cannot read the sound of .*text\.mp3"):
        _write(tmp_path / "target.mp4", sound=text)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp3"]


def test_real_clips_keep_rate_length_and_sound(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data" / "voxceleb2" / "test"
    clips = sorted(folder.rglob("*.mp4"))
    if not clips:
        pytest.skip(f"no clips in {folder}")
    clip = min(clips, key=lambda path: path.stat().st_size)
    reader, target = VideoReader(clip), tmp_path / "target.mp4"
    with VideoWriter(target, fps=reader.fps, copy_audio_from=clip) as writer:
        for frame in reader.timed():
            writer.write(frame.pixels, time_s=frame.time_s)
    again = VideoReader(target)
    assert (again.fps, again.num_frames, again.has_audio) == (reader.fps, reader.num_frames, reader.has_audio)
    assert _packets(target, "audio") == _packets(clip, "audio")


# ---- damage ----


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def test_a_film_that_lost_its_end_is_refused_with_file_and_remedy(tmp_path: Path) -> None:
    path = _cut(_noise_clip(tmp_path / "half.mp4"), 0.5)
    with pytest.raises(VideoError, match=r"half\.mp4: \d+ of its 40 frames are damaged or missing.*download"):
        list(VideoReader(path))


def test_a_film_cut_before_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    with av.open(str(path), "w") as output:  # the index comes last
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in _frames(20):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    assert len(list(VideoReader(path))) == 20
    with pytest.raises(VideoError, match=r"plain\.mp4.*cut short.*copy or download it again"):
        VideoReader(_cut(path, 0.5))


def test_a_little_damage_is_counted_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _cut(_noise_clip(tmp_path / "most.mp4"), 0.9)
    reader = VideoReader(path)
    with caplog.at_level(logging.WARNING):
        good = len(list(reader))
    assert 0 < reader.bad_frames <= 8
    assert good + reader.bad_frames == 40
    assert f"skipped {reader.bad_frames} damaged frames of 40" in caplog.text
    with pytest.raises(VideoError, match="share 0 "):
        list(VideoReader(path, max_bad_share=0.0))


@pytest.mark.parametrize(("packet", "keep"), [(20, 0.0), (5, 0.5), (39, 0.5)])
def test_a_damaged_frame_is_counted_and_the_others_keep_their_times(tmp_path: Path, packet: int, keep: float) -> None:
    reader = VideoReader(_destroy(_waves_clip(tmp_path / "hurt.mp4"), packet=packet, keep=keep))
    frames = list(reader.timed())
    assert reader.bad_frames == 1
    assert [frame.number for frame in frames] == list(range(39))
    times = np.array([frame.time_s for frame in frames])
    assert np.abs(times * 25 - np.round(times * 25)).max() < 0.01
    assert np.diff(times).max() == pytest.approx(0.08, abs=1e-3)


def test_a_film_without_one_good_frame_is_refused(tmp_path: Path) -> None:
    path = _destroy(_waves_clip(tmp_path / "hurt.mp4"), packet=0, keep=0.0)
    with pytest.raises(VideoError, match="none of its frames can be decoded"):
        VideoReader(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("This is a text, not a film.\n" * 50, "no video that is known here"), ("", r"empty \(0 bytes\)")],
)
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text(content)
    with pytest.raises(VideoError, match=rf"notes\.mp4: .*{reason}.*leave it out"):
        VideoReader(path)


def test_missing_files_folders_and_mere_sound_are_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.mp4: there is no such file"):
        VideoReader(tmp_path / "gone.mp4")
    with pytest.raises(VideoError, match="directory"):
        VideoReader(tmp_path)
    with pytest.raises(VideoError, match="no picture track"):
        VideoReader(_write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.3))


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_wrong_share_of_bad_frames_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ValueError, match="max_bad_share"):
        VideoReader(tmp_path / "clip.mp4", max_bad_share=share)


# ---- writing goes wrong ----


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")

    def fail() -> None:
        with VideoWriter(path, fps=25) as writer:
            writer.write(_frames(1)[0])
            assert path.read_bytes() == b"the old one"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"the old one"
    assert [item.name for item in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        for frame in _frames(5):
            writer.write(frame)
            assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == ["clip.mp4"]
    assert len(list(VideoReader(path))) == 5


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    message = r"frame 1 of .*clip\.mp4 has height and width \(10, 12\)"
    with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "clip.mp4", fps=25) as writer:
        writer.write(_frames(1)[0])
        writer.write(np.zeros((10, 12, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    message = r"no frame was written to .*clip\.mp4"
    with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "clip.mp4", fps=25):
        pass


def test_wrong_endings_and_rates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"clip\.avi: the name must end in \.mp4"):
        VideoWriter(tmp_path / "clip.avi", fps=25)
    with pytest.raises(ValueError, match="fps is -1"):
        VideoWriter(tmp_path / "clip.mp4", fps=-1)


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        _write(tmp_path / "file" / "clip.mp4", 1)
