"""Damage that keeps a file's outer form: JSON, YAML, CSV, tar, safetensors, gzip."""

import gzip
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from mutators import flip_bits, number_of, set_bytes

_BAD_TEXTS = ("", "\x1b[31m", "a\nb", "\u202e", "\ud800", "=1+1", "../../x", "/etc/passwd", "x" * 5000, "\0", "٣",
              "nan", "1e999", "null", "F32", "F64", "BOOL", "I64", "F8_E4M3")  # fmt: skip


def some_value(draw: Random) -> Any:
    """A value that JSON can hold and hardly anyone expects."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: number_of(draw),
        lambda: draw.choice((1e308, -1e308, 1e-320, 0.1, -0.0, float("nan"), float("inf"), 10**400)),
        lambda: draw.choice((None, True, False)),
        lambda: draw.choice(_BAD_TEXTS),
        lambda: [some_value(draw) for _ in range(draw.choice((0, 0, 0, 1, 2, 5)))],
        lambda: {draw.choice(_BAD_TEXTS): draw.choice((1, None))},
        lambda: [draw.choice((0, 1.5, None, "a"))] * draw.choice((1, 2, 1000)),
        lambda: _nest([], draw.choice((10, 90))),
        lambda: draw.choice((0, 1, 2, 3, -1, 64, 128, 512, 4096)),
    )
    return draw.choice(makers)()


def _nest(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def change_value(draw: Random, value: Any) -> Any:
    """A tree of JSON with one of its nodes replaced, left out or repeated."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        changed = dict(value)
        key = draw.choice(list(changed))
        way = draw.random()
        if way < 0.06:
            del changed[key]
        elif way < 0.12:
            changed[draw.choice(_BAD_TEXTS)] = changed.pop(key)
        elif way < 0.16:
            changed[draw.choice(_BAD_TEXTS)] = some_value(draw)
        else:
            changed[key] = change_value(draw, changed[key])
        return changed
    if isinstance(value, list) and value and draw.random() < 0.85:
        changed_list = list(value)
        place = draw.randrange(len(value))
        way = draw.random()
        if way < 0.08:
            del changed_list[place]
        elif way < 0.16:
            changed_list[place:place] = [value[place]] * draw.choice((1, 5, 100))
        else:
            changed_list[place] = change_value(draw, value[place])
        return changed_list
    if isinstance(value, int | float) and draw.random() < 0.4:
        return draw.choice((value + 1, value - 1, -value, value * 2, value * 1000, 0.3, repr(value)[:4000]))
    return some_value(draw)


def _written(value: Any) -> bytes:
    # A lone surrogate stays an escape, as hand-made JSON may have it.
    return json.dumps(value).encode()


def change_json(draw: Random, data: bytes) -> bytes:
    """JSON with a value changed; or text that is deep, doubled or otherwise odd."""
    if draw.random() < 0.1:
        deep = draw.choice((500, 5000, 100_000))
        return draw.choice((b"[" * deep, b'{"a":' * deep, b"[" * deep + b"]" * deep, b"1" * 5000,
                            b"\xef\xbb\xbf" + data, b'{"a":1,"a":' + data + b"}", b'"\\ud800"',
                            data.replace(b"[", b"[[", 1)))  # fmt: skip
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return set_bytes(draw, data)
    try:
        return _written(change_value(draw, value))
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        return data


def change_lines(draw: Random, data: bytes) -> bytes:
    """Lines of JSON with one of them changed."""
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    lines[place] = change_json(draw, lines[place] or b"{}")
    return b"\n".join(lines)


def change_safetensors(draw: Random, data: bytes) -> bytes:
    """A safetensors file with a value of its header changed, its length right or not."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        if draw.random() < 0.7 and isinstance(header.get("__metadata__"), dict):
            header["__metadata__"] = _changed_metadata(draw, header["__metadata__"])
        else:
            header = change_value(draw, header)
        text = _written(header)
    except (ValueError, RecursionError, AttributeError):
        return flip_bits(draw, data)
    told = len(text) if draw.random() < 0.95 else number_of(draw) % 2**64
    return struct.pack("<Q", told) + text + data[8 + length :]


def _changed_metadata(draw: Random, metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata with a value inside the JSON that one of its texts holds changed."""
    changed = dict(metadata)
    key = draw.choice(list(changed)) if changed else "config"
    try:
        inner = json.loads(changed[key])
    except (ValueError, KeyError, RecursionError, TypeError):
        return change_value(draw, changed)
    changed[key] = json.dumps(change_value(draw, inner))
    if draw.random() < 0.03:
        changed[key] = draw.choice(("[" * 100_000, '{"a":' * 50_000, "1" * 5000))
    return changed


_YAML_LINES = (b"x: !!python/object/apply:os.system ['true']", b"x: !!binary AAAA", b"<<: *a", b"a: &a [*a]",
               b"<<: [{a: 1}, {b: 2}]", b"x: !!set {a, b}", b"? [a]\n: b", b"? {a: b}\n: c", b"x: 2001-99-99",
               b"x: 1:99:99", b"%YAML 9.9\n---", b"---\n---", b"x: !!int zz", b"x: !!timestamp q", b"x: 0x",
               b"x: 0b_", b"x: 9" + b"9" * 5000, b"x: !!float .", b"1e5: 2", b"~: 1", b'x: "\\x1b[31m"',
               b'x: "\\ud800"', b"x: !!python/name:os.system", b"!!omap [a: 1]", b"x: !!pairs [a: 1]")  # fmt: skip


def change_yaml(draw: Random, data: bytes) -> bytes:
    """YAML with anchors that multiply, tags, deep nests, or a value of a line changed."""
    way = draw.randrange(8)
    if way == 0:
        return anchors(draw.choice((5, 9, 30)), draw.choice((2, 9)))
    if way == 1:
        deep = draw.choice((50, 50, 1000, 1000, 20_000))
        return draw.choice((b"a: " + b"[" * deep, b"{a: " * deep, b"- " * deep + b"x", b"? " * deep))
    if way == 2:
        return data + draw.choice(_YAML_LINES) + b"\n"
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    name, colon, _ = lines[place].partition(b":")
    try:
        value = _written(some_value(draw))
    except (ValueError, RecursionError):
        value = b"9" * 400
    lines[place] = name + (colon or b":") + b" " + value
    return b"\n".join(lines)


def anchors(levels: int, width: int) -> bytes:
    """YAML in which each list holds the one before it so many times: a few hundred bytes, and no end of leaves."""
    lines = [b"a0: &a0 [x, x]"]
    for level in range(1, levels):
        lines.append(b"a%d: &a%d [%s]" % (level, level, b", ".join([b"*a%d" % (level - 1)] * width)))
    return b"\n".join(lines) + b"\n"


_CELLS = (b'"', b'""', b"\0", b"x" * 140_000, b"../../x", b"/etc/passwd", b"\r", b"\x1b[2J", b"nan", b"inf", b"1e999",
          b"\xd9\xa3", b"1_0", b"-1", b"", b"x0", b"x99999999", b"\xff", b"x\xc2\xb2", "v٣".encode(), b"9" * 5000,
          "\u202e".encode(), b"'=1", b"C:\\x", b"a\nb")  # fmt: skip


def change_csv(draw: Random, data: bytes) -> bytes:
    """A table with quotes, NUL, a huge cell or an odd value in a cell."""
    lines = data.split(b"\n")
    row = draw.randrange(len(lines))
    cells = lines[row].split(b",")
    cell = draw.randrange(len(cells))
    cells[cell] = draw.choice((*_CELLS, b'"' + cells[cell]))
    lines[row] = b",".join(cells * (draw.choice((1, 1, 1, 1, 300)) if len(lines[row]) < 1000 else 1))
    return b"\n".join(lines * (draw.choice((1, 1, 1, 1, 50)) if len(data) < 4000 else 1))


def change_tar(draw: Random, data: bytes) -> bytes:
    """A tar with a field of a header changed and the header's checksum right, or a header put in."""
    heads = [place for place in range(0, len(data) - 511, 512) if data[place + 257 : place + 262] == b"ustar"]
    if not heads:
        return data
    place = draw.choice(heads)
    head = bytearray(data[place : place + 512])
    way = draw.randrange(4)
    if way == 0:
        value = draw.choice((b"00000000000\0", b"77777777777\0", b"-0000000001\0", b"            ", b"99999999999\0",
                             b"\x80" + draw.randbytes(11), b"\xff" * 12, b"\x80\0\0\0\x10" + bytes(7)))  # fmt: skip
        head[124:136] = value
    elif way == 1:
        head[156] = draw.choice(b"\001234567xgLKSVDMNX")
    elif way == 2:
        name = draw.choice(
            (b"../../x.png", b"/x.png", b"\x1b[31m.png", b"a\nb.png", b"\xff.png", b"x" * 100, b"", b"a/" * 50)
        )
        head[:100] = name[:100].ljust(100, b"\0")
    else:
        head[257 + draw.randrange(8)] ^= 255
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    new = bytes(head)
    rest = data[place + 512 :]
    if draw.random() < 0.2:  # before the old one, many times
        return data[:place] + new * draw.choice((1, 100, 600)) + data[place:]
    return data[:place] + new + rest


def inside_gzip(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    """A change to what a gzip file holds."""

    def changed(draw: Random, data: bytes) -> bytes:
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, ValueError, struct.error, zlib.error):
            return data
        inner = bytes(draw.choice((10**6, 2 * 10**7))) if draw.random() < 0.03 else change(draw, content)
        return gzip.compress(inner, mtime=0, compresslevel=1)

    return changed


def inside_tar(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    """A change to one of the files in a tar, which is written anew."""

    def changed(draw: Random, data: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=buffer, mode="w") as new:
            members = [member for member in old if member.isreg()]
            chosen = draw.choice(members)
            for member in members:
                file = old.extractfile(member)
                content = file.read() if file else b""
                info = tarfile.TarInfo(member.name)
                content = change(draw, content) if member is chosen else content
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return changed
