"""What torch.save writes is read as torch reads it, and what only looks like it is refused in one line."""

import collections
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.messages import raises_mentioning
from torch import Tensor, nn

from autolink_gen.common.files import BadFileError
from autolink_gen.common.torch_files import RefusedError, read_torch_file

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool]  # fmt: skip


def content() -> dict[Any, Any]:
    base = torch.arange(24.0)
    tensors = {f"{dtype}": torch.arange(5).to(dtype) for dtype in DTYPES}
    views = {
        "view": base.view(4, 6).t()[1:, ::2],
        "same": base,
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
    }
    return {
        "tensors": collections.OrderedDict(tensors),
        "views": views,
        0: [{"step": torch.tensor(5.0), "betas": (0.9, 0.99), "none": None, "on": True}],
        "parameter": nn.Parameter(torch.ones(2)),
        "expanded": torch.tensor([2.0]).expand(3, 4),
        "text": "a" * 300,
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.stride() == other.stride() and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("zipped", [True, False])
def test_it_is_read_as_torch_reads_it(zipped: bool, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = read_torch_file(tmp_path / "a.pt", remedy="none")
    assert same(torch.load(tmp_path / "a.pt", weights_only=True), found)
    found["views"]["same"].zero_()  # what shared its numbers still does, and may be written to
    assert found["views"]["view"].sum() == 0


def test_a_training_state_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    network = nn.Linear(3, 4)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.ones(2, 3)).sum().backward()
    optimiser.step()
    state = {"optimiser": optimiser.state_dict(), "rng": torch.get_rng_state(), "cuda_rng": [], "losses": [0.5, 1e300]}
    torch.save(state, tmp_path / "a.pt")
    found = read_torch_file(tmp_path / "a.pt", remedy="none")
    assert same(torch.load(tmp_path / "a.pt", weights_only=True), found)
    optimiser.load_state_dict(found["optimiser"])


def rewritten(path: Path, change: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, change.get(name.partition("/")[2], data))


def test_compressed_parts_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "a.pt")
    rewritten(tmp_path / "a.pt", {}, compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a.pt").stat().st_size < 10**5
    with pytest.raises(BadFileError, match=r"compressed.*mend it"):
        read_torch_file(tmp_path / "a.pt", remedy="mend it")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x0a", b"K\x0b"),  # as many numbers as are not there
        (b"K\x02K\x05\x86", b"K\x02K\x06\x86"),  # a shape beyond them
        (b"K\x02K\x05\x86", b"K\x02J\xff\xff\xff\xff\x86"),
        (b"K\x05K\x01\x86", b"K\x05J\xff\xff\xff\x7f\x86"),  # a stride beyond them
        (b"FloatStorage", b"FolatStorage"),
        (b"storage", b"garbage"),
    ],
)
def test_a_tensor_that_its_numbers_do_not_fill_is_refused(old: bytes, new: bytes, tmp_path: Path) -> None:
    torch.save({"a": torch.arange(10.0).view(2, 5)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        pickled = archive.read("a/data.pkl")
    assert pickled.count(old) == 1
    rewritten(tmp_path / "a.pt", {"data.pkl": pickled.replace(old, new)})
    with pytest.raises(BadFileError):
        read_torch_file(tmp_path / "a.pt", remedy="none")


def test_a_small_file_makes_no_large_tensor(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(2**20)}, tmp_path / "a.pt")
    assert len(read_torch_file(tmp_path / "a.pt", remedy="none")["a"]) == 2**20
    torch.save({"a": torch.zeros(1).expand(2**21)}, tmp_path / "a.pt")
    with pytest.raises(BadFileError, match="beyond its 1 numbers"):
        read_torch_file(tmp_path / "a.pt", remedy="none")


class _Custom:
    pass


def test_another_class_is_refused_by_name_unless_someone_stands_for_it(tmp_path: Path) -> None:
    torch.save({"a": _Custom()}, tmp_path / "a.pt")
    name = f"{_Custom.__module__}._Custom"
    with pytest.raises(RefusedError, match="is refused") as caught:
        read_torch_file(tmp_path / "a.pt", remedy="none")
    assert caught.value.class_name == name
    makers = {name: lambda call, convert: "stands for it"}
    assert read_torch_file(tmp_path / "a.pt", remedy="none", makers=makers) == {"a": "stands for it"}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_refused(zipped: bool, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "a.pt").read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / "a.pt").write_bytes(whole[:end])
        with raises_mentioning(BadFileError, "a.pt", "readable", "torch.save"):
            read_torch_file(tmp_path / "a.pt", remedy="none")
