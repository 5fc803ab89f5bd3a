"""Damaged videos, wrong files, and what is left behind after an error."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.video_clips import (
    HEIGHT,
    WIDTH,
    destroy_packet,
    make_frames,
    noise_clip,
    waves_clip,
    write_click,
    write_clip,
)

from autolink_gen.data.video import writer as video_writing
from autolink_gen.data.video.reader import VideoError, VideoReader
from autolink_gen.data.video.writer import VideoWriter


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def test_a_film_that_lost_its_end_is_refused_with_file_and_remedy(tmp_path: Path) -> None:
    path = _cut(noise_clip(tmp_path / "half.mp4"), 0.5)
    with raises_mentioning(VideoError, "half.mp4", "40 frames", "damaged", "download"):
        list(VideoReader(path))


def test_a_film_cut_before_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    with av.open(str(path), "w") as output:  # the index comes last
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in make_frames(20):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    assert len(list(VideoReader(path))) == 20
    with raises_mentioning(VideoError, "plain.mp4", "cut", "download"):
        VideoReader(_cut(path, 0.5))


def test_a_little_damage_is_counted_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _cut(noise_clip(tmp_path / "most.mp4"), 0.9)
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
    reader = VideoReader(destroy_packet(waves_clip(tmp_path / "hurt.mp4"), packet=packet, keep=keep))
    frames = list(reader.timed_frames())
    assert reader.bad_frames == 1
    assert [frame.number for frame in frames] == list(range(39))
    times = np.array([frame.time_s for frame in frames])
    assert np.abs(times * 25 - np.round(times * 25)).max() < 0.01
    assert np.diff(times).max() == pytest.approx(0.08, abs=1e-3)


def test_a_film_without_one_good_frame_is_refused(tmp_path: Path) -> None:
    path = destroy_packet(waves_clip(tmp_path / "hurt.mp4"), packet=0, keep=0.0)
    with raises_mentioning(VideoError, "hurt.mp4", "none", ("decoded", "read")):
        VideoReader(path)


@pytest.mark.parametrize(
    ("content", "things"),
    [("This is a text, not a film.\n" * 50, ("content", "known")), ("", ("empty", "0 bytes"))],
)
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: str, things: tuple[str, ...]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text(content)
    with raises_mentioning(VideoError, path, "leave it out", *things) as told:
        VideoReader(path)
    assert "ffmpeg" not in str(told.value), "converting does not help"


def test_missing_files_folders_and_mere_sound_are_named(tmp_path: Path) -> None:
    with raises_mentioning(VideoError, "gone.mp4", "no such file"):
        VideoReader(tmp_path / "gone.mp4")
    with pytest.raises(VideoError, match="directory"):
        VideoReader(tmp_path)
    with raises_mentioning(VideoError, "no video track", "choose a video") as told:
        VideoReader(write_click(tmp_path / "click.wav", at_s=0.1, length_s=0.3))
    assert "ffmpeg" not in str(told.value), "converting does not help"


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_wrong_share_of_bad_frames_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ValueError, match="max_bad_share"):
        VideoReader(tmp_path / "clip.mp4", max_bad_share=share)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old one")

    def fail() -> None:
        with VideoWriter(path, fps=25) as writer:
            writer.write(make_frames(1)[0])
            assert path.read_bytes() == b"the old one"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"the old one"
    assert [item.name for item in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clip.mp4"
    with VideoWriter(path, fps=25) as writer:
        for frame in make_frames(5):
            writer.write(frame)
            assert not path.exists()
    assert [item.name for item in path.parent.iterdir()] == ["clip.mp4"]
    assert len(list(VideoReader(path))) == 5


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    message = r"frame 1 of .*clip\.mp4 has height and width \(10, 12\)"
    with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "clip.mp4", fps=25) as writer:
        writer.write(make_frames(1)[0])
        writer.write(np.zeros((10, 12, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    message = r"no frame was written to .*clip\.mp4"
    with pytest.raises(ValueError, match=message), VideoWriter(tmp_path / "clip.mp4", fps=25):
        pass


def test_wrong_endings_and_rates_are_refused(tmp_path: Path) -> None:
    with raises_mentioning(ValueError, "clip.avi", "name", ".mp4"):
        VideoWriter(tmp_path / "clip.avi", fps=25)
    with pytest.raises(ValueError, match="fps is -1"):
        VideoWriter(tmp_path / "clip.mp4", fps=-1)


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_clip(tmp_path / "file" / "clip.mp4", 1)


@pytest.mark.parametrize("ending", ["mp4", "webm"])
@pytest.mark.parametrize("ahead", [2, 12])
def test_large_frames_are_encoded_with_fewer_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, ahead: int
) -> None:
    usual = write_clip(tmp_path / f"usual.{ending}", 30).read_bytes()
    monkeypatch.setattr(video_writing, "_LOOKAHEAD_BYTES", ahead * 3 * WIDTH * HEIGHT)
    path = write_clip(tmp_path / f"clip.{ending}", 30)
    assert path.read_bytes() != usual
    assert [round(frame.time_s * 25) for frame in VideoReader(path).timed_frames()] == list(range(30))


def test_frames_too_large_for_an_encoder_are_named(tmp_path: Path) -> None:
    message = r"long\.mp4 cannot hold frames of .*20000"
    with pytest.raises(VideoError, match=message), VideoWriter(tmp_path / "long.mp4", fps=25) as writer:
        writer.write(np.zeros((2, 20_000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
