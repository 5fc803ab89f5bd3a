"""Search spaces: ranges of numbers and lists of values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Value = None | bool | int | float | str

_LOG_FROM = 100  # times the low end, at which a positive range is searched on a logarithmic scale
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})\s*")
_WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones alone where both are integers."""

    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"the range {self} must rise: write the smaller number first")

    def __str__(self) -> str:
        """The range as it is typed."""
        return f"{self.low!r}..{self.high!r}"

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def is_log(self) -> bool:
        """Whether it is searched on a logarithmic scale: both ends positive, and 100 times apart or more."""
        return self.low > 0 and self.high >= _LOG_FROM * self.low

    @property
    def inside(self) -> int | float:
        """A number between the ends, not in the middle: a setting that takes integers alone refuses it."""
        inner = self.low + (self.high - self.low) * 0.3819660113
        return round(inner) if self.is_whole else inner


@dataclass(frozen=True)
class Choice:
    """Values to choose from."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Search:
    """The searched settings by name, and the seed of the search."""

    axes: Mapping[str, Range | Choice]
    seed: int = 0


def read_range(text: str) -> Range | None:
    """The range that a text such as ``1e-5..1e-2`` names; None for any other text."""
    match = _RANGE.fullmatch(text)
    return Range(_number(match[1]), _number(match[2])) if match else None


def _number(text: str) -> int | float:
    return int(text) if _WHOLE.fullmatch(text) else float(text)
