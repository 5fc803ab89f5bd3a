"""Frames of two fields are made whole: no comb, every frame and its time kept."""

import logging
from pathlib import Path

import av
import numpy as np
import pytest

from autolink_gen.data.video.reader import VideoReader


def _moment(number: int) -> np.ndarray:
    """A bright block that moves four pixels from one field to the next."""
    frame = np.full((96, 128, 3), 40, np.uint8)
    frame[20:70, 10 + 4 * number : 40 + 4 * number] = 220
    return frame


def _write_fields(path: Path, count: int) -> Path:
    """Frames whose even rows are of one moment and whose odd ones are of the next."""
    with av.open(str(path), "w") as container:
        options = {"flags": "+ildct+ilme", "qp": "1"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(count):
            frame, later = _moment(2 * i), _moment(2 * i + 1)
            frame[1::2] = later[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("count", [1, 2, 6])
def test_fields_are_made_whole_frames(tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        reader = VideoReader(_write_fields(tmp_path / "clip.mp4", count))
        frames = list(reader.timed_frames())
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(count)])
    assert [frame.number for frame in frames] == list(range(count))
    assert ["interlaced" in record.message for record in caplog.records] == [True]
    for i, frame in enumerate(frames):
        grey = frame.pixels[..., 0].astype(int)
        assert np.abs(np.diff(grey[30:60], axis=0)).max() < 20  # a comb has 180 here
        moments = [np.abs(grey - _moment(2 * i + field)[..., 0]).mean() for field in (0, 1)]
        assert min(moments) < 2 < max(moments)


def test_a_start_is_sought_in_fields_too(tmp_path: Path) -> None:
    (frame,) = VideoReader(_write_fields(tmp_path / "clip.mp4", 8)).timed_frames(start_s=0.12, end_s=0.16)
    assert frame.time_s == pytest.approx(0.12)
    grey = frame.pixels[..., 0].astype(int)
    assert min(np.abs(grey - _moment(6 + field)[..., 0]).mean() for field in (0, 1)) < 2


def test_frames_that_are_whole_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    _write_fields(path, 2)
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    with av.open(str(tmp_path / "whole.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        frame = _moment(0)
        frame[1::2] = _moment(1)[1::2]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    grey = next(iter(VideoReader(tmp_path / "whole.mp4")))[..., 0].astype(int)
    assert np.abs(np.diff(grey[30:60], axis=0)).max() > 150
