"""Read pickles without running anything in them.

The objects that a file asks for are recorded, and numpy arrays are made of the records. A pickle is a program for a
small machine, which may call whatever it can name. Python's own machine with a list of allowed names is no protection:
what numpy's constructors make may be given any state, and with it any memory. The machine here knows no name at all. It
has no object but plain values and records of what was asked for, it never compares or hashes these, and each
instruction takes no more memory than the bytes that it is written in.
"""

import math
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy import ndarray

_MULTIARRAY = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
_BYTES = ("builtins.bytes", "__builtin__.bytes")
_ORDERS: dict[str, Literal["<", ">", "|", "="]] = {"<": "<", ">": ">", "|": "|", "=": "="}
_NUMBERS = re.compile(r"(b1|[iu][1248]|f[248]|c8|c16)")
_MAX_DIMENSIONS = 32
_MAX_INSTRUCTIONS = 2_000_000  # each takes about a microsecond, and some 70 bytes where it makes something


@dataclass(eq=False)
class Name:
    """A name in a pickle, as in ``numpy.dtype``; nothing is looked up under it."""

    text: str


@dataclass(eq=False)
class Pairs:
    """A dictionary in a pickle: keys and values in their order, the keys not hashed."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Persistent:
    """Something outside of the pickle, by what the pickle calls it."""

    key: Any


@dataclass(eq=False)
class Call:
    """An object that a pickle asks for: its maker, the arguments, and later states and items."""

    maker: Any
    arguments: list[Any]
    states: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the maker; "" where it is something made itself."""
        return self.maker.text if isinstance(self.maker, Name) else ""

    @property
    def parts(self) -> list[Any]:
        """The arguments, states, items and values, without keys."""
        return [*self.arguments, *self.states, *(value for _, value in self.pairs), *self.items]


def read_pickle(source: bytes | BinaryIO | BytesIO) -> Any:
    """The content of a pickle as plain values and records.

    The records are :class:`Pairs`, :class:`Call`, :class:`Name` and :class:`Persistent`. Reads one pickle of a stream.
    A damaged one may raise anything: read it within ``reading``.
    """
    return _Machine().run(BytesIO(source) if isinstance(source, bytes) else source)


class _Machine:
    """Pickle's stack machine over records.

    Differs from Python's: sets are lists, dictionaries are :class:`Pairs`.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what lies under each mark
        self.memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO | BytesIO) -> Any:
        """Follow the instructions to the end."""
        for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
            name = instruction.name
            if count > _MAX_INSTRUCTIONS:
                raise ValueError(f"it has more than {_MAX_INSTRUCTIONS:,} instructions")
            if name == "STOP":
                return self.stack.pop()
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in _MADE:
                self.stack.append(_MADE[name]())
            elif name in _IN_MEMO:
                self._remember(name, argument)
            else:
                self._do(name, argument)
        raise ValueError("it has no end")

    def _remember(self, name: str, argument: Any) -> None:
        if name.endswith("GET"):
            self.stack.append(self.memo[argument])
        else:
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]

    def _do(self, name: str, argument: Any) -> None:
        action = _ACTIONS.get(name)
        if action is None:  # EXT: names in a register of the process; buffers from outside
            raise ValueError(f"it has the instruction {name}, which no such file needs")
        action(self, argument)

    def push(self, value: Any) -> None:
        """Push a value; a method, so that ``self.stack`` is read after the value was popped."""
        self.stack.append(value)

    def pop(self, count: int) -> list[Any]:
        """The last so many values, in their order."""
        if len(self.stack) < count:
            raise ValueError("it takes more from the stack than there is")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_mark(self) -> list[Any]:
        """The values since the last mark."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self) -> None:
        """Begin a group of values."""
        self.below.append(self.stack)
        self.stack = []

    def drop(self) -> None:
        """Forget the last value, or the last mark where nothing came since."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def call(self, maker: Any, arguments: Any, keywords: Any = None) -> None:
        """Note that something is to be made."""
        listed = list(arguments) if isinstance(arguments, tuple | list) else [arguments]
        extra = [value for _, value in keywords.pairs] if isinstance(keywords, Pairs) else []
        self.stack.append(Call(maker, [*listed, *extra]))

    def build(self) -> None:
        """Note a state for what lies below it."""
        target, state = self.stack[-2], self.stack.pop()
        if not isinstance(target, Call):
            raise ValueError(f"it gives a state to a {type(target).__name__}")
        target.states.append(state)

    def extend(self, values: list[Any]) -> None:
        """Put values into the list on top."""
        target = self.stack[-1]
        (target.items if isinstance(target, Call) else _list(target)).extend(values)

    def put(self, flat: list[Any]) -> None:
        """Put keys and values, which alternate, into the dictionary on top."""
        target = self.stack[-1]
        if not isinstance(target, Call | Pairs):
            raise ValueError(f"it puts items into a {type(target).__name__}")
        target.pairs.extend(_to_pairs(flat))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"it extends a {type(value).__name__}")
    return value


def _to_pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _to_name(words: Any) -> Name:
    """A name of module and object, given as two words or in one text."""
    module, name = words.split(" ", 1) if isinstance(words, str) else words
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name in it is no text")
    return Name(f"{module}.{name}")


_PUSHED = frozenset(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
                     "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
                     "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))  # fmt: skip
_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": Pairs,
}
_IN_MEMO = frozenset(("GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "MARK": lambda machine, argument: machine.mark(),
    "POP_MARK": lambda machine, argument: (machine.pop_mark(), None)[1],
    "POP": lambda machine, argument: machine.drop(),
    "DUP": lambda machine, argument: machine.push(machine.stack[-1]),
    "TUPLE": lambda machine, argument: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, argument: machine.push(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, argument: machine.push(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, argument: machine.push(tuple(machine.pop(3))),
    "LIST": lambda machine, argument: machine.push(machine.pop_mark()),
    "FROZENSET": lambda machine, argument: machine.push(machine.pop_mark()),
    "DICT": lambda machine, argument: machine.push(Pairs(_to_pairs(machine.pop_mark()))),
    "APPEND": lambda machine, argument: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, argument: machine.extend(machine.pop_mark()),
    "ADDITEMS": lambda machine, argument: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, argument: machine.put(machine.pop(2)),
    "SETITEMS": lambda machine, argument: machine.put(machine.pop_mark()),
    "GLOBAL": lambda machine, argument: machine.push(_to_name(argument)),
    "STACK_GLOBAL": lambda machine, argument: machine.push(_to_name(machine.pop(2))),
    "REDUCE": lambda machine, argument: machine.call(*machine.pop(2)),
    "NEWOBJ": lambda machine, argument: machine.call(*machine.pop(2)),
    "NEWOBJ_EX": lambda machine, argument: machine.call(*machine.pop(3)),
    "OBJ": lambda machine, argument: _obj(machine),
    "INST": lambda machine, argument: machine.call(_to_name(argument), machine.pop_mark()),
    "BUILD": lambda machine, argument: machine.build(),
    "PERSID": lambda machine, argument: machine.push(Persistent(argument)),
    "BINPERSID": lambda machine, argument: machine.push(Persistent(machine.pop(1)[0])),
}


def _obj(machine: _Machine) -> None:
    maker, *arguments = machine.pop_mark()
    machine.call(maker, arguments)


def walk(node: Any) -> Iterator[Any]:
    """A node and all that is in it; each object once."""
    visited: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        yield node
        waiting += _inside(node)


def _inside(node: Any) -> list[Any]:
    if isinstance(node, Call):
        return node.parts
    if isinstance(node, Pairs):
        return [value for _, value in node.pairs]
    return list(node) if isinstance(node, list | tuple) else []


# ---- numpy arrays ----


def is_array(node: Any) -> bool:
    """Whether a node asks for a numpy array."""
    return isinstance(node, Call) and node.name in (*_MULTIARRAY, *_FROM_BUFFER)


def to_array(node: Call, *, convert: Callable[[Any], Any] | None = None) -> ndarray:
    """The array that a node asks for, of numbers or, with ``convert``, of converted objects.

    An array of numbers shares the pickle's bytes. Raises ValueError if the node is no such array, or its data do not
    fill it.
    """
    if not is_array(node):
        raise ValueError(f"it asks for {node.name}, which is no array")
    if node.name in _FROM_BUFFER:
        raw, kind, shape, order = node.arguments
    else:
        _, shape, kind, fortran, raw = node.states[-1]
        order = "F" if fortran else "C"
    dtype, shape = _dtype(kind), _shape(shape)
    if dtype.hasobject:
        if convert is None:
            raise ValueError("an array in it holds no numbers")
        return _objects(raw, shape, str(order), convert)
    data = _bytes(raw)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {dtype} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _objects(raw: Any, shape: tuple[int, ...], order: str, convert: Callable[[Any], Any]) -> ndarray:
    if not isinstance(raw, list) or len(raw) != math.prod(shape):
        raise ValueError(f"an array of shape {shape} does not have as many objects")
    array = np.empty(len(raw), object)
    for index, value in enumerate(raw):  # not at once: numpy would look into values that are sequences
        array[index] = convert(value)
    return array.reshape(shape, order="F" if order == "F" else "C")


def _dtype(node: Any) -> np.dtype:
    code = node.arguments[0] if isinstance(node, Call) and node.name == "numpy.dtype" and node.arguments else None
    if not isinstance(code, str) or not (_NUMBERS.fullmatch(code) or code in ("O", "O8")):
        raise ValueError("the type of an array is none of numbers or objects")
    if code.startswith("O"):
        return np.dtype(object)
    state = node.states[-1] if node.states else ()
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    return np.dtype(code).newbyteorder(_ORDERS[order if isinstance(order, str) else ""])


def _shape(node: Any) -> tuple[int, ...]:
    shape = node if isinstance(node, tuple) else (node,)
    if len(shape) > _MAX_DIMENSIONS or not all(type(side) is int and 0 <= side < 2**62 for side in shape):
        raise ValueError("the shape of an array is none")
    return shape


def _bytes(node: Any) -> bytes | bytearray:
    """Raw data; protocol 2 writes them as text, or has none made by a call."""
    if isinstance(node, Call) and node.name == "_codecs.encode" and node.arguments:
        node = node.arguments[0]
    if isinstance(node, Call) and node.name in _BYTES and not node.arguments:
        return b""
    if isinstance(node, str):
        return node.encode("latin1")
    if not isinstance(node, bytes | bytearray):
        raise ValueError("the data of an array are no bytes")
    return node
