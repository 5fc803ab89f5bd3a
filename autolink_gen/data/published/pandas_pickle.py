"""Columns of a pickled pandas table, read without pandas and without executing the pickle."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.pickles import Call, Pairs, is_array, read_pickle, to_array, walk

_REMEDY = "fetch it again"
_SLICES = ("builtins.slice", "__builtin__.slice")  # the second: of Python 2, and of protocol 2
_LOOKED_AT = 1000  # nodes of a block's values, among which its array is


def read_frame(file: Path, columns: Sequence[str]) -> dict[str, ndarray]:
    """The named columns of a pickled DataFrame, each (N,).

    The pickle is never executed: what it asks for is recorded and searched, and numpy arrays are made of that. Raises
    ValueError where the file is none, or has no such columns.
    """
    if not file.is_file():
        raise ValueError(f"there is no file {file}; see that the set is unpacked whole")
    with reading(file, "pickle of a table", remedy=_REMEDY):
        inside = list(walk(read_pickle(file.read_bytes())))
        names = _header(inside, columns)
        if names is None:
            raise BadFileError(f"{file} holds no table with the columns {', '.join(columns)}; {_REMEDY}")
        values = _columns(inside, names, columns)
        if len({len(column) for column in values.values()}) > 1:
            raise ValueError("its columns are not of one length")
    if missing := [name for name in columns if name not in values]:
        raise ValueError(f"{file}: the values of {', '.join(missing)} are in a form that is not known; save it again")
    return {name: values[name] for name in columns}


def _header(inside: list[Any], columns: Sequence[str]) -> list[str] | None:
    """The names of all columns: the first array of strings that contains `columns`."""
    looked_at: set[int] = set()  # a list may be that of a million arrays
    for node in filter(is_array, inside):
        raw = node.states[-1][-1] if node.states else None
        if not isinstance(raw, list) or id(raw) in looked_at:
            continue
        looked_at.add(id(raw))
        # Nothing but texts is compared: what else there is may be nested without end.
        is_fit = len(raw) >= len(columns) and all(isinstance(name, str) for name in raw) and set(columns) <= set(raw)
        if is_fit and to_array(node, convert=lambda name: name).ndim == 1:
            return [*raw]
    return None


def _columns(inside: list[Any], names: list[str], columns: Sequence[str]) -> dict[str, ndarray]:
    """The values of `columns`, from all blocks."""
    values: dict[str, ndarray] = {}
    arrays: dict[int, Any] = {}
    for node in inside:
        nodes = _block_nodes(node, arrays)
        if nodes is None:
            continue
        array_node, places_node = nodes
        places = np.arange(len(names))[_places(places_node)]
        rows = [(row, names[place]) for row, place in enumerate(places) if names[place] in columns]
        if all(name in values for _, name in rows):
            continue
        block = np.atleast_2d(to_array(array_node, convert=_value))
        for row, name in rows:
            values.setdefault(name, block[row])
    return values


def _block_nodes(node: Any, arrays: dict[int, Any]) -> tuple[Call, Any] | None:
    """The nodes of a block's values (columns, N) and of its places in the table; None where a node is no block.

    ``arrays`` remembers what was found in values, which may be those of a million nodes.
    """
    if isinstance(node, Pairs):  # as pandas wrote before 1.3
        items = {key: value for key, value in node.pairs if isinstance(key, str)}
        values, places = items.get("values"), items.get("mgr_locs")
    elif isinstance(node, Call) and len(node.parts) >= 2:
        values, places = node.parts[:2]
    else:
        return None
    if not is_array(places) and not (isinstance(places, Call) and places.name in _SLICES):
        return None
    if id(values) not in arrays:
        arrays[id(values)] = next(filter(is_array, islice(walk(values), _LOOKED_AT)), None)
    array = arrays[id(values)]
    return None if array is None else (array, places)


def _places(node: Call) -> slice | ndarray:
    if is_array(node):
        places = to_array(node)
        if places.dtype.kind not in "iu":
            raise ValueError("the places of columns are no numbers")
        return places
    if not all(end is None or type(end) is int for end in node.arguments):
        raise ValueError("the places of columns are no numbers")
    return slice(*node.arguments)


def _value(node: Any) -> Any:
    """One value of a column: plain, an array, or None for any other object."""
    if is_array(node):
        raw = node.states[-1][-1] if node.states else None
        return raw if isinstance(raw, list) else to_array(node)  # of objects, the list: an array would be a copy
    return node if isinstance(node, str | int | float | bytes | list | tuple) else None
