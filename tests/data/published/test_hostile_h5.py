"""HDF5 files of CelebA that were made to do harm: links, sizes that are not there, what the library hangs on."""

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.published_trees import celeba_h5, prepare

from autolink_gen.common.files import BadFileError

pytestmark = pytest.mark.usefixtures("nobody_says_where")


def _outside(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.zeros((2, 3, 128, 128), np.uint8)
    file["train_img"] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def _raw(file: h5py.File, folder: Path) -> None:
    (folder / "secret.txt").write_bytes(b"s" * (2 * 3 * 128 * 128))
    where = [(str(folder / "secret.txt"), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("train_img", (2, 3, 128, 128), np.uint8, external=where)


def _virtual(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.zeros((2, 3, 128, 128), np.uint8)
    layout = h5py.VirtualLayout((2, 3, 128, 128), np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (2, 3, 128, 128))
    file.create_virtual_dataset("train_img", layout)


def _soft(file: h5py.File, folder: Path) -> None:
    file["train_img"] = h5py.SoftLink("/mafl_test_img")


def _declared(file: h5py.File, folder: Path) -> None:
    file.create_dataset("train_img", (200_000, 3, 128, 128), np.uint8, chunks=(1, 3, 128, 128))


def _endless(file: h5py.File, folder: Path) -> None:
    file.create_dataset("train_img", (2**40, 3, 128, 128), np.uint8, chunks=(1, 3, 128, 128))


def _large_piece(file: h5py.File, folder: Path) -> None:
    zeros = np.zeros((2, 3, 128, 128), np.uint8)
    file.create_dataset(
        "train_img", data=zeros, maxshape=(None, 3, 128, 128), chunks=(2000, 3, 128, 128), compression=9
    )


def _floats(file: h5py.File, folder: Path) -> None:
    file["train_img"] = np.zeros((2, 3, 128, 128))


def _group(file: h5py.File, folder: Path) -> None:
    file.create_group("train_img")


@pytest.mark.parametrize(
    "make",
    [_outside, _raw, _virtual, _soft, _declared, _endless, _large_piece, _floats, _group],
    ids=lambda f: f.__name__,
)
def test_an_h5_gives_only_what_it_holds(make: Callable[[h5py.File, Path], None], tmp_path: Path) -> None:
    file = celeba_h5(tmp_path) / "celeba_wild.h5"
    with h5py.File(file, "a") as opened:
        del opened["train_img"]
        make(opened, tmp_path)
    with pytest.raises(BadFileError, match=r"celeba_wild\.h5 is no readable .*train_img"):
        prepare("celeba-wild", tmp_path)
    assert not (tmp_path / "prepared").exists()


def _looping_h5(file: Path) -> None:
    """A free place of no size in the heap: the HDF5 library steps over it for ever."""
    with h5py.File(file, "a") as opened:
        del opened["train_img"]
        _virtual(opened, file.parent)
    content = bytearray(file.read_bytes())
    first = content.find(b"GCOL") + 16
    (size,) = struct.unpack_from("<Q", content, first + 8)
    second = first + 16 + size + -size % 8
    struct.pack_into("<H6xQ", content, second, 0, 0)
    file.write_bytes(content)


def test_an_h5_on_which_the_library_hangs_or_dies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = celeba_h5(tmp_path) / "celeba_wild.h5"
    whole = file.read_bytes()
    _looping_h5(file)
    monkeypatch.setattr("autolink_gen.data.published.celeba_h5._MAX_SECONDS", 0.5)
    with raises_mentioning(BadFileError, "celeba_wild.h5", "readable", "end"):
        prepare("celeba-wild", tmp_path)
    monkeypatch.undo()
    file.write_bytes(whole)
    monkeypatch.setattr(
        "autolink_gen.data.published.celeba_h5._PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    )
    with pytest.raises(BadFileError, match="breaks down"):
        prepare("celeba-wild", tmp_path)


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    celeba_h5(tmp_path)
    for name in ("h5py", "pathlib", "numpy", "autolink_gen"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    assert len(prepare("celeba-wild", tmp_path)) == 3
    assert not (tmp_path / "run").exists()


def test_landmarks_of_an_h5_are_numbers(tmp_path: Path) -> None:
    file = celeba_h5(tmp_path) / "celeba_wild.h5"
    with h5py.File(file, "a") as opened:
        opened["train_landmark"][0, 0, 0] = np.inf
    with pytest.raises(BadFileError, match="train_landmark"):
        prepare("celeba-wild", tmp_path)
