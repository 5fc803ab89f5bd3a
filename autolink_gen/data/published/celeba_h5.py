"""CelebA as the authors' code packs it, in one HDF5 file: its arrays are checked before anything of them is read."""

import math
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from autolink_gen.common.extras import needs
from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.progress import Progress
from autolink_gen.data.published.readers import Annotated, Parts

_PARTS = (("train", "train"), ("fit", "mafl_train"), ("test", "mafl_test"))
_REMEDY = "make it anew or fetch it again"
_MAX_PICTURES, _MAX_SIDE, _NUM_POINTS = 300_000, 1024, 5
_MAX_CHUNK_BYTES = 64 * 2**20
_MAX_SECONDS = 60.0  # of any time: a disk may be slow
_MAX_OWN_SECONDS = 2  # of the processor's
_OUT_OF_TIME = tuple(-number for name in ("SIGXCPU", "SIGKILL") if (number := getattr(signal, name, None)))
_PROBE = """
import sys
sys.path[:] = sys.argv[2:]  # nothing is imported from the current folder
from pathlib import Path
import h5py
from autolink_gen.data.published.celeba_h5 import probe
print("ready", flush=True)
probe(Path(sys.argv[1]))
"""
_MAX_RATIO = 1100  # deflate packs to a thousandth at best


def read_celeba_h5(home: Path, progress: Progress) -> Parts:
    """The authors' celeba_wild.h5: pictures (3, 128, 128), landmarks (row, column) in pixels.

    Raises ValueError where h5py is not installed, the file lacks one of its six arrays, or one of them has another
    form, declares more than the file holds, or lies in another file.
    """
    file = home / "celeba_wild.h5"
    with needs("data", f"reading {file}"):
        _h5py()
    if not file.is_file():
        raise BadFileError(f"there is no file {file}; {_REMEDY}")
    with reading(file, "celeba_wild.h5 of the authors", remedy=_REMEDY):
        _try_apart(file)
        return _parts(file)


def probe(file: Path) -> None:
    """Do what may hang or end a program with a damaged file; what that raises, reading it here raises again.

    The process is ended by the system where it computes for over two seconds, where the system can.
    """
    with suppress(ImportError):  # Windows
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = math.ceil(used) + _MAX_OWN_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with suppress(Exception):
        for pictures in _parts(file).values():
            for one in (pictures[0], pictures[-1]):
                _pixels(one)


def _try_apart(file: Path) -> None:
    """ValueError where the HDF5 library loops or crashes on the file, which it does in another process first."""
    command = [sys.executable, "-c", _PROBE, str(file.absolute()), *sys.path]
    with Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL) as tried:
        assert tried.stdout is not None
        try:
            tried.stdout.readline()  # it has begun
            ended = tried.wait(_MAX_SECONDS)
        except TimeoutExpired as error:
            raise ValueError("the HDF5 library does not come to an end with it") from error
        finally:
            tried.kill()
    if ended in _OUT_OF_TIME:
        raise ValueError("the HDF5 library does not come to an end with it")
    if ended != 0:
        raise ValueError("the HDF5 library breaks down on it")


def _h5py() -> ModuleType:
    """The library of HDF5, an extra; ImportError where it is not installed."""
    import h5py

    module: ModuleType = h5py
    return module


def _parts(file: Path) -> Parts:
    opened = _h5py().File(file, "r")
    return {part: _part(opened, name, file) for part, name in _PARTS}


def _pixels(picture: Annotated) -> UInt8[ndarray, "H W 3"]:
    assert not isinstance(picture.source, Path)
    return picture.source()


def _part(opened: Any, name: str, file: Path) -> list[Annotated]:
    pictures, landmarks = (_dataset(opened, f"{name}_{kind}") for kind in ("img", "landmark"))
    count = len(pictures)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"{name}_img is {pictures.dtype} {pictures.shape}, not uint8 (N, 3, 128, 128)")
    if not 0 < min(pictures.shape[2:]) <= max(pictures.shape[2:]) <= _MAX_SIDE:
        raise ValueError(f"the pictures of {name}_img have {pictures.shape[2:]} pixels, not up to {_MAX_SIDE} a side")
    if landmarks.dtype.kind not in "iuf" or landmarks.shape != (count, _NUM_POINTS, 2):
        raise ValueError(f"{name}_landmark is {landmarks.dtype} {landmarks.shape}, not ({count}, {_NUM_POINTS}, 2)")
    points = np.asarray(landmarks[:], dtype=float)[:, :, ::-1]
    if np.isinf(points).any():
        raise ValueError(f"{name}_landmark holds values that are no numbers")
    return [
        Annotated(f"{index:06d}", partial(_picture, pictures, index, file), points[index]) for index in range(count)
    ]


def _dataset(opened: Any, name: str) -> Any:
    """An array that lies in the file itself and is no larger than what the file holds can be."""
    h5py = _h5py()
    link = opened.get(name, getlink=True)
    if link is None:
        raise ValueError(f"it has no {name}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name} is a link to another place")
    found = opened[name]
    if not isinstance(found, h5py.Dataset) or not found.shape or len(found) > _MAX_PICTURES:
        raise ValueError(f"{name} is no array of up to {_MAX_PICTURES:,} pictures")
    if found.external or found.is_virtual:
        raise ValueError(f"the values of {name} lie in another file")
    if math.prod(found.chunks or (1,)) * found.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise ValueError(f"{name} is stored in pieces of more than {_MAX_CHUNK_BYTES:,} bytes")
    if found.nbytes > _MAX_RATIO * found.id.get_storage_size():
        raise ValueError(f"{name} declares {found.nbytes:,} bytes, which it does not hold")
    return found


def _picture(pictures: Any, index: int, file: Path) -> UInt8[ndarray, "H W 3"]:
    with reading(file, f"set of pictures at number {index}", remedy=_REMEDY):
        return np.ascontiguousarray(np.asarray(pictures[index]).transpose(1, 2, 0))
