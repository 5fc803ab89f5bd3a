"""Pictures: every format that Pillow writes, under a picture's name, and damage that keeps its checksums."""

import io
import re
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
from fuzz_kinds import Kind, Sample
from mutators import number_of, word_of
from PIL import Image, features

from autolink_gen.data.images import read_header, read_image

_PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = ("AVIF", "DDS", "EPS", "GIF", "ICNS", "ICO", "JPEG2000", "MSP", "PCX", "PDF", "PPM", "QOI", "SGI",
           "SPIDER", "TGA", "TIFF", "XBM", "BLP", "MPO")  # fmt: skip
TOKENS = (b"\xff\xd8\xff", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xe1", b"\xff\xd9",
          b"\xff\xdd", b"Exif\0\0", b"II*\0", b"MM\0*", b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", b"IHDR", b"IDAT",
          b"PLTE", b"tRNS", b"acTL", b"fcTL", b"zTXt", b"iCCP", b"eXIf", b"IEND", b"RIFF", b"WEBP", b"VP8 ", b"VP8L",
          b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"BM", b"GIF89a", b"!\xff\x0bNETSCAPE2.0", b"%!PS-Adobe-3.0 EPSF-3.0",
          b"%%BoundingBox: 0 0 99999 99999", b"(%pipe%touch x) (w) file", b"ftypavif", b"ftypavis", b"ispe",
          b"iloc", b"pitm", b"iref", b"auxl", b"av01", b"av1C", b"irot", b"imir", b"pasp")  # fmt: skip


def _pixels(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 7 % 256, y * 5 % 256, (x + y) * 3 % 256], -1).astype(np.uint8)
    return Image.fromarray(rgb)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def interlaced_png(width: int, height: int) -> bytes:
    """A grey PNG in Adam7's seven passes, which Pillow reads and does not write."""
    rows = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                           (0, 1, 1, 2)):  # fmt: skip
        columns = len(range(x0, width, dx))
        rows += b"".join(b"\0" + bytes(range(columns)) for _ in range(y0, height, dy)) if columns else b""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return _PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _jpegs(image: Image.Image) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    found = {
        "base.jpg": saved(image, "JPEG"),
        "progressive.jpg": saved(image, "JPEG", progressive=True),
        "exif.jpg": saved(image, "JPEG", exif=exif, icc_profile=b"profile" * 20, comment=b"hello"),
        "restart.jpg": saved(image, "JPEG", restart_marker_rows=1, optimize=True),
        "grey.jpg": saved(image.convert("L"), "JPEG"),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
    }
    return found


def _pngs(image: Image.Image) -> dict[str, bytes]:
    modes = {mode: saved(image.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    found = {f"{mode}.png": content for mode, content in modes.items()}
    deep = Image.fromarray((np.arange(20 * 16).reshape(16, 20) * 200).astype(np.uint16))
    found["deep.png"] = saved(deep, "PNG")
    found["interlaced.png"] = interlaced_png(11, 9)
    found["palette.png"] = saved(image.convert("P"), "PNG", transparency=b"\x00\x80\xff" * 5)
    frames = [image, image.transpose(Image.Transpose.ROTATE_180)]
    found["animated.png"] = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)
    texts = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 9000)) + chunk(b"tEXt", b"Title\0A picture")
    whole = found["RGB.png"]
    found["texts.png"] = whole[:33] + texts + whole[33:]
    return found


def _others(image: Image.Image) -> dict[str, bytes]:
    found = {}
    for kind in _OTHERS:
        for mode in ("RGB", "P", "1", "F"):
            try:
                found[f"{kind.lower()}.jpg"] = saved(image.convert(mode), kind)
                break
            except (OSError, ValueError, KeyError):
                continue
    return found


def samples() -> list[Sample]:
    """Small pictures of every form, those of other formats than their names say included."""
    image = _pixels(20, 16)
    webps = {
        "lossy.webp": saved(image, "WEBP"),
        "lossless.webp": saved(image, "WEBP", lossless=True),
        "alpha.webp": saved(image.convert("RGBA"), "WEBP"),
        "animated.webp": saved(image, "WEBP", save_all=True, append_images=[image.rotate(90)], duration=100),
    }
    bmps = {f"{mode}.bmp": saved(image.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    bmps["rle.bmp"] = _rle_bmp()
    files = {**_jpegs(image), **_pngs(image), **webps, **bmps, **_tiffs(image), **_avifs(image), **_others(image)}
    return [Sample(name, content) for name, content in files.items()]


def _tiffs(image: Image.Image) -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = {
        "raw.tif": saved(image, "TIFF", exif=exif),
        "jpeg.tif": saved(image, "TIFF", compression="jpeg"),
        "deflate.tif": saved(image.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": saved(image.convert("P"), "TIFF", compression="packbits"),
        "zstd.tif": saved(image.convert("CMYK"), "TIFF", compression="zstd"),
        "pages.tif": saved(image, "TIFF", save_all=True, append_images=[image.rotate(90)]),
        "strips.tif": saved(image, "TIFF", compression="tiff_lzw", strip_size=100),
    }
    deep = Image.fromarray((np.arange(20 * 16).reshape(16, 20) * 200).astype(np.uint16))
    return {**found, "deep.tif": saved(deep, "TIFF", compression="tiff_lzw")}


def _avifs(image: Image.Image) -> dict[str, bytes]:
    if not features.check("avif"):
        return {}
    exif = Image.Exif()
    exif[0x0112] = 5
    return {
        "plain.avif": saved(image, "AVIF", speed=10),
        "alpha.avif": saved(image.convert("RGBA"), "AVIF", speed=10, exif=exif),
        "animated.avif": saved(image, "AVIF", speed=10, save_all=True, append_images=[image.rotate(90)]),
    }


def _rle_bmp() -> bytes:
    palette = bytes(range(256)) * 4
    body = bytes([20, 1, 0, 0]) * 16 + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, 20, 16, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(body), 0, 0, 14 + 40 + 1024) + head + palette + body


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of the chunks of a PNG, as far as they are whole."""
    found, place = [], len(_PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def change_png(draw: Random, data: bytes) -> bytes:
    """A PNG with a chunk changed, left out, repeated or made up, its checksums right."""
    chunks = png_chunks(data) if data.startswith(_PNG) else []
    if not chunks:
        return data
    number = draw.randrange(len(chunks))
    name, content = chunks[number]
    way = draw.randrange(6)
    if way == 0:
        chunks[number] = (name, _changed(draw, content))
    elif way == 1:
        size = struct.pack(">II", number_of(draw) % 2**32, draw.choice((1, 16, number_of(draw) % 2**32)))
        chunks[0] = (b"IHDR", size + bytes(draw.choice((0, 1, 2, 3, 4, 6, 8, 16)) for _ in range(5)))
    elif way == 2:
        chunks.insert(draw.randrange(len(chunks)) + 1, (draw.choice(TOKENS[11:19])[:4], draw.randbytes(20)))
    elif way == 3:
        bomb = zlib.compress(bytes(draw.choice((10**4, 10**6, 2 * 10**7))), 9)
        chunks.insert(1, draw.choice(((b"zTXt", b"a\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb),
                                      (b"iTXt", b"a\0\1\0\0\0" + bomb), (b"IDAT", bomb))))  # fmt: skip
    elif way == 4:
        chunks *= draw.choice((2, 50))
    else:
        del chunks[number]
    return _PNG + b"".join(chunk(name, content) for name, content in chunks)


def _changed(draw: Random, content: bytes) -> bytes:
    if not content:
        return word_of(draw, 4)
    place = draw.randrange(len(content))
    size = draw.choice((1, 2, 4))
    return content[:place] + word_of(draw, size, "big") + content[place + size :]


def change_jpeg(draw: Random, data: bytes) -> bytes:
    """A JPEG with a segment's length, a size, or the order and number of segments changed."""
    if not data.startswith(b"\xff\xd8"):
        return data
    parts, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        length = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        parts.append(data[place : place + length])
        place += length
    rest = data[place:]
    if not parts:
        return data
    number = draw.randrange(len(parts))
    part, way = parts[number], draw.randrange(5)
    if way == 0:
        parts[number] = part[:2] + word_of(draw, 2, "big") + part[4:]
    elif way == 1:  # the size of a frame
        frames = [n for n, one in enumerate(parts) if one[1:2] in (b"\xc0", b"\xc2")]
        for n in frames:
            parts[n] = parts[n][:5] + word_of(draw, 2, "big") + word_of(draw, 2, "big") + parts[n][9:]
    elif way == 2:
        parts[number] = part[:4] + _changed(draw, part[4:])
    elif way == 3:
        parts.insert(draw.randrange(len(parts)), part)
    else:
        scan = rest.find(b"\xff\xda", 2)
        rest = rest[:scan] * draw.choice((2, 20, 200)) + rest[scan:] if scan > 0 else rest * draw.choice((2, 20))
    return data[:2] + b"".join(parts) + rest


def change_riff(draw: Random, data: bytes) -> bytes:
    """A RIFF file (WebP, AVI) with the length of a chunk or a field of it changed."""
    if not data.startswith(b"RIFF"):
        return data
    places, place = [4], 12
    while place + 8 <= len(data) and len(places) < 50:
        places.append(place + 4)
        inner = data[place : place + 4] == b"LIST"
        place += 12 if inner else 8 + (int.from_bytes(data[place + 4 : place + 8], "little") + 1) // 2 * 2
    chosen = draw.choice(places) + draw.choice((0, 0, 4, 8, 12, 20))
    size = draw.choice((2, 3, 4))
    return data[:chosen] + word_of(draw, size, "little") + data[chosen + size :]


def change_tiff(draw: Random, data: bytes) -> bytes:
    """A TIFF with the tag, the kind, the number or the value of entries of its first directory changed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return data
    place = int(struct.unpack_from(order + "L", data, 4)[0])
    count = int.from_bytes(data[place : place + 2], "little" if order == "<" else "big")
    if not 0 < count < 100:
        return data
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        entry = place + 2 + 12 * draw.randrange(count)
        field, size = draw.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 4)))
        known = (draw.choice(range(254, 340)), draw.randrange(1, 14), 1, len(data))
        small = draw.choice((draw.randrange(9), known[(0, 2, 4, 8).index(field)]))
        word = small.to_bytes(size, "little" if order == "<" else "big") if draw.random() < 0.5 else word_of(draw, size)
        changed[entry + field : entry + field + size] = word
    return bytes(changed)


def change_boxes(draw: Random, data: bytes) -> bytes:
    """An AVIF with a field of one of its boxes changed."""
    if data[4:8] != b"ftyp":
        return data
    places = [found.start() for found in re.finditer(rb"ispe|iloc|pitm|av1C|irot|imir|ipma|iinf|infe|mdat|pixi", data)]
    if not places:
        return data
    place, size = draw.choice(places) + draw.randrange(-4, 40), draw.choice((1, 2, 4))
    return data[:place] + word_of(draw, size, "big") + data[place + size :]


def read(home: Path, file: Path) -> None:
    """What all commands do with a picture."""
    header = read_header(file)
    assert header.width > 0
    assert header.height > 0
    whole = read_image(file)
    assert whole.mode == "RGB"
    assert {*whole.size} == {header.width, header.height} or whole.size == (header.width, header.height)
    assert read_image(file, min_side=4).mode == "RGB"


PICTURE = Kind(
    "picture",
    samples,
    read,
    mutators=(change_png, change_jpeg, change_riff, change_tiff, change_boxes),
    tokens=TOKENS,
    cost_ms=0.8,
    weight=4.0,
)
KINDS = (PICTURE,)
