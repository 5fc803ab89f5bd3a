"""Files of torch.save, read without running anything in them.

Differs: ``torch.load(..., weights_only=True)`` calls what it allows, hashes what the file made a key, and believes the
sizes in it; here the pickle inside is recorded (:mod:`autolink_gen.common.pickles`), tensors are made of bytes that
are there, and a file takes as much memory as it is large.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.pickles import Call, Name, Pairs, Persistent, read_pickle, walk
from autolink_gen.common.text import shown

_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the form before 2020
_MAX_EXPANDED = 2**20  # elements of a tensor that shows a few numbers many times
_KEYS = str | int | float | None  # what keys of dictionaries may be: nothing that holds others
Makers = Mapping[str, Callable[[Call, Callable[[Any], Any]], Any]]


class RefusedError(BadFileError):
    """A file that needs more than tensors and plain containers, such as ``class_name``."""

    class_name: str = ""


def read_torch_file(path: Path, *, remedy: str, makers: Makers | None = None) -> Any:
    """Read a file of torch.save: tensors on the CPU in dictionaries, lists and tuples.

    ``makers`` say, by the name of a class, what stands for its objects: they get the record of the call and the
    function that converts what is inside. Raises RefusedError for any other class, BadFileError for a file that is
    damaged, compressed or none; both end with ``remedy``.
    """
    with reading(path, "file of torch.save", remedy=remedy), path.open("rb") as file:
        size = path.stat().st_size
        content, read = _open_zip(file, size) if zipfile.is_zipfile(file) else _open_legacy(file, size)
        return _Reader({**_MAKERS, **(makers or {})}, path, remedy, read).convert(content)


def _open_zip(file: BinaryIO, size: int) -> tuple[Any, Callable[[str], bytes]]:
    """The record of what is inside, and what gives the bytes of a storage."""
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its parts are compressed, as torch.save never does")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its parts are larger than the file")
    names = [member.filename for member in members if member.filename.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("it has no data.pkl of its own")
    top = names[0].removesuffix("data.pkl")
    if f"{top}byteorder" in archive.namelist() and archive.read(f"{top}byteorder") != b"little":
        raise ValueError("its numbers are stored big end first")
    return read_pickle(archive.read(names[0])), lambda key: archive.read(f"{top}data/{key}")


def _open_legacy(file: BinaryIO, size: int) -> tuple[Any, Callable[[str], bytes]]:
    """The same for the format before 2020: pickles in sequence, then each storage's numbers."""
    file.seek(0)
    if file.read(1) != b"\x80":  # with which every pickle since 2003 begins
        raise ValueError("it does not begin as such a file does")
    file.seek(0)
    if read_pickle(file) != _MAGIC or read_pickle(file) != _PROTOCOL:
        raise ValueError("it does not begin as such a file does")
    read_pickle(file)  # about the machine that wrote it
    content, keys = read_pickle(file), read_pickle(file)
    storages = (_storage(node) for node in walk(content) if isinstance(node, Persistent))
    dtypes = {key: dtype for key, dtype, _ in storages}
    contents: dict[str, bytes] = {}
    for key in keys:
        length = int.from_bytes(file.read(8), "little") * dtypes[key].itemsize
        if length > size - file.tell():
            raise ValueError("it is cut short")
        contents[key] = file.read(length)
    return content, contents.__getitem__


def _storage(node: Persistent) -> tuple[str, torch.dtype, int]:
    """Key, type and number of elements of what lies outside of the pickle."""
    kind, storage, key, _, numel = node.key[:5]
    if kind != "storage" or not isinstance(storage, Name) or storage.text not in _DTYPES or any(node.key[5:]):
        raise ValueError("it holds something else than plain numbers")
    if not isinstance(key, str) or type(numel) is not int:
        raise ValueError("the numbers of a tensor are not named as they should be")
    return key, _DTYPES[storage.text], numel


class _Reader:
    """Converts records to plain objects; a shared record becomes one object."""

    def __init__(self, makers: Makers, path: Path, remedy: str, read: Callable[[str], bytes]) -> None:
        self.makers, self.path, self.remedy, self.read = makers, path, remedy, read
        self.objects: dict[int, Any] = {}
        self.nodes: list[Any] = []  # so that no other record gets the number of one that is known
        self.storages: dict[str, Tensor] = {}

    def convert(self, node: Any) -> Any:
        """What a record stands for."""
        if id(node) not in self.objects:
            self.nodes.append(node)
            self.objects[id(node)] = self._convert(node)
        return self.objects[id(node)]

    def _convert(self, node: Any) -> Any:
        if isinstance(node, Pairs):
            return to_dict(node.pairs, self.convert)
        if isinstance(node, list | tuple):
            return type(node)(map(self.convert, node))
        if isinstance(node, Persistent):
            return self._numbers(*_storage(node))
        if isinstance(node, Call):
            maker = self.makers.get(node.name)
            return maker(node, self.convert) if maker else self._refuse(node.name or "an object that it makes itself")
        return self._refuse(node.text) if isinstance(node, Name) else node

    def _refuse(self, name: str) -> None:
        error = RefusedError(
            f"{self.path} is refused: it wants more than tensors and plain containers ({shown(name)}); {self.remedy}"
        )
        error.class_name = name
        raise error

    def _numbers(self, key: str, dtype: torch.dtype, numel: int) -> Tensor:
        """A storage as a tensor of one dimension."""
        if key not in self.storages:
            data = bytearray(self.read(key))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        numbers = self.storages[key]
        if numbers.dtype != dtype or len(numbers) < numel:
            raise ValueError(f"a tensor of {numel} numbers has {len(numbers)}")
        return numbers


def to_dict(pairs: list[tuple[Any, Any]], convert: Callable[[Any], Any]) -> dict[Any, Any]:
    """A dictionary of keys and values; ValueError for a key that is no text or number."""
    if not all(isinstance(key, _KEYS) for key, _ in pairs):
        raise ValueError("a key in it is neither text nor number")
    return {key: convert(value) for key, value in pairs}


def _tensor(call: Call, convert: Callable[[Any], Any]) -> Tensor:
    numbers, start, size, stride = (convert(argument) for argument in call.arguments[:4])
    sides = (*size, *stride, start)
    if not all(type(number) is int and 0 <= number < 2**62 for number in sides) or len(size) != len(stride):
        raise ValueError("the shape of a tensor is none")
    count, last = 1, start
    for side, step in zip(size, stride, strict=True):
        count, last = count * side, last + (side - 1) * step
    if count and (last >= len(numbers) or count > max(len(numbers), _MAX_EXPANDED)):
        raise ValueError(f"a tensor of shape {tuple(size)} goes beyond its {len(numbers)} numbers")
    return numbers.as_strided(size, stride, start)


_MAKERS: Makers = {
    "collections.OrderedDict": lambda call, convert: to_dict(call.pairs, convert),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda call, convert: convert(call.arguments[0]),
}
