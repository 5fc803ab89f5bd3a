"""The settings that a sweep varies: lists of values and ranges, as they are typed or passed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autolink_gen.common.text import shown
from autolink_gen.recipes import merge, nest, parse_overrides, read_yaml
from autolink_gen.studies.search import Choice, Range, Value, read_range

_OPENING, _CLOSING, _QUOTES = "[{", "]}", "'\""
# Settings that are the same for all trials, and what to do instead.
_FIXED = {
    "data.name": "a sweep compares settings on the same data: start one a data set",
    "data.root": "a sweep compares settings on the same data: give --data-root",
    "training.seed": "give --seeds N, which trains each setting with several seeds",
}


@dataclass(frozen=True)
class Axis:
    """A setting that a sweep varies, by its dotted name: over a list of values, or over a range."""

    name: str
    over: tuple[Any, ...] | Range

    def __post_init__(self) -> None:
        if self.name in _FIXED:
            raise ValueError(f"{self.name} cannot be swept: {_FIXED[self.name]}")

    def __str__(self) -> str:
        """The setting as it is typed behind ``--set``."""
        return f"{self.name}={self.text}"

    @property
    def text(self) -> str:
        """The values as they are typed."""
        return str(self.over) if isinstance(self.over, Range) else ",".join(map(value_text, self.over))

    @property
    def samples(self) -> tuple[Any, ...]:
        """Values that a configuration must take: all of a list; the ends of a range, and one inside."""
        return (self.over.low, self.over.inside, self.over.high) if isinstance(self.over, Range) else self.over

    @property
    def space(self) -> Range | Choice:
        """What a search draws from."""
        return self.over if isinstance(self.over, Range) else Choice(tuple(map(as_parameter, self.over)))

    def value_of(self, parameter: Value) -> Any:
        """The value that a parameter of a search stands for."""
        if isinstance(self.over, Range):
            return parameter
        return next(value for value in self.over if as_parameter(value) == parameter)


def as_parameter(value: Any) -> Value:
    """A value as a parameter of a search: lists and mappings as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def value_text(value: Any) -> str:
    """A value as it is typed behind ``--set``."""
    if isinstance(value, str) and "," not in value and read_range(value) is None and _reads_as(value):
        return value
    return json.dumps(value)


def _reads_as(text: str) -> bool:
    try:
        return bool(read_yaml(f"value: {text}", source="")["value"] == text)
    except ValueError:
        return False


def split_settings(settings: Sequence[str]) -> tuple[dict[str, Any], tuple[Axis, ...]]:
    """Settings as they were typed, ``NAME=VALUE``: the nested values of those that stay, and the axes.

    ``a.b=1,2`` is an axis of two values and ``a.b=1..2`` one over a range; commas inside brackets and quotes part
    nothing. Raises ValueError that names what cannot be read.
    """
    fixed: dict[str, Any] = {}
    axes: list[Axis] = []
    for setting in settings:
        name, _, text = (part.strip() for part in setting.partition("="))
        parts = _parts(text)
        if (found := _range(name, text)) is not None:
            axes.append(Axis(name, found))
        elif len(parts) == 1:
            fixed = merge(fixed, parse_overrides([setting]))
        else:
            axes.append(Axis(name, tuple(_read(name, part, text) for part in parts)))
    _check_names(axes)
    return fixed, tuple(axes)


def axes_of(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Axis, ...]]:
    """The same of settings by dotted names: a list holds the values to try, a text is read as it is typed."""
    fixed: dict[str, Any] = {}
    axes: list[Axis] = []
    for name, value in settings.items():
        if isinstance(value, str):
            values, own = split_settings([f"{name}={value}"])
            fixed, axes = merge(fixed, values), [*axes, *own]
        elif isinstance(value, Range) or (isinstance(value, list | tuple) and len(value) > 1):
            axes.append(Axis(name, value if isinstance(value, Range) else tuple(value)))
        else:
            fixed = merge(fixed, nest({name: value[0] if isinstance(value, list | tuple) and value else value}))
    _check_names(axes)
    return fixed, tuple(axes)


def _range(name: str, text: str) -> Range | None:
    try:
        return read_range(text)
    except ValueError as error:
        raise ValueError(f"{shown(name)}: {error}") from None


def _check_names(axes: Sequence[Axis]) -> None:
    names = [axis.name for axis in axes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{shown(twice)} is varied twice: name its values in one list")


def _read(name: str, part: str, text: str) -> Any:
    if not part.strip():
        raise ValueError(f"--set {shown(name)}={shown(text)} has a comma with no value beside it")
    return read_yaml(f"value: {part}", source=f"--set {shown(name)}={shown(part)}")["value"]


def _parts(text: str) -> list[str]:
    """A text parted at the commas that stand in no brackets and no quotes."""
    commas = [index for index, character in _outside(text) if character == ","]
    ends = zip([-1, *commas], [*commas, len(text)], strict=True)
    return [text[start + 1 : end] for start, end in ends]


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """The characters of a text, with their places, that stand in no brackets and no quotes."""
    depth, quote = 0, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif depth == 0:
            yield index, character
