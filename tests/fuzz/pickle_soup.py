"""Pickles that are wrong in the right form: opcodes with arguments that fit, deep nests, huge lengths, odd calls."""

import io
import pickletools
import struct
import zipfile
from random import Random

from mutators import number_of

_GLOBALS = (
    ("os", "system"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "list"),
    ("builtins", "slice"), ("builtins", "bytearray"), ("posix", "system"), ("subprocess", "Popen"),
    ("shutil", "rmtree"), ("copyreg", "_reconstructor"), ("builtins", "object"), ("_codecs", "encode"),
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("pathlib", "PosixPath"),
    ("argparse", "Namespace"), ("numpy", "ndarray"),
    ("numpy", "dtype"), ("numpy", "memmap"), ("numpy", "fromfile"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage"),
    ("torch._utils", "_rebuild_parameter"), ("torch", "Size"), ("torch", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch", "_utils._rebuild_tensor_v2"), ("pandas", "DataFrame"),
    ("pandas._libs.internals", "_unpickle_block"), ("", ""), ("a" * 3000, "b\x1b[31m"),
)  # fmt: skip
_PLAIN = (b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"(", b"0", b"1", b"2", b"a", b"b", b"d", b"e", b"l",
          b"o", b"s", b"t", b"u", b"R", b"\x81", b"\x92", b"\x85", b"\x86", b"\x87", b"\x90", b"\x91", b"\x93",
          b"\x94", b"Q", b"\x97", b"\x98", b"R", b"b", b"t", b"(", b"\x85")  # fmt: skip
_RANKS = (0, 1, 2, 3, 40)
_LENGTHS = (0, 1, 4, 255, 2**16, 2**31 - 1, 2**32 - 1)


def name_op(module: str, name: str) -> bytes:
    """The opcode that asks for a name."""
    return f"c{module}\n{name}\n".encode()


def text_op(text: str) -> bytes:
    """The opcode of a text."""
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def some_op(draw: Random) -> bytes:
    """One opcode with arguments of the right form."""
    way = draw.randrange(16)
    if way < 6:
        return draw.choice(_PLAIN)
    number = number_of(draw)
    numbers = (b"K" + bytes([number % 256]), b"M" + struct.pack("<H", number % 2**16),
               b"J" + struct.pack("<I", number % 2**32), f"I{number}\n".encode(), f"L{number}L\n".encode(),
               b"F" + str(float(number)).encode() + b"\n", b"G" + draw.randbytes(8), b"\x8a\x08" + draw.randbytes(8),
               b"I01\n", f"L{'9' * 5000}L\n".encode(), b"\x8b\x58\2\0\0" + draw.randbytes(600))  # fmt: skip
    texts = (text_op(draw.choice(("", "O8", "f4", "|V9", "M8[ns]", "value", "0", "cpu", "i4,(9999999,9999999)f8"))),
             b"\x8c\x02ab", b"S'text'\n", b"Vtext\n", b"C\x04" + draw.randbytes(4), b"U\x02ab",
             b"T" + struct.pack("<i", 3) + b"abc", b"\x8e" + struct.pack("<Q", 4) + b"abcd")  # fmt: skip
    lengths = (b"B" + struct.pack("<I", draw.choice(_LENGTHS)), b"X" + struct.pack("<I", draw.choice(_LENGTHS)),
               b"T" + struct.pack("<I", draw.choice(_LENGTHS)), b"\x8b" + struct.pack("<I", draw.choice(_LENGTHS)),
               *(op + struct.pack("<Q", draw.choice((2**31, 2**40, 2**63 - 1, 2**64 - 1))) for op in
                 (b"\x8d", b"\x8e", b"\x96", b"\x95")))  # fmt: skip
    memo = (b"q\0", b"h\0", b"h\1", b"q\1", b"p0\n", b"g0\n", b"g1\n", b"r" + struct.pack("<I", draw.choice(_LENGTHS)),
            b"j" + struct.pack("<I", draw.choice(_LENGTHS)), b"p99999999999\n", b"p-1\n")  # fmt: skip
    odd = (b"\x82\1", b"\x83\1\0", b"\x84\1\0\0\0", b"Pname\n", b"\x80" + bytes([draw.randrange(8)]), b"i__main__\nX\n",
           b".", bytes([draw.randrange(256)]))  # fmt: skip
    choice = draw.choice((numbers, texts, memo, memo, odd, lengths))
    return name_op(*draw.choice(_GLOBALS)) if way < 9 else draw.choice(choice)


def soup(draw: Random) -> bytes:
    """A pickle of opcodes drawn at random."""
    return b"\x80\x04" + b"".join(some_op(draw) for _ in range(draw.randint(1, 60))) + b"."


def array_op(draw: Random) -> bytes:
    """A numpy array made by a call, with a shape, a type and bytes that need not fit together."""
    kind = draw.choice(("f4", "f8", "O8", "O", "V2147483647", "S99999999", "U2", "i4", "M8[ns]", "f2,O", "b1", "c16"))
    dtype = name_op("numpy", "dtype") + b"(" + text_op(kind) + b"\x89\x88tR"
    if draw.random() < 0.7:
        state = draw.choice((b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t",
                             b"(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft", b"(K\x09t",
                             b"(K\x03X\x01\0\0\0|(X\x01\0\0\0O8N)NK\x08K\x01K\0t"))  # fmt: skip
        dtype += state + b"b"
    sides = [number_of(draw) if draw.random() < 0.3 else draw.choice((0, 1, 2, -1)) for _ in range(draw.choice(_RANKS))]
    shape = b"(" + b"".join(f"L{side}L\n".encode() for side in sides) + b"t"
    content = b"B" + struct.pack("<I", 16) + draw.randbytes(16)
    if draw.random() < 0.4:
        return name_op("numpy", "ndarray") + b"(" + shape + dtype + content + b"tR"
    made = name_op("numpy._core.multiarray", "_reconstruct") + b"(" + name_op("numpy", "ndarray") + b"K\0\x85C\1btR"
    inner = content if draw.random() < 0.6 else b"]" + b"(K\1K\2e"
    return made + b"(K\1" + shape + dtype + b"\x89" + inner + b"tb"


def nested(draw: Random) -> bytes:
    """A pickle nested deeper than a machine's stack, hashed, repeated, or growing by its memo."""
    depth = draw.choice((100, 100, 2000, 2000, 2000, 50_000))
    way = draw.randrange(6)
    if way == 0:
        return b"\x80\x02N" + b"\x85" * depth + b"."
    if way == 1:  # a key is hashed to its depths
        return b"\x80\x02}N" + b"\x85" * depth + b"Ns."
    if way == 2:
        return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."
    if way == 3:  # each list twice in the next: 2^n leaves
        return b"\x80\x02]q\0" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)) + b"."
    if way == 4:
        return b"\x80\x02(" + b"(" * depth + b"t" * depth + b"t."
    return b"\x80\x04\x8f(" + b"(" * (depth // 10) + b"\x91" * (depth // 10) + b"\x90."


def change_pickle(draw: Random, data: bytes) -> bytes:
    """A pickle with opcodes put in, left out, repeated or replaced, in the places of opcodes."""
    way = draw.randrange(10)
    if way == 0:
        return soup(draw)
    if way == 1:
        return nested(draw)
    if way == 2:
        return b"\x80\x04" + array_op(draw) + draw.choice((b"", b"\x85", b"N\x86", b")b")) + b"."
    places = _places(data)
    start = draw.choice(places)
    end = draw.choice(places[places.index(start) :][:4])
    new = array_op(draw) if way == 3 else b"".join(some_op(draw) for _ in range(draw.choice((0, 1, 1, 2, 5))))
    if way == 4:
        new = data[start:end] * draw.choice((2, 3, 100))
    return data[:start] + new + data[end if draw.random() < 0.6 else start :]


def _places(data: bytes) -> list[int]:
    found = [0]
    try:
        for _, _, place in pickletools.genops(data):
            found.append(place or 0)
    except Exception:  # noqa: BLE001 - the rest is no pickle: the places up to there serve
        found.append(len(data))
    return found[:5000]


def change_zip(draw: Random, data: bytes) -> bytes:
    """A zip with a member's content changed and its checksum right, or a field of its directory changed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # noqa: BLE001 - damaged already
        return data
    if not files or draw.random() < 0.2:
        return _change_directory(draw, data)
    pickles = [n for n, (name, _) in enumerate(files) if name.endswith(".pkl")]
    number = draw.choice(pickles) if pickles and draw.random() < 0.7 else draw.randrange(len(files))
    name, content = files[number]
    way = draw.randrange(8)
    if way == 0:
        files[number] = (name, content[: draw.randint(0, len(content))])
    elif way == 1:
        files[number] = (name, bytes(draw.choice((10**3, 10**6, 2 * 10**7))))
    elif way == 2:
        del files[number]
    elif way == 3:
        files[number] = (draw.choice(("../x", "/x", "a" * 3000, "archive/data.pkl", "archive/data/0", "\x1b")), content)
    elif name.endswith(".pkl"):
        files[number] = (name, change_pickle(draw, content))
    else:
        files[number] = (name, draw.randbytes(len(content)))
    return zipped(files, deflate=way == 1 or draw.random() < 0.1)


def zipped(files: list[tuple[str, bytes]], *, deflate: bool = False) -> bytes:
    """A zip with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return buffer.getvalue()


def _change_directory(draw: Random, data: bytes) -> bytes:
    marks = [place for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7")
             if (place := data.rfind(mark)) >= 0]  # fmt: skip
    if not marks:
        return data
    place = draw.choice(marks) + draw.randrange(4, 46)
    size = draw.choice((2, 4))
    return data[:place] + (number_of(draw) % 256**size).to_bytes(size, "little") + data[place + size :]
