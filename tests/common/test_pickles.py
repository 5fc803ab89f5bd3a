"""Pickles are recorded: nothing that they name is looked up, made, hashed or given a state."""

import collections
import datetime
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from autolink_gen.common import pickles
from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.pickles import Call, Name, Pairs, Persistent, read_pickle, to_array, walk
from autolink_gen.data.published.pandas_pickle import read_frame
from autolink_gen.pretrained.files import unpickle_arrays


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


DTYPE = (
    named("numpy", "dtype")
    + b"(X\x02\0\0\0O8\x89\x88tR"
    + b"(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
)
# An array of two objects whose addresses the file says: reading one would follow them.
FORGED = b"\x80\x04" + named("numpy", "ndarray") + b"((K\x02t" + DTYPE + b"C\x10" + b"A" * 16 + b"tR."
DEEP = b"\x80\x04}" + b")" + b"\x85" * 10**5 + b"K\x01s."  # a tuple in a tuple in ... as a key
WIDE = b"\x80\x04}" + b")" + b"2\x86" * 200 + b"K\x01s."  # whose hash would take 2^200 steps
HOSTILE = {
    "forged": FORGED,
    "deep": DEEP,
    "wide": WIDE,
    "memo": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "long bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "long frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "register": b"\x80\x04\x82\x01.",
    "buffer": b"\x80\x05\x97.",
    "state for a list": b"\x80\x04]}b.",
    "state for a name": b"\x80\x04" + named("numpy", "ndarray") + b"}b.",
    "items for a name": b"\x80\x04" + named("builtins", "dict") + b"NNs.",
    "empty stack": b"\x80\x04R.",
    "no mark": b"\x80\x04t.",
    "unknown place": b"\x80\x04h\x07.",
    "no end": b"\x80\x04N",
    "long number": b"I" + b"9" * 10**5 + b"\n.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pickles_give_arrays_or_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "table.pkl").write_bytes(data)
    for read in (lambda: read_frame(tmp_path / "table.pkl", ("value",)), lambda: unpickle_arrays(data, origin="here")):
        try:
            read()
        except ValueError as error:
            assert len(str(error)) < 600 and str(error).isprintable()
        else:
            assert data in (HOSTILE["memo"], HOSTILE["long frame"])  # both hold a None, and cost nothing


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_as_pickle_has_them(protocol: int) -> None:
    value = (1, -5, 2**70, 1.5, True, None, "text ä", b"bytes", [1, [2, (3,)]], (), (1, 2, 3, 4))
    found = read_pickle(pickle.dumps(value, protocol=protocol))
    bytes_place = 7
    if protocol < 3:  # bytes are a call there
        assert isinstance(found[bytes_place], Call) and found[bytes_place].name == "_codecs.encode"
    else:
        assert found[bytes_place] == b"bytes"
    assert [*found[:bytes_place], *found[bytes_place + 1 :]] == [*value[:bytes_place], *value[bytes_place + 1 :]]


@pytest.mark.parametrize("protocol", range(6))
def test_objects_are_recorded(protocol: int, tmp_path: Path) -> None:
    ordered = collections.OrderedDict(a=1)
    attack = _Attack(tmp_path / "made")
    found = read_pickle(pickle.dumps([ordered, datetime.date(2026, 1, 2), {"k": "v"}, {7}, attack], protocol=protocol))
    assert found[0].name == "collections.OrderedDict" and found[0].pairs == [("a", 1)]
    assert isinstance(found[1], Call) and isinstance(found[2], Pairs) and found[2].pairs == [("k", "v")]
    assert found[4].name.endswith(".mkdir") and found[4].arguments == [str(tmp_path / "made")]
    assert not (tmp_path / "made").exists()


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_what_lies_outside_and_old_instructions_are_recorded() -> None:
    assert isinstance(outside := read_pickle(b"\x80\x02(U\x07storageK\x01tQ."), Persistent)
    assert outside.key == ("storage", 1)
    found = read_pickle(b"(iargparse\nNamespace\n}U\x01aK\x01sb.")
    assert isinstance(found, Call) and isinstance(found.maker, Name) and found.name == "argparse.Namespace"
    assert found.states[0].pairs == [("a", 1)]


def test_objects_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        to_array(read_pickle(pickle.dumps(np.array(["a"], object))))
    with pytest.raises(BadFileError, match="no numbers"):
        unpickle_arrays(pickle.dumps({"a": np.array([1, 2], object)}), origin="here")


@pytest.mark.parametrize("data", [b"\x80\x02Pname\n.", b"\x80\x02}U\x01aK\x01Qs."])
def test_what_lies_outside_is_no_weight(data: bytes) -> None:
    with pytest.raises(BadFileError, match="lies elsewhere"):
        unpickle_arrays(data, origin="here")


def test_the_instructions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_MAX_INSTRUCTIONS", 1000)
    read_pickle(b"]" * 998 + b".")
    with pytest.raises(ValueError, match="more than 1,000 instructions"):
        read_pickle(b"]" * 2000 + b".")


def test_an_array_that_is_mentioned_often_is_made_once() -> None:
    array = np.arange(10**5)
    found = unpickle_arrays(pickle.dumps([array] * 1000), origin="here")
    assert len(found) == 1000 and len({id(one) for one in found}) == 1


def test_each_node_is_walked_once() -> None:
    assert sum(isinstance(node, list) for node in walk(read_pickle(b"\x80\x04]" + b"2\x86" * 100 + b"."))) == 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<f4").reshape(2, 3),
        np.arange(6, dtype=">i8").reshape(2, 3).T,
        np.asfortranarray(np.ones((2, 3, 4))),
        np.array(5, np.uint8),
        np.zeros((0, 3), bool),
        np.array([1 + 2j]),
        np.array(["a", None, "b"], object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_are_as_pickle_has_them(array: np.ndarray, protocol: int) -> None:
    found = to_array(read_pickle(pickle.dumps(array, protocol=protocol)), convert=lambda value: value)
    assert found.dtype == array.dtype and found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"f8", b"V8"),
        (b"f8", b"O8"),
        (b"K\x02K\x03\x86", b"K\x02K\x04\x86"),
        (b"K\x02K\x03\x86", b"K\x02J\xff\xff\xff\xff\x86"),
    ],
)
def test_an_array_that_its_bytes_do_not_fill_is_refused(old: bytes, new: bytes) -> None:
    data = pickle.dumps(np.ones((2, 3)), protocol=3)
    assert data.count(old) == 1
    with pytest.raises(BadFileError, match="here is no readable"), reading("here", "array", remedy="none"):
        to_array(read_pickle(data.replace(old, new)))
