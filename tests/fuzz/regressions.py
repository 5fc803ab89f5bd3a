"""Files that once did harm, each by name, with what must become of it."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from kinds_pictures import chunk
from kinds_weights import models
from pickle_soup import name_op, text_op, zipped
from PIL import Image

REFUSED, READ = "refused", "read"


@dataclass(frozen=True)
class Regression:
    """A file for the reader of a kind; it is refused in a line, or read, within the bounds of all files."""

    kind: str
    file: str
    what: str
    content: Callable[[], bytes]
    outcome: str = REFUSED


def _png(width: int, height: int, *chunks: bytes, depth: int = 1) -> bytes:
    rows = bytes((1 + (width * depth + 7) // 8) * height)
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def big_gif(side: int = 16_000) -> bytes:
    """89 bytes or so that say they are a picture of 256 million pixels."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + frame * 3 + b";"


def _scans(count: int) -> bytes:
    """A progressive JPEG, 65,000 pixels wide, whose last scan comes again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (65_000, 8)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(%pipe%touch made) (w) file\nshowpage\n"
_LZ_TEXT = b"note\0\0" + zlib.compress(bytes(64 * 2**20), 9)
PICTURES = (
    Regression("picture", "cat.jpg", "PostScript under a picture's name", lambda: _EPS),
    Regression("picture", "cat.jpg", "PostScript without an end", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox:"),
    Regression("picture", "cat.jpg", "89 bytes of GIF, 16000 x 16000", big_gif),
    Regression("picture", "cat.png", "a PNG of 16000 x 16000", lambda: _png(16_000, 16_000)),
    Regression("picture", "cat.png", "1 x 40000", lambda: _png(1, 40_000), READ),
    Regression("shape", "pictures/cat.png", "1 x 40000, drawn upon", lambda: _png(1, 40_000), READ),
    Regression("shape", "pictures/cat.png", "40000 x 1, drawn upon", lambda: _png(40_000, 1), READ),
    Regression("picture", "cat.png", "7999 x 8000, just within the limit", lambda: _png(7999, 8000), READ),
    Regression("picture", "cat.png", "a text that unpacks to 64 MiB", lambda: _png(8, 8, chunk(b"zTXt", _LZ_TEXT))),
    Regression("picture", "cat.png", "a profile that does", lambda: _png(8, 8, chunk(b"iCCP", _LZ_TEXT)), ""),
    Regression("picture", "cat.bmp", "a BMP of 2^31 x 2^31", lambda: _bmp(2**31 - 1, 2**31 - 1)),
    Regression("picture", "cat.bmp", "a BMP upside down beyond reason", lambda: _bmp(30_000, -(2**31))),
    Regression("picture", "cat.jpg", "a JPEG of 2000 scans", lambda: _scans(2000)),
    Regression("picture", "cat.jpg", "nothing", lambda: b""),
    Regression("video", "cat.gif", "89 bytes of GIF, 16000 x 16000", big_gif),
    Regression("video", "cat.mp4", "a playlist of another file",
               lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nbeside/other.ts\n#EXT-X-ENDLIST\n"),
    Regression("video", "cat.mp4", "a script that joins other files",
               lambda: b"ffconcat version 1.0\nfile beside/other.mp4\n"),
    Regression("video", "cat.mp4", "only the name of a box", lambda: b"\0\0\0\x08ftyp"),
    Regression("video", "cat.mp4", "a text", lambda: b"no film\n" * 99),
)  # fmt: skip


def crashing_array() -> bytes:
    """94 bytes: an array of objects whose addresses are bytes of the file's."""
    kind = name_op("numpy", "dtype") + b"(" + text_op("O8") + b"\x89\x88tR"
    kind += b"(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return b"\x80\x04" + name_op("numpy", "ndarray") + b"((K\x02t" + kind + b"C\x10" + b"A" * 16 + b"tR."


def _hashed_nest() -> bytes:
    return b"\x80\x02}N" + b"\x85" * 20_000 + b"Ns."


def _doubling() -> bytes:
    """Lists that each hold the one before them twice: 2^60 leaves."""
    steps = b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))
    return b"\x80\x02]q\0" + steps + b"."


def repeated_arrays() -> bytes:
    """100 KB: an array of 20,000 objects, and a list that names it 12,000 times."""
    made = name_op("numpy.core.multiarray", "_reconstruct") + b"(" + name_op("numpy", "ndarray") + b"K\0\x85C\1btR"
    kind = name_op("numpy", "dtype") + b"(" + text_op("O8") + b"\x89\x88tR"
    items = b"](" + b"N" * 20_000 + b"e"
    array = made + b"(K\1M\x20\x4e\x85" + kind + b"\x89" + items + b"tb"
    return b"\x80\x04" + array + b"r\0\1\0\0" + b"0](" + b"j\0\1\0\0" * 12_000 + b"e."


PICKLES: dict[str, Callable[[], bytes]] = {
    "objects at chosen addresses": crashing_array,
    "a key nested beyond the stack": _hashed_nest,
    "a place in the memo beyond memory": lambda: b"\x80\x02Nr\xff\xff\xff\x7f.",
    "bytes of 2^40": lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    "a text of 2^62": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
    "a frame of 2^63": lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N.",
    "lists that double": _doubling,
    "a program": lambda: b"\x80\x02" + name_op("os", "system") + b"(" + text_op("touch made") + b"tR.",
    "a name to evaluate": lambda: b"cbuiltins\neval\n(S'1+1'\ntR.",
    "a registered extension": lambda: b"\x80\x02\x82\x01.",
    "a persistent name": lambda: b"\x80\x02Pname\n.",
    "a state for what has none": lambda: b"\x80\x02N}b.",
    "only a mark": lambda: b"(",
    "an array of objects, 12,000 times": repeated_arrays,
    "digits without end": lambda: b"L" + b"9" * 100_000 + b"L\n.",
}
_PICKLE_FILES = (("arrays", "arrays.ckpt"), ("frames", "table.pkl"), ("features", "tiny.ckpt"),
                 ("features", "tiny.pth"), ("state", "training_state.pt"), ("official", "authors.ckpt"))  # fmt: skip
# What is a plain value, of no memory to speak of, may be read where any plain value may.
_HARMLESS = {"lists that double", "a key nested beyond the stack", "a place in the memo beyond memory",
             "a frame of 2^63", "an array of objects, 12,000 times"}  # fmt: skip


def in_torch_zip(pickled: bytes) -> bytes:
    """A file of torch's that holds this pickle."""
    return zipped([("archive/data.pkl", pickled), ("archive/byteorder", b"little"), ("archive/version", b"3\n")])


def pickles() -> list[Regression]:
    """Each pickle for each reader of pickles, and in torch's zip."""
    found = []
    for what, content in PICKLES.items():
        outcome = "" if what in _HARMLESS else REFUSED
        for kind, file in _PICKLE_FILES:
            found.append(Regression(kind, file, what, content, outcome))
        for kind, file in _PICKLE_FILES[3:]:
            zipped_too = _zipped(content)
            found.append(Regression(kind, file, f"{what}, in a zip", zipped_too, outcome))
    return found


def _zipped(content: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: in_torch_zip(content())


def _model(file: str, **changes: object) -> bytes:
    """A small model whose header asks for something else."""
    data = next(sample.content for sample in models() if sample.name == file)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(header["__metadata__"])
    for name, value in changes.items():
        start = text.index(f'\\"{name}\\": ') + len(name) + 6
        end = min(place for mark in (",", "}") if (place := text.find(mark, start)) > 0)
        text = text[:start] + str(value) + text[end:]
    header["__metadata__"] = json.loads(text)
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data[8 + length :]


def _deep_header() -> bytes:
    data = next(sample.content for sample in models() if sample.name == "graph.safetensors")
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict.fromkeys(header["__metadata__"], "[" * 100_000)
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data[8 + length :]


MODELS = (
    Regression("model", "graph.safetensors", "40 KB that ask for a network of gigabytes",
               lambda: _model("graph.safetensors", width=16.0)),
    Regression("model", "graph.safetensors", "that ask for a wider one still",
               lambda: _model("graph.safetensors", width=1e9)),
    Regression("model", "graph.safetensors", "that ask for no width",
               lambda: _model("graph.safetensors", width="NaN")),
    Regression("model", "graph.safetensors", "that ask for a large picture",
               lambda: _model("graph.safetensors", image_size=2**20)),
    Regression("model", "gan.safetensors", "a generator of gigabytes",
               lambda: _model("gan.safetensors", style_size=2**30)),
    Regression("model", "transfer.safetensors", "81 KB that ask for 7.4 GiB",
               lambda: _model("transfer.safetensors", appearance_width=24.0)),
    Regression("model", "transfer.safetensors", "no end of clusters",
               lambda: _model("transfer.safetensors", clusters=2**40)),
    Regression("model", "graph.safetensors", "a configuration nested without end", _deep_header),
    Regression("model", "graph.safetensors", "a header of 2^63 bytes", lambda: struct.pack("<Q", 2**63) + b"{}"),
    Regression("model", "graph.safetensors", "eight bytes", lambda: bytes(8)),
)  # fmt: skip
