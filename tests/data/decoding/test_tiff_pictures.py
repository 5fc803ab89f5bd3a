"""TIFF: what photographs come as is read, the first page counts, and no header asks for more than the file holds."""

import re
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.picture_files import MEASURE
from PIL import Image, ImageOps

from autolink_gen.data.images import ImageError, read_header, read_image, to_array

_Y, _X = np.mgrid[:40, :60]
_RGB = np.stack([_X * 4, _Y * 6, (_X + _Y) * 2], axis=-1).astype(np.uint8)
_WIDTH, _COMPRESSION, _FILL_ORDER, _STRIP_ROWS, _STRIP_BYTES = 256, 259, 266, 278, 279


def _tiff(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def _with(content: bytes, tag: int, value: int, *, kind: int = 4) -> bytes:
    """The file with another number in the place of one of its tags'."""
    place = struct.unpack_from("<L", content, 4)[0]
    count = struct.unpack_from("<H", content, place)[0]
    at = next(
        at for at in range(place + 2, place + 2 + 12 * count, 12) if struct.unpack_from("<H", content, at)[0] == tag
    )
    return content[:at] + struct.pack("<HHLL", tag, kind, 1, value) + content[at + 12 :]


def _read(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return to_array(read_image(path))


def _refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return error.value.reason


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "RGBA"])
def test_compressions_and_modes(tmp_path: Path, mode: str, compression: str | None) -> None:
    image = Image.fromarray(_RGB).convert(mode)
    pixels = _read(tmp_path / "a.tif", _tiff(image, compression=compression))
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


def test_strips_of_jpeg_are_near(tmp_path: Path) -> None:
    pixels = _read(tmp_path / "a.tif", _tiff(Image.fromarray(_RGB), compression="jpeg", quality=100))
    assert np.abs(pixels.astype(int) - _RGB).max() <= 4


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_sixteen_bits_are_scaled_as_those_of_png(tmp_path: Path, compression: str | None) -> None:
    deep = Image.fromarray((_X * 1000).astype(np.uint16))
    deep.save(tmp_path / "a.png")
    content = _tiff(deep, compression=compression)
    pixels = _read(tmp_path / "a.tif", content)
    assert np.array_equal(pixels, to_array(read_image(tmp_path / "a.png"))) and pixels[0, 59, 0] == 230
    white_is_0 = _read(tmp_path / "b.tif", _with(content, 262, 0, kind=3))
    assert np.array_equal(white_is_0, 255 - pixels)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    layer = np.concatenate([_RGB, np.where(_X < 30, 255, 0)[..., None].astype(np.uint8)], axis=-1)
    pixels = _read(tmp_path / "a.tif", _tiff(Image.fromarray(layer), compression="tiff_lzw"))
    assert np.array_equal(pixels[:, :30], _RGB[:, :30]) and (pixels[:, 30:] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_orientations(tmp_path: Path, orientation: int, compression: str | None) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(_RGB)
    image.save(tmp_path / "same.png", exif=exif)
    pixels = _read(tmp_path / "a.tif", _tiff(image, exif=exif, compression=compression))
    with Image.open(tmp_path / "same.png") as same:
        assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(same)))
    header = read_header(tmp_path / "a.tif")
    assert (header.width, header.height, header.mode) == (60, 40, "RGB")


def test_the_first_page_counts_and_no_other_is_looked_at(tmp_path: Path) -> None:
    image = Image.fromarray(_RGB)
    content = _tiff(image, save_all=True, append_images=[image.rotate(180)])
    assert np.array_equal(_read(tmp_path / "a.jpg", content), _RGB)
    place = struct.unpack_from("<L", content, 4)[0]
    end = place + 2 + 12 * struct.unpack_from("<H", content, place)[0]
    endless = content[:end] + struct.pack("<L", place) + content[end + 4 :]
    assert np.array_equal(_read(tmp_path / "b.jpg", endless), _RGB)


def test_pixels_of_which_nobody_knows_the_white_are_refused(tmp_path: Path) -> None:
    assert '"F"' in _refused(tmp_path / "a.tif", _tiff(Image.fromarray(_X.astype(np.float32))))
    assert '"I"' in _refused(tmp_path / "b.tif", _tiff(Image.fromarray(_X.astype(np.int32))))


_PLAIN = _tiff(Image.fromarray(_RGB), compression="tiff_lzw")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_with(_PLAIN, _WIDTH, 100_000_000), "too many"),
        (_with(_PLAIN, _COMPRESSION, 34925, kind=3), "compressed"),
        (_with(_PLAIN, _COMPRESSION, 4, kind=3), "compressed"),
        (_with(_PLAIN, _STRIP_BYTES, 10**9), "strips"),
        (_with(_PLAIN, _STRIP_ROWS, 4, kind=1), "numbers"),
        (_PLAIN.replace(struct.pack("<HH", _STRIP_ROWS, 3), struct.pack("<HH", _WIDTH, 3), 1), "twice"),
        (_PLAIN[: len(_PLAIN) // 2], ""),
        (b"II*\0" + b"\xff" * 40, ""),
    ],
    ids=["width", "lzma", "fax", "strips", "kind", "twice", "cut", "junk"],
)  # fmt: skip
def test_what_the_file_does_not_hold_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert re.search(reason, _refused(tmp_path / "a.tif", content))


def test_a_small_picture_of_a_huge_tile_is_refused(tmp_path: Path) -> None:
    entries = {256: 8, 257: 8, 258: 8, 259: 5, 262: 1, 277: 1, 322: 60_000, 323: 60_000, 324: 8, 325: 4}
    body = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    content = b"II*\0" + struct.pack("<L", 12) + b"\0" * 4 + struct.pack("<H", len(entries)) + body + b"\0" * 4
    assert "60000 x 60000 pixels are too many" in _refused(tmp_path / "a.tif", content)


def test_a_strip_of_countless_scans_is_refused(tmp_path: Path) -> None:
    content = _tiff(Image.fromarray(_RGB), compression="jpeg")
    (tmp_path / "a.tif").write_bytes(content)
    with Image.open(tmp_path / "a.tif") as image:
        place, length = image.tag_v2[273][0], image.tag_v2[_STRIP_BYTES][0]
    strip = content[place : place + length]
    scans = strip[:-2] + strip[strip.find(b"\xff\xda") : -2] * 20 + b"\xff\xd9"
    moved = _with(_with(content + scans, 273, len(content)), _STRIP_BYTES, len(scans))
    assert "scans" in _refused(tmp_path / "b.tif", moved)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells no peak of memory")
@pytest.mark.parametrize(("kind", "mode", "most"), [("TIFF", "RGBA", 20), ("TIFF", "I;16", 20), ("AVIF", "RGB", 30)])
def test_memory_is_what_each_pixel_counts_for(tmp_path: Path, kind: str, mode: str, most: int) -> None:
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {"speed": 10}
    Image.new(mode, (16, 16)).save(tmp_path / "small", kind, **options)
    Image.new(mode, (2400, 2000)).save(tmp_path / "large", kind, **options)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout) < most
