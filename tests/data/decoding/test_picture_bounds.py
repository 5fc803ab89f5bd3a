"""Pictures of strangers: no plugin that was not asked for, no memory beyond ten bytes a pixel, no hanging."""

import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.picture_files import MEASURE
from PIL import Image, JpegImagePlugin

from autolink_gen.common.files import BadFileError, write_image
from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.decoding import limits as picture_limits
from autolink_gen.data.images import ImageError, decode_image, read_header, read_image, to_array

_PLUGINS = """
import sys
from autolink_gen.data.images import read_image
try:
    read_image(sys.argv[1])
except ValueError as error:
    print(error)
print([name for name in sys.modules if name in ("PIL.EpsImagePlugin", "PIL.TiffImagePlugin", "PIL.AvifImagePlugin")])
"""


_HAS_PEAKS = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells no peak of memory")


def _run(script: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _jpeg(size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*between: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress((b"\0" + b"\1" * 12) * 4))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(between) + pixels + _chunk(b"IEND")


def _gif(side: int, *, extensions: bytes = b"") -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0" * 6
    return screen + extensions + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\2\2\x44\1\0;"


def _of_format(kind: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, kind)
    return buffer.getvalue()


def _refused(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        read_image(path, min_side=16)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert error.value.reason in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO", "TGA"])
def test_other_formats_are_no_pictures_whatever_the_name(tmp_path: Path, kind: str) -> None:
    assert_line_mentions(_refused(_of_format(kind), tmp_path / "cat.jpg"), "content", "known")


def test_no_other_plugin_is_imported(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert _run(_PLUGINS, tmp_path / "cat.jpg").splitlines()[-1] == "[]"


def test_the_first_frame_of_a_gif_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").rename(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    red, green, blue = read_image(tmp_path / "a").getpixel((3, 3))
    assert red > 240 and max(green, blue) < 15


@pytest.mark.parametrize(
    "error",
    [MemoryError(), AssertionError(), RuntimeError("no"), AttributeError("x"), RecursionError(), struct.error()],
)
def test_whatever_a_decoder_raises_is_a_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", fail)
    (tmp_path / "a.jpg").write_bytes(_jpeg())
    for read in (read_image, lambda path: decode_image(path.read_bytes(), str(path), remedy="remove it")):
        with pytest.raises(BadFileError, match=r"a\.jpg.*remove"):
            read(tmp_path / "a.jpg")


def test_bytes_are_decoded_as_files_are() -> None:
    assert decode_image(_jpeg((1000, 800)), "a.jpg", remedy="remove it", min_side=64).size == (250, 200)
    for content in (b"", b"text", _gif(16_000)):
        with pytest.raises(ImageError, match=r"cannot read a\.jpg: .*; remove it"):
            decode_image(content, "a.jpg", remedy="remove it")


@pytest.mark.parametrize("size", [(1, 1), (2000, 1100), (3, 2), (1_100_000, 2)])
def test_a_picture_becomes_an_array_strip_by_strip(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    array = to_array(Image.fromarray(pixels))
    assert array.dtype == np.uint8 and (array == pixels).all()


def test_names_in_messages_are_printable(tmp_path: Path) -> None:
    path = tmp_path / "red\x1b[31m\u202e.jpg"
    path.write_text("no picture")
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(error.value).isprintable() and r"\x1b[31m" in str(error.value)


def test_a_tiny_file_of_a_huge_picture_is_refused_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = _refused(_gif(16_000), tmp_path / "a.jpg")
    assert "64,000,000" in message and PIXELS_VARIABLE in message
    monkeypatch.setenv(PIXELS_VARIABLE, "2000")
    (tmp_path / "b.png").write_bytes(_of_format("PNG"))
    assert read_image(tmp_path / "b.png").size == (32, 32)
    monkeypatch.setenv(PIXELS_VARIABLE, "1000")
    with raises_mentioning(ImageError, 32, 1000, "pixels"):
        read_image(tmp_path / "b.png")


def test_a_frame_beyond_the_screen_of_a_gif_counts(tmp_path: Path) -> None:
    content = _gif(16_000)
    small_screen = content[:6] + struct.pack("<HH", 1, 1) + content[10:]
    _refused(small_screen, tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "LA", "L", "I;16", "P", "1", "CMYK", "progressive", "WEBP"])
@_HAS_PEAKS
def test_decoding_takes_ten_bytes_a_pixel(tmp_path: Path, kind: str) -> None:
    mode = {"progressive": "RGB", "WEBP": "RGB"}.get(kind, kind)
    form = {"CMYK": "JPEG", "progressive": "JPEG", "WEBP": "WEBP"}.get(kind, "PNG")
    options = {"transparency": 3} if kind == "P" else {"progressive": True} if kind == "progressive" else {}
    Image.new(mode, (16, 16)).save(tmp_path / "small", form, **options)
    Image.new(mode, (4000, 3000)).save(tmp_path / "large", form, **options)
    most = 21 if kind == "WEBP" else 11  # with a few MiB of tables and tiles
    assert float(_run(MEASURE, tmp_path / "small", tmp_path / "large")) < most


def test_tiles_make_what_a_whole_conversion_makes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rgba = Image.fromarray(draw.integers(0, 256, (1100, 1000, 4), dtype=np.uint8))
    rgba.save(tmp_path / "a.png", compress_level=1)
    white = Image.new("RGBA", rgba.size, "white")
    expected = np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    assert (np.asarray(read_image(tmp_path / "a.png")) == expected).all()


def _with_size(jpeg: bytes, width: int, height: int) -> bytes:
    start = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path: Path) -> None:
    jpeg = _jpeg(progressive=True)
    last = jpeg[jpeg.rfind(b"\xff\xda") : -2]
    many = _with_size(jpeg, 2000, 2000)[:-2] + last * 5000 + b"\xff\xd9"
    assert "scans" in _refused(many, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(jpeg[:-2] + last * 50 + b"\xff\xd9")
    assert read_image(tmp_path / "b.jpg").size == (64, 64)


def test_scans_hidden_behind_an_end_in_a_comment_count(tmp_path: Path) -> None:
    jpeg = _jpeg(progressive=True)
    last = jpeg[jpeg.rfind(b"\xff\xda") : -2]
    comment = b"\xff\xfe\0\4\xff\xd9"
    many = _with_size(jpeg, 2000, 2000)[:-2] + comment + last * 5000 + b"\xff\xd9"
    assert "scans" in _refused(many, tmp_path / "a.jpg")


def test_a_thumbnail_is_no_scan(tmp_path: Path) -> None:
    exif = b"Exif\0\0" + _jpeg((32, 32), progressive=True)
    jpeg = _jpeg((1000, 800), exif=exif)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    assert read_image(tmp_path / "a.jpg", min_side=64, max_pixels=100_000).size == (250, 200)


@pytest.mark.parametrize(
    "content",
    [
        _jpeg()[:2] + b"\xff\xe5\0\2" * 30_000 + _jpeg()[2:],
        _jpeg()[:3] + b"\0" * 30_000 + _jpeg()[3:],
        _jpeg()[:2] + b"\xff" * 30_000 + _jpeg()[2:],
        _png(*[_chunk(b"tEXt", b"a\0")] * 10_000),
        _png(*[_chunk(b"IDAT")] * 10_000),
        _gif(8, extensions=b"!\xfe\1a\0" * 30_000),
    ],
    ids=["segments", "junk", "filling", "chunks", "empty data", "comments"],
)
def test_a_file_of_countless_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(picture_limits, "OPENING_READS", 10_000)
    monkeypatch.setattr(picture_limits, "_DECODING_READS", 10_000)
    _refused(content, tmp_path / "a.jpg")


def test_compressed_text_is_not_inflated_without_end(tmp_path: Path) -> None:
    bomb = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))
    _refused(_png(bomb), tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@_HAS_PEAKS
def test_metadata_that_promise_the_same_bytes_many_times_are_not_copied(tmp_path: Path, kind: str) -> None:
    entries = b"".join(struct.pack(">HHLL", tag, 7, 60_000, 8) for tag in range(5000))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + entries
    Image.new("RGB", (16, 16)).save(tmp_path / "small", kind)
    Image.new("RGB", (16, 16)).save(tmp_path / "bomb", kind, exif=exif)
    bytes_a_pixel = float(_run(MEASURE, tmp_path / "small", tmp_path / "bomb"))
    assert bytes_a_pixel * 16 * 16 < 20e6  # and not 300 MB


def test_run_lengths_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_limits, "_DECODING_READS", 10_000)
    buffer = BytesIO()
    Image.new("P", (4000, 4000)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    start = struct.unpack_from("<I", content, 10)[0]
    content[30:34] = struct.pack("<I", 1)
    assert "8-fold" in _refused(bytes(content[:start]) + b"\1\7" * 1000, tmp_path / "a.bmp")
    content[18:26] = struct.pack("<ii", 2000, 2000)
    assert "too many parts" in _refused(bytes(content[:start]) + b"\1\7" * 20_000, tmp_path / "b.bmp")


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(ImageError, match="no ordinary file"):
            read_image(tmp_path / name)
        with pytest.raises(ImageError, match="no ordinary file"):
            read_header(tmp_path / name)


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(_jpeg())
        file.truncate(10**12)
    with pytest.raises(ImageError, match="1,000,000,000,000 bytes are too many"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_what_was_written_badly_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    write_image(tmp_path / f"a.{kind}", picture)
    content = (tmp_path / f"a.{kind}").read_bytes()
    damages = [content[:-30], content[: len(content) // 2]]
    damages += [content[:200] + bytes([content[200] ^ 1]) + content[201:]] if kind == "png" else []
    for damage in damages:
        monkeypatch.setattr(Image.Image, "save", lambda self, path, damage=damage, **_: Path(path).write_bytes(damage))
        with pytest.raises(OSError, match="could not write"):
            write_image(tmp_path / f"b.{kind}", picture)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{kind}"]


def test_what_was_written_is_read_back_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(Image.Image, "save", lambda self, path, **_: Path(path).write_bytes(_gif(4)))
    with pytest.raises(OSError, match="could not write"):
        write_image(tmp_path / "b.png", np.zeros((4, 4, 3), np.uint8))
