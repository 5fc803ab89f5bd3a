"""What the fuzz program needs to know of a kind of file: samples, the product's reader, ways to damage a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

Mutator = Callable[[Random, bytes], bytes]
Reader = Callable[[Path, Path], object]


class Sample(NamedTuple):
    """A file that is whole: its name below the worker's folder and its content."""

    name: str
    content: bytes


def nothing(home: Path) -> None:
    """Lay no files beside the input."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that strangers give.

    ``read`` is called with the worker's folder and the file, which lies in it; ``lay`` puts there what the reader
    needs beside the file. ``writes``: the reader may leave files in the worker's folder. ``cost_ms`` is about what an
    input takes, by which, and by ``weight``, inputs are shared out. The reader may check what it read by ``assert``.
    """

    name: str
    samples: Callable[[], Sequence[Sample]]
    read: Reader
    mutators: tuple[Mutator, ...] = ()
    tokens: tuple[bytes, ...] = ()
    lay: Callable[[Path], None] = nothing
    writes: bool = False
    cost_ms: float = 1.0
    weight: float = 1.0  # of the time that is left when every kind has had its least
    structured: float = 0.5  # the share of changes that a mutator of its own makes


@dataclass
class Stocked:
    """A kind with its samples made."""

    kind: Kind
    samples: Sequence[Sample] = field(default_factory=list)
