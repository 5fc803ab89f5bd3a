"""Numeric arrays of MATLAB 5 files, read without a library: others crash on damaged files.

A stranger's file may declare more than it holds, or unpack to more than there is room for; sizes are never trusted.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from autolink_gen.common.files import reading
from autolink_gen.common.text import shown
from autolink_gen.data.published.list_files import read_bytes

_MAX_FILE_BYTES = 16 * 2**20
_MAX_BYTES = 64 * 2**20  # once unpacked
_MAX_VARIABLES = 1000
_HEADER_BYTES, _TAG_BYTES = 128, 8
_COMPRESSED = 15  # miCOMPRESSED
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBER_CLASSES = range(6, 16)  # mxDOUBLE_CLASS to mxUINT64_CLASS
_COMPLEX = 0x0800


class _Element(NamedTuple):
    """One data element: its type code and its bytes."""

    kind: int
    content: memoryview


def read_mat(file: Path, name: str) -> ndarray:
    """The numeric array `name`; BadFileError where the file is too large or has no such array."""
    remedy = "unpack or fetch it again"
    content = read_bytes(file, most=_MAX_FILE_BYTES, remedy=remedy)
    with reading(file, f"MATLAB file with the variable {name}", remedy=remedy):
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None:
            raise ValueError("it does not begin as version 5 does")
        for number, element in enumerate(_variables(content, order)):
            if number == _MAX_VARIABLES:
                raise ValueError(f"it has more than {_MAX_VARIABLES} variables")
            if (array := _array(element.content, name, order)) is not None:
                return array
        raise ValueError(f"it has no {name}")


def _variables(content: bytes, order: str) -> Iterator[_Element]:
    """The variables of a file, unpacked."""
    bytes_left = _MAX_BYTES
    for element in _elements(memoryview(content)[_HEADER_BYTES:], order, aligned=False):
        if element.kind == _COMPRESSED:
            inside = zlib.decompressobj().decompress(element.content, bytes_left)
            bytes_left -= len(inside)
            if bytes_left <= 0:
                raise ValueError(f"it unpacks to more than {_MAX_BYTES:,} bytes")
            yield from _elements(memoryview(inside), order, aligned=False)
        else:
            yield element


def _elements(content: memoryview, order: str, *, aligned: bool) -> Iterator[_Element]:
    """Successive elements, `aligned` to 8 bytes inside a variable; ValueError where one is cut off."""
    while len(content) >= _TAG_BYTES:
        kind, length = struct.unpack_from(f"{order}II", content)
        start = _TAG_BYTES
        if kind >> 16:  # the short form: both numbers in the first four bytes, up to four bytes after them
            kind, length, start = kind & 0xFFFF, kind >> 16, 4
        end = start + length
        if end > len(content) or (start == 4 and length > 4):
            raise ValueError("it is cut off")
        yield _Element(kind, content[start:end])
        content = content[end + (-end % 8 if aligned else 0) :]


def _array(content: memoryview, name: str, order: str) -> ndarray | None:
    """A variable's numbers, None where it has another name; ValueError where it holds anything else."""
    elements = _elements(content, order, aligned=True)
    flags, sizes, title = (next(elements, _Element(0, memoryview(b""))) for _ in range(3))
    if bytes(title.content).rstrip(b"\0") != name.encode():
        return None
    shape = tuple(np.frombuffer(sizes.content, f"{order}i4").tolist())
    (marks,) = struct.unpack_from(f"{order}I", flags.content)
    values = next(elements, None)
    if values is None or marks & 0xFF not in _NUMBER_CLASSES or marks & _COMPLEX or values.kind not in _TYPES:
        raise ValueError(f"{name} is no array of real numbers")
    numbers = np.frombuffer(values.content, order + _TYPES[values.kind])
    if not shape or min(shape) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"{name} has {len(numbers)} numbers, which are not {shown(shape)}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} holds values that are no numbers")
    return numbers.astype(numbers.dtype.newbyteorder("=")).reshape(shape, order="F")
