"""CelebA in the authors' HDF5 file; its arrays are checked before they are read."""

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
from autolink_gen.data.published.readers import AnnotatedImage, Splits

_SPLITS = (("train", "train"), ("fit", "mafl_train"), ("test", "mafl_test"))
_REMEDY = "make it anew or fetch it again"
_MAX_IMAGES, _MAX_SIDE, _NUM_POINTS = 300_000, 1024, 5
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


def read_celeba_h5(home: Path, progress: Progress) -> Splits:
    """The authors' celeba_wild.h5: images (3, 128, 128), landmarks (row, column) in pixels.

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
        return _read_splits(file)


def probe(file: Path) -> None:
    """Read what may hang or crash a program on a damaged file; its errors are raised again by the real reading.

    The process is ended by the system where it computes for over two seconds, where the system can.
    """
    with suppress(ImportError):  # Windows
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limit = math.ceil(used) + _MAX_OWN_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    with suppress(Exception):
        for images in _read_splits(file).values():
            for image in (images[0], images[-1]):
                _pixels(image)


def _try_apart(file: Path) -> None:
    """ValueError where the HDF5 library loops or crashes on the file, tried in a separate process."""
    command = [sys.executable, "-c", _PROBE, str(file.absolute()), *sys.path]
    with Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()  # it has begun
            exit_code = process.wait(_MAX_SECONDS)
        except TimeoutExpired as error:
            raise ValueError("the HDF5 library does not come to an end with it") from error
        finally:
            process.kill()
    if exit_code in _OUT_OF_TIME:
        raise ValueError("the HDF5 library does not come to an end with it")
    if exit_code != 0:
        raise ValueError("the HDF5 library breaks down on it")


def _h5py() -> ModuleType:
    """The h5py module, an extra; ImportError where it is not installed."""
    import h5py

    module: ModuleType = h5py
    return module


def _read_splits(file: Path) -> Splits:
    file_h5 = _h5py().File(file, "r")
    return {split: _read_split(file_h5, name, file) for split, name in _SPLITS}


def _pixels(image: AnnotatedImage) -> UInt8[ndarray, "H W 3"]:
    assert not isinstance(image.source, Path)
    return image.source()


def _read_split(file_h5: Any, name: str, file: Path) -> list[AnnotatedImage]:
    images, landmarks = (_dataset(file_h5, f"{name}_{kind}") for kind in ("img", "landmark"))
    count = len(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"{name}_img is {images.dtype} {images.shape}, not uint8 (N, 3, 128, 128)")
    if not 0 < min(images.shape[2:]) <= max(images.shape[2:]) <= _MAX_SIDE:
        raise ValueError(f"the images of {name}_img have {images.shape[2:]} pixels, not up to {_MAX_SIDE} a side")
    if landmarks.dtype.kind not in "iuf" or landmarks.shape != (count, _NUM_POINTS, 2):
        raise ValueError(f"{name}_landmark is {landmarks.dtype} {landmarks.shape}, not ({count}, {_NUM_POINTS}, 2)")
    points = np.asarray(landmarks[:], dtype=float)[:, :, ::-1]
    if np.isinf(points).any():
        raise ValueError(f"{name}_landmark holds values that are no numbers")
    return [
        AnnotatedImage(f"{index:06d}", partial(_read_image, images, index, file), points[index])
        for index in range(count)
    ]


def _dataset(file_h5: Any, name: str) -> Any:
    """An array stored in the file itself, and no larger than the file can hold."""
    h5py = _h5py()
    link = file_h5.get(name, getlink=True)
    if link is None:
        raise ValueError(f"it has no {name}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name} is a link to another place")
    array = file_h5[name]
    if not isinstance(array, h5py.Dataset) or not array.shape or len(array) > _MAX_IMAGES:
        raise ValueError(f"{name} is no array of up to {_MAX_IMAGES:,} images")
    if array.external or array.is_virtual:
        raise ValueError(f"the values of {name} lie in another file")
    if math.prod(array.chunks or (1,)) * array.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise ValueError(f"{name} is stored in pieces of more than {_MAX_CHUNK_BYTES:,} bytes")
    if array.nbytes > _MAX_RATIO * array.id.get_storage_size():
        raise ValueError(f"{name} declares {array.nbytes:,} bytes, which it does not hold")
    return array


def _read_image(images: Any, index: int, file: Path) -> UInt8[ndarray, "H W 3"]:
    with reading(file, f"set of images at number {index}", remedy=_REMEDY):
        return np.ascontiguousarray(np.asarray(images[index]).transpose(1, 2, 0))
