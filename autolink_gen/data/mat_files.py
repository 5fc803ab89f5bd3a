"""Arrays of numbers in MATLAB files, which may declare more than they hold: read without trusting their sizes."""

import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy import ndarray

from autolink_gen.data.list_files import read_bytes
from autolink_gen.files import reading

_MAX_FILE_BYTES = 16 * 2**20
_MAX_BYTES = 64 * 2**20  # once unpacked
_MAX_VALUES = 4_000_000
_HEADER_BYTES, _TAG_BYTES = 128, 8
_COMPRESSED = 15  # miCOMPRESSED
_NUMBERS = {"double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "logical"}


def read_mat(file: Path, name: str) -> ndarray:
    """The array of numbers of that name; BadFileError where the file is no MATLAB file with it, or is too large."""
    remedy = "unpack or fetch it again"
    content = read_bytes(file, most=_MAX_FILE_BYTES, remedy=remedy)
    with reading(file, f"MATLAB file with the variable {name}", remedy=remedy):
        return _array(content, name)


def _array(content: bytes, name: str) -> ndarray:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import matfile_version

    version, _ = matfile_version(io.BytesIO(content))
    plain = io.BytesIO(_unpacked(content) if version == 1 else content)
    found = [(shape, kind) for known, shape, kind in whosmat(plain) if known == name]
    if not found:
        raise ValueError(f"it has no {name}")
    for shape, kind in found:  # cells and structures are made before it is known whether anything fills them
        if kind not in _NUMBERS or math.prod(shape) > _MAX_VALUES:
            raise ValueError(f"{name} is {kind} of shape {shape}, not an array of up to {_MAX_VALUES:,} numbers")
    plain.seek(0)
    values = np.asarray(loadmat(plain, variable_names=[name])[name])
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are no numbers")
    return values


def _unpacked(content: bytes) -> bytes:
    """A file of version 5 with its variables unpacked, whose lengths thus are what is there."""
    order = "<" if content[126:128] == b"IM" else ">"
    parts, place, left = [content[:_HEADER_BYTES]], _HEADER_BYTES, _MAX_BYTES
    while place + _TAG_BYTES <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, place)
        end = place + _TAG_BYTES + length
        if kind == _COMPRESSED:
            inside = zlib.decompressobj().decompress(content[place + _TAG_BYTES : end], left)
            left -= len(inside)
            if left <= 0:
                raise ValueError(f"it unpacks to more than {_MAX_BYTES:,} bytes")
            parts.append(inside)
        else:
            parts.append(content[place:end])
        place = end
    return b"".join(parts)
