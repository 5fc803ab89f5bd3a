"""A frame is what a player shows: its colours, its orientation, the shape of its pixels, white behind it."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.colour_clips import far_from, write_bars
from helpers.video_clips import HEIGHT, WIDTH, write_clip
from PIL import Image

from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.images import read_image, to_array
from autolink_gen.data.video.reader import VideoError, VideoReader

_COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 150, 100], [128, 128, 128], [16, 16, 16]])
_HD, _SD = (720, 1280), (576, 720)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "mark"), [("709", 1), ("601", 5), ("601", 6)])
def test_matrix_and_range_are_those_of_the_file(tmp_path: Path, matrix: str, mark: int, full: bool) -> None:
    marks = {"colorspace": mark, "color_range": 1 + full}
    path = write_bars(tmp_path / "clip.mp4", _COLOURS / 255, matrix=matrix, full=full, **marks)
    assert far_from(next(iter(VideoReader(path))), _COLOURS) <= 3


@pytest.mark.parametrize(("matrix", "size"), [("709", _HD), ("709", (600, 64)), ("601", _SD), ("601", (480, 640))])
def test_unmarked_videos_are_read_by_their_size(tmp_path: Path, matrix: str, size: tuple[int, int]) -> None:
    path = write_bars(tmp_path / "clip.mp4", _COLOURS / 255, matrix=matrix, size=size)
    assert far_from(next(iter(VideoReader(path))), _COLOURS) <= 3


def test_a_matrix_that_is_not_known_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for mark in (3, 8, 10):
        matrix = "2020" if mark == 10 else "601"
        reader = VideoReader(write_bars(tmp_path / f"{mark}.mp4", _COLOURS / 255, matrix=matrix, colorspace=mark))
        assert far_from(next(iter(reader)), _COLOURS) <= 3
    assert ["8.mp4" in record.message and "colours" in record.message for record in caplog.records] == [True]


# (a, b, c, d) of the matrix, and where the upper left corner and the right of it come to lie.
_ORIENTATIONS = {
    "as it is": ((1, 0, 0, 1), lambda frame: frame),
    "left and right": ((-1, 0, 0, 1), lambda frame: frame[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda frame: frame[::-1]),
    "half a turn": ((-1, 0, 0, -1), lambda frame: frame[::-1, ::-1]),
    "clockwise": ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    "counterclockwise": ((0, -1, 1, 0), lambda frame: np.rot90(frame, 1)),
    "transposed": ((0, 1, 1, 0), lambda frame: frame.transpose(1, 0, 2)),
    "transversed": ((0, -1, -1, 0), lambda frame: np.rot90(frame, 2).transpose(1, 0, 2)),
}


@pytest.mark.parametrize("name", _ORIENTATIONS)
def test_all_eight_orientations_are_shown(tmp_path: Path, name: str) -> None:
    matrix, turned = _ORIENTATIONS[name]
    path = write_clip(tmp_path / "clip.mp4", 3)
    wanted = turned(next(iter(VideoReader(path))))
    _set_matrix(path, matrix)
    reader = VideoReader(path)
    assert np.array_equal(next(iter(reader)), wanted)
    assert (reader.height, reader.width) == wanted.shape[:2]


@pytest.mark.parametrize(("shape", "width"), [(Fraction(16, 11), 102), (Fraction(8, 9), 62), (Fraction(1), 70)])
def test_pixels_are_made_square(tmp_path: Path, shape: Fraction, width: int) -> None:
    path = _write_spot(tmp_path / "clip.mkv", shape)
    reader = VideoReader(path)
    frame = next(iter(reader))
    assert (reader.width, reader.height) == (width, 48) and frame.shape == (48, width, 3)
    bright = np.nonzero(frame[24, :, 0] > 127)[0]
    assert (bright.min(), bright.max() + 1) == pytest.approx((14 * shape, 28 * shape), abs=1)


def test_a_turned_film_of_narrow_pixels_is_widened_before_it_is_turned(tmp_path: Path) -> None:
    path = _write_spot(tmp_path / "clip.mp4", Fraction(2))
    _set_matrix(path, (0, 1, -1, 0))
    reader = VideoReader(path)
    frame = next(iter(reader))
    assert (reader.width, reader.height) == (48, 140)
    bright = np.nonzero(frame[:, 24, 0] > 127)[0]
    assert (bright.min(), bright.max() + 1) == pytest.approx((28, 56), abs=1)


def test_incredible_pixels_are_taken_for_square_and_wide_ones_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert VideoReader(_write_spot(tmp_path / "odd.mkv", Fraction(200))).width == 70
    path = _write_spot(tmp_path / "wide.mkv", Fraction(8))
    stored = 70 * 48 * (4 * 1.5 + 9) / 10  # MPEG-4 keeps four frames of 1.5 bytes a pixel
    monkeypatch.setenv(PIXELS_VARIABLE, str(round(2 * stored)))
    with pytest.raises(VideoError, match=PIXELS_VARIABLE):
        VideoReader(path)


_SEE_THROUGH = {
    "qtrle.mov": ("qtrle", "argb"),
    "png.mov": ("png", "rgba"),
    "prores.mov": ("prores_ks", "yuva444p10le"),
    "ffv1.mkv": ("ffv1", "bgra"),
    "raw.avi": ("rawvideo", "bgra"),
}


@pytest.mark.parametrize("name", _SEE_THROUGH)
def test_see_through_videos_lie_on_white_as_pictures_do(tmp_path: Path, name: str) -> None:
    layer = _see_through()
    codec, form = _SEE_THROUGH[name]
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        container.mux(stream.encode(av.VideoFrame.from_ndarray(layer, format="rgba").reformat(format=form)))
        container.mux(stream.encode(None))
    frame = next(iter(VideoReader(tmp_path / name)))
    Image.fromarray(layer).save(tmp_path / "same.png")
    wanted = to_array(read_image(tmp_path / "same.png"))
    assert [wanted[20, x].tolist() for x in (8, 40, 60)] == [[200, 40, 20], [227, 147, 137], [255, 255, 255]]
    assert np.abs(frame[:, ::4].astype(int) - wanted[:, ::4]).max() <= 3


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_the_transparency_that_webm_keeps_apart_is_seen(tmp_path: Path, codec: str) -> None:
    layer = _see_through()
    with av.open(str(tmp_path / "clip.webm"), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"auto-alt-ref": "0", "crf": "4", "b": "4M"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(layer, 2 * i, axis=1), format="rgba")
            container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode(None))
    reader = VideoReader(tmp_path / "clip.webm")
    frames = list(reader)
    assert len(frames) == 12
    for i, frame in enumerate(frames):
        found = [frame[24, (x + 2 * i) % 64].astype(int) for x in (16, 40, 56)]
        assert np.abs(np.array(found) - [[200, 40, 20], [227, 147, 137], [255, 255, 255]]).max() <= 6
    (later,) = reader.timed_frames(start_s=0.24, end_s=0.27)
    assert np.array_equal(later.pixels, frames[6])


def test_a_see_through_gif_is_the_same_as_a_picture_and_as_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    Image.fromarray(_see_through()).save(path)
    picture = to_array(read_image(path))
    assert picture[20, 60].tolist() == [255, 255, 255] and picture[20, 8].tolist() == [200, 40, 20]
    assert np.array_equal(next(iter(VideoReader(path))), picture)


_PICTURES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "rgba.png": lambda layer: layer,
    "palette.png": lambda layer: layer.quantize(8),
    "la.png": lambda layer: layer.convert("LA"),
    "lossless.webp": lambda layer: layer,
}


@pytest.mark.parametrize("name", _PICTURES)
def test_see_through_pictures_lie_on_white(tmp_path: Path, name: str) -> None:
    layer = Image.fromarray(_see_through())
    grey = layer.convert("L").getpixel((8, 8))
    _PICTURES[name](layer).save(tmp_path / name, lossless=True)
    pixels = to_array(read_image(tmp_path / name))
    assert pixels[20, 60].tolist() == [255, 255, 255]
    assert pixels[20, 8].tolist() == ([grey] * 3 if name == "la.png" else [200, 40, 20])


def _see_through() -> np.ndarray:
    """A red layer: whole on the left, half and not at all seen on the right."""
    layer = np.full((48, 64, 4), (200, 40, 20, 255), np.uint8)
    layer[:, 32:48, 3], layer[:, 48:, 3] = 128, 0
    return layer


def _write_spot(path: Path, shape: Fraction) -> Path:
    """Frames of 70 x 48 pixels of a shape, white from column 14 to 28."""
    frame = np.zeros((48, 70, 3), np.uint8)
    frame[:, 14:28] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 70, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Have an MP4 say how its frames are turned; what a turn leaves outside is moved back."""
    data = path.read_bytes()
    a, b, c, d = matrix
    place = data.find(b"tkhd") + 4 + 40
    moved = ((a < 0) * WIDTH + (c < 0) * HEIGHT, (b < 0) * WIDTH + (d < 0) * HEIGHT)
    content = struct.pack(">9i", *(one << 16 for one in (a, b, 0, c, d, 0, *moved)), 1 << 30)
    path.write_bytes(data[:place] + content + data[place + 36 :])
