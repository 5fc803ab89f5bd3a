"""Columns of a table that pandas has pickled, read without executing anything the file asks for, and without pandas."""

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray


class _Recorded:
    """What stands in for any object of a pickle: it keeps what it was made of, and does nothing."""

    made_of: list[Any]

    def __new__(cls, *arguments: Any, **named: Any) -> "_Recorded":
        # Not in __init__, which a pickle may leave out.
        recorded = super().__new__(cls)
        recorded.made_of = [*arguments, *named.values()]
        return recorded

    def __setstate__(self, state: Any) -> None:
        self.made_of.append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.made_of.append(value)

    def append(self, value: Any) -> None:
        """An item of what would be a list."""
        self.made_of.append(value)

    def extend(self, values: Any) -> None:
        """Items of what would be a list."""
        self.made_of.extend(values)


class _Reader(pickle.Unpickler):
    """Admits numpy's array constructors, slices and bytes; every other name becomes a :class:`_Recorded`."""

    _numpy = {  # noqa: RUF012
        "ndarray": np.ndarray,
        "dtype": np.dtype,
        "_reconstruct": np.empty(0).__reduce__()[0],
        "_frombuffer": lambda data, dtype, shape, order: np.frombuffer(data, dtype).reshape(shape, order=order),
    }

    # Protocol 2 writes bytes as text and slices as Python 2 named them.
    _plain = {"slice": slice, "encode": lambda text, encoding: str(text).encode("latin1")}  # noqa: RUF012

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The constructor of that name, or the stand-in."""
        if module_name.split(".", maxsplit=1)[0] == "numpy" and global_name in self._numpy:
            return self._numpy[global_name]
        return self._plain.get(global_name, _Recorded)


def read_frame(file: Path, columns: Sequence[str]) -> dict[str, ndarray]:
    """The named columns of a pickled DataFrame, each (N,).

    The pickle is never executed: numpy arrays are built, all other objects are recorded and searched. Raises
    ValueError where the file is none, or has no such columns.
    """
    try:
        with file.open("rb") as handle:
            content = _Reader(handle).load()
    except FileNotFoundError:
        raise ValueError(f"there is no file {file}; see that the set is unpacked whole") from None
    except Exception as error:  # a damaged pickle raises anything at all
        raise ValueError(f"{file} is no pickle of a table ({error}); fetch it again") from error
    inside = list(_walk(content))
    names = next((list(found) for found in inside if _is_header(found, columns)), None)
    if names is None:
        raise ValueError(f"{file} holds no table with the columns {', '.join(columns)}; fetch it again")
    values: dict[str, ndarray] = {}
    for block, places in filter(None, map(_block, inside)):
        for row, place in zip(block, np.arange(len(names))[places], strict=False):
            values.setdefault(names[place], row)
    if missing := [name for name in columns if name not in values]:
        raise ValueError(f"{file}: the values of {', '.join(missing)} are in a form that is not known; save it again")
    return {name: values[name] for name in columns}


def _walk(node: Any) -> Iterator[Any]:
    """A node and all that is in it; each object once, arrays of numbers not opened."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        waiting += _inside(node)


def _inside(node: Any) -> list[Any]:
    if isinstance(node, _Recorded):
        return node.made_of
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, list | tuple):
        return list(node)
    return []


def _is_header(node: Any, columns: Sequence[str]) -> bool:
    return isinstance(node, ndarray) and node.dtype == object and node.ndim == 1 and set(columns) <= set(node.tolist())


def _block(node: Any) -> tuple[ndarray, Any] | None:
    """Columns of one kind (columns, N) and their places in the table; None where a node is no such block."""
    if isinstance(node, dict):
        values, places = node.get("values"), node.get("mgr_locs")  # as pandas wrote before 1.3
    elif isinstance(node, _Recorded) and len(node.made_of) >= 2:
        values, places = node.made_of[:2]
    else:
        return None
    array = next((part for part in _walk(values) if isinstance(part, ndarray) and part.ndim), None)
    if array is None or not isinstance(places, slice | ndarray):
        return None
    return np.atleast_2d(array), places
