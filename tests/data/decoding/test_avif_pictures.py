"""AVIF: its colours, its orientation and its transparency; a header that says less than the picture is not believed."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.decoding.avif import _num_frames
from autolink_gen.data.images import ImageError, decode_image, read_header, read_image, to_array

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")

_CORNERS = ((6, 6), (6, 58), (42, 6), (42, 58))


def _drawn() -> Image.Image:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:], pixels[24:, :32], pixels[24:, 32:] = RED, GREEN, BLUE, BROWN
    return Image.fromarray(pixels)


RED, GREEN, BLUE, BROWN = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 100)


def _avif(image: Image.Image, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "AVIF", quality=95, speed=10, **options)
    return buffer.getvalue()


def _far(pixels: np.ndarray, wanted: np.ndarray) -> int:
    return max(int(np.abs(pixels[y, x].astype(int) - wanted[y, x]).max()) for y, x in _CORNERS)


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:4:4"}, {"range": "limited"}])
def test_colours(tmp_path: Path, options: dict[str, str]) -> None:
    (tmp_path / "a.avif").write_bytes(_avif(_drawn(), **options))
    assert _far(to_array(read_image(tmp_path / "a.avif")), np.asarray(_drawn())) <= 3
    header = read_header(tmp_path / "a.avif")
    assert (header.width, header.height, header.mode) == (64, 48, "RGB")


def test_a_name_does_not_count_and_bytes_are_decoded_as_files_are(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_avif(_drawn()))
    pixels = to_array(read_image(tmp_path / "a.jpg"))
    decoded = decode_image((tmp_path / "a.jpg").read_bytes(), "a.jpg", remedy="remove it")
    assert np.array_equal(pixels, to_array(decoded))


def test_the_brand_may_stand_second_and_heic_is_told_apart(tmp_path: Path) -> None:
    content = _avif(_drawn())
    assert content[8:12] == b"avif" and b"avif" in content[16:32]
    (tmp_path / "a.avif").write_bytes(content[:8] + b"mif1" + content[12:])
    assert read_image(tmp_path / "a.avif").size == (64, 48)
    (tmp_path / "b.jpg").write_bytes(struct.pack(">L4s4sL8s", 24, b"ftyp", b"heic", 0, b"mif1heic") + bytes(100))
    with pytest.raises(ImageError, match=r"HEIC.*convert"):
        read_image(tmp_path / "b.jpg")


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    image = _drawn()
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:24, 32:], alpha[24:, 32:] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    (tmp_path / "a.avif").write_bytes(_avif(image))
    pixels = to_array(read_image(tmp_path / "a.avif"))
    wanted = np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    assert _far(pixels, wanted) <= 4 and wanted[42, 58].tolist() == [227, 202, 177]
    assert read_header(tmp_path / "a.avif").mode == "RGBA"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    _drawn().save(tmp_path / "same.png", exif=exif)
    with Image.open(tmp_path / "same.png") as same:
        wanted = np.asarray(ImageOps.exif_transpose(same))
    (tmp_path / "a.avif").write_bytes(_avif(_drawn(), exif=exif))
    pixels = to_array(read_image(tmp_path / "a.avif"))
    assert pixels.shape == wanted.shape
    inner = [(y, x) for y in (6, wanted.shape[0] - 7) for x in (6, wanted.shape[1] - 7)]
    assert max(np.abs(pixels[at].astype(int) - wanted[at]).max() for at in inner) <= 3


def test_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    content = _avif(_drawn(), save_all=True, append_images=[_drawn().rotate(180)])
    (tmp_path / "a.avif").write_bytes(content)
    assert _far(to_array(read_image(tmp_path / "a.avif")), np.asarray(_drawn())) <= 3


def test_a_picture_larger_than_its_header_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = _avif(Image.new("RGB", (400, 300), RED))
    path = tmp_path / "a.avif"
    small = content.replace(struct.pack(">LL", 400, 300), struct.pack(">LL", 16, 16))
    assert small != content
    monkeypatch.setenv(PIXELS_VARIABLE, "100000")
    for one in (content, small):
        path.write_bytes(one)
        with pytest.raises(ImageError, match=r"a\.avif") as error:
            read_image(path)
        assert "\n" not in str(error.value)
    monkeypatch.delenv(PIXELS_VARIABLE)
    path.write_bytes(content)
    assert np.abs(to_array(read_image(path))[5, 5].astype(int) - RED).max() <= 3


def test_damage_is_one_line(tmp_path: Path) -> None:
    content = _avif(_drawn())
    for number, damaged in enumerate((content[:200], content[: len(content) - 20], content[:40] + bytes(400))):
        path = tmp_path / f"{number}.avif"
        path.write_bytes(damaged)
        with pytest.raises(ImageError, match=rf"{number}\.avif.*remove") as error:
            read_image(path)
        assert "\n" not in str(error.value)


def test_a_header_without_a_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    content = _avif(_drawn())
    path.write_bytes(content[: content.find(b"av01") + 9])
    for read in (read_header, read_image):
        with pytest.raises(ImageError, match="how large"):
            read(path)


def test_frames_in_a_packet_are_counted() -> None:
    header, frame, hidden = b"\x0a\1\0", b"\x32\2\0\0", b"\x1a\1\0"
    assert _num_frames(header + frame) == 1
    assert _num_frames(header + 30 * hidden + frame) == 31
    assert _num_frames(header + b"\x30anything") == 1  # of no length: to the end
    assert _num_frames(b"\x32\xff") == 1
