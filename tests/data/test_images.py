"""Pictures: how each kind is decoded and made square, and what is said of those that cannot be."""

import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions, raises_mentioning
from PIL import ExifTags, Image

from autolink_gen.data.images import (
    ImageError,
    check_fit,
    fit_square,
    read_header,
    read_image,
)

RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (127, 127, 127)


def _save(path: Path, *, color: tuple[int, int, int] = RED, size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def _huge_png(path: Path) -> Path:
    """A PNG whose header promises 20,000 x 20,000 pixels."""

    def chunk(content: bytes) -> bytes:
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    header = chunk(b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT" + zlib.compress(b"\0")) + chunk(b"IEND")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    return path


def _huge_bmp(path: Path) -> Path:
    small = _save(path, size=(4, 4)).read_bytes()
    path.write_bytes(small[:18] + struct.pack("<ii", 20_000, 20_000) + small[26:])
    return path


def _text(path: Path) -> Path:
    path.write_text("<html>404 Not Found</html>")
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _truncated(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _header_only(path: Path) -> Path:
    _save(path)
    path.write_bytes(path.read_bytes()[:10])
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_read_image_reads_each_kind(tmp_path: Path, suffix: str) -> None:
    image = read_image(_save(tmp_path / f"a{suffix}", color=BLUE))

    assert image.mode == "RGB" and image.size == (20, 16)
    assert np.abs(np.asarray(image).astype(int) - BLUE).max() <= 3


def test_read_image_goes_by_content_not_by_name(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", color=GREEN).rename(tmp_path / "a.jpg")

    assert read_image(path).getpixel((3, 3)) == GREEN


def test_read_image_lays_transparency_over_white(tmp_path: Path) -> None:
    rgba = Image.new("RGBA", (4, 4), (*RED, 0))
    rgba.putpixel((0, 0), (*RED, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 51))
    rgba.save(tmp_path / "rgba.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([*GREEN, *RED])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "palette.png", transparency=1)
    grey = Image.new("LA", (4, 4), (0, 0))
    grey.save(tmp_path / "la.png")

    shown = read_image(tmp_path / "rgba.png")
    assert [shown.getpixel((x, 0)) for x in range(3)] == [RED, (204, 204, 204), WHITE]
    shown = read_image(tmp_path / "palette.png")
    assert [shown.getpixel((x, 0)) for x in range(2)] == [GREEN, WHITE]
    assert read_image(tmp_path / "la.png").getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_read_image_converts_other_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.new("RGB", (16, 16), WHITE).convert(mode).save(path)

    assert read_header(path).mode in (mode, "RGB")
    image = read_image(path)
    assert image.mode == "RGB" and min(image.getpixel((8, 8))) >= 250


def test_read_image_shows_a_cmyk_jpeg_in_its_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")

    red, green, blue = read_image(tmp_path / "a.jpg").getpixel((8, 8))
    assert red > 240 and green < 15 and blue < 15


def test_read_image_scales_16_bit_grey(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "a.png")

    assert np.asarray(read_image(tmp_path / "a.png"))[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_image_honours_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 255  # a white corner at the top left
    # How a camera stores an upright picture that it wants to be turned so.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1), 7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", exif=exif, quality=95)

    assert np.abs(np.asarray(read_image(tmp_path / "a.jpg")).astype(int) - upright).mean() < 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("data", [b"II*\0\xff\xff\xff\xff\xff", b"II*\0\x08", b"no EXIF at all"])
def test_read_image_ignores_damaged_exif(tmp_path: Path, data: bytes) -> None:
    Image.new("RGB", (8, 8), RED).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + data)

    assert read_image(tmp_path / "a.jpg").size == (8, 8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_read_image_turns_each_kind_that_has_exif(tmp_path: Path, suffix: str, byte_order: str) -> None:
    exif = Image.Exif()
    exif.endian = byte_order
    exif[ExifTags.Base.Make] = "a maker with a long name"
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (8, 4), RED).save(tmp_path / f"a{suffix}", exif=exif)

    assert read_image(tmp_path / f"a{suffix}").size == (4, 8)


def test_read_image_turns_a_picture_as_its_xmp_says(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4), RED).save(tmp_path / "a.jpg", xmp=b'<x tiff:Orientation="8"/>')

    assert read_image(tmp_path / "a.jpg").size == (4, 8)


def test_read_image_reduces_a_large_jpeg_only_when_told_a_size(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.jpg", size=(1000, 800))

    assert read_image(path).size == (1000, 800)
    assert read_image(path, min_side=64).size == (250, 200)
    assert read_image(path, min_side=500).size == (1000, 800)


def test_read_image_reduces_a_jpeg_that_would_be_too_large(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.jpg", size=(1000, 800))

    with raises_mentioning(ImageError, 1000, 800, 100_000, "shrink"):
        read_image(path, max_pixels=100_000)
    assert read_image(path, max_pixels=100_000, min_side=64).size == (250, 200)


def test_read_image_does_not_count_on_reduction_for_a_progressive_jpeg(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 800)).save(tmp_path / "a.jpg", progressive=True)

    with pytest.raises(ImageError, match="too many"):
        read_image(tmp_path / "a.jpg", max_pixels=100_000, min_side=64)


@pytest.mark.parametrize(
    ("make", "name", "things"),
    [
        (_text, "a.jpg", ("content", "known")),
        (_empty, "a.jpg", ("empty", "0 bytes")),
        (_truncated, "a.jpg", ("truncated",)),
        (_truncated, "a.png", ("truncated",)),
        (_truncated, "a.webp", ("a.webp",)),
        (_truncated, "a.bmp", ("truncated",)),
        (_header_only, "a.jpg", ("a.jpg",)),
        (_header_only, "a.png", ("a.png",)),
        (_header_only, "a.bmp", ("a.bmp",)),
        (_huge_png, "a.png", (20_000, 64_000_000, "pixels")),
        (_huge_bmp, "a.bmp", (20_000, 64_000_000, "pixels")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_read_image_names_a_bad_file_and_the_remedy(
    tmp_path: Path, make: Callable[[Path], Path], name: str, things: tuple
) -> None:
    path = make(tmp_path / name)

    with raises_mentioning(ImageError, path, "remove", *things) as error:
        read_image(path, min_side=16)

    assert error.value.reason in str(error.value)


def test_read_image_of_a_missing_file_and_of_a_folder(tmp_path: Path) -> None:
    with raises_mentioning(ImageError, "a.jpg", "no such file", "path"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="it is a folder"):
        read_image(tmp_path)


def test_read_image_of_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _save(tmp_path / "a.png")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with raises_mentioning(ImageError, "a.png", "permission", "remove"):
        read_image(path)


def test_an_image_error_survives_pickling(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as error:
        read_image(tmp_path / "a.jpg")

    copy = pickle.loads(pickle.dumps(error.value))
    assert isinstance(copy, ImageError)
    assert (str(copy), copy.reason) == (str(error.value), error.value.reason)
    assert_mentions(copy.reason, "no such file")


def test_read_header_tells_the_stored_size_and_mode(tmp_path: Path) -> None:
    Image.new("LA", (7, 5)).save(tmp_path / "a.png")

    header = read_header(tmp_path / "a.png")
    assert (header.width, header.height, header.mode) == (7, 5, "LA")
    with pytest.raises(ImageError, match="no image"):
        read_header(_text(tmp_path / "b.png"))


def _three_bands() -> Image.Image:
    """A wide picture, 90 x 30: red, green, blue squares."""
    return Image.fromarray(np.repeat(np.array([[RED, GREEN, BLUE]], np.uint8), 30, axis=1).repeat(30, axis=0))


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_fit_square_crops_pads_or_stretches(turned: bool) -> None:
    image = _three_bands().transpose(Image.Transpose.TRANSPOSE) if turned else _three_bands()

    def middle_line(fit: str) -> np.ndarray:
        square = fit_square(image, size=30, fit=fit)
        assert square.size == (30, 30) and square.mode == "RGB"
        return np.asarray(square)[:, 15] if turned else np.asarray(square)[15]

    assert (middle_line("crop") == GREEN).all()
    assert middle_line("stretch")[[2, 15, 27]].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert middle_line("pad")[[2, 15, 27]].tolist() == [list(RED), list(GREEN), list(BLUE)]
    padded = np.asarray(fit_square(image, size=30, fit="pad"))
    bars = padded[:, [0, 9, 20, 29]] if turned else padded[[0, 9, 20, 29]]
    assert (bars == GREY).all()


def test_fit_square_is_antialiased() -> None:
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)

    small = np.asarray(fit_square(Image.fromarray(checks).convert("RGB"), size=32)).astype(int)

    assert np.abs(small - 127).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_fit_square_takes_any_size(size: tuple[int, int], fit: str) -> None:
    square = np.asarray(fit_square(Image.new("RGB", size, RED), size=64, fit=fit))

    assert square.shape == (64, 64, 3)
    assert (square[31:33, 31:33] == RED).all(axis=2).any()


def test_a_wrong_fit_is_refused() -> None:
    with raises_mentioning(ValueError, "fit", "zoom", "crop", "pad", "stretch"):
        check_fit("zoom")
