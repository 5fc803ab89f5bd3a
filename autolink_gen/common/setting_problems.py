"""What is wrong with a configuration, in one line for users."""

import difflib
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autolink_gen.common.text import shown

_MOST, _MOST_CHARACTERS = 5, 1000  # of the problems that one message lists
_LONGEST_KEY, _ALIKE = 100, 0.8  # of keys whose near misses are looked for
_WORDS = {
    "Value error, ": "",
    "Input should be ": "must be ",
    "greater than or equal to ": "at least ",
    "less than or equal to ": "at most ",
    "greater than ": "above ",
    "less than ": "below ",
}


def problems_of(error: ValidationError, kind: type[Any]) -> str:
    """The wrong settings of a configuration, in one line: key, bound and value of each."""
    errors = error.errors(include_url=False, include_context=False)
    lines = [_problem(problem, kind) for problem in errors[:_MOST]]
    while len(lines) > 1 and sum(map(len, lines)) > _MOST_CHARACTERS:
        lines.pop()
    return "; ".join([*lines, *([f"and {len(errors) - len(lines)} more"] if len(errors) > len(lines) else [])])


def keys_of(kind: type[Any]) -> Iterator[str]:
    """The full keys of all settings of a configuration, such as optimiser.lr."""
    for name, item in kind.__dataclass_fields__.items():
        if is_dataclass(item.type):
            assert isinstance(item.type, type)
            yield from (f"{name}.{key}" for key in keys_of(item.type))
        else:
            yield name


def _problem(problem: ErrorDetails, kind: type[Any]) -> str:
    key = ".".join(shown(str(key_part)) for key_part in problem["loc"])
    if problem["type"] in ("unexpected_keyword_argument", "invalid_key"):
        return _unknown(key, [str(key_part) for key_part in problem["loc"]], kind)
    if problem["type"] == "dataclass_type":
        return f"{key or 'a configuration'} is a group of settings, got {shown(problem['input'])}"
    message = problem["msg"]
    for pydantics, text in _WORDS.items():
        message = message.replace(pydantics, text)
    message = shown(message, most=400)
    if problem["type"] == "value_error" and not _is_setting(problem["loc"], kind):
        return f"{key}.{message}" if key else message  # a group's rule begins with the setting
    value = shown(problem["input"])
    got = repr(value) if isinstance(problem["input"], str) else value
    return f"{key} {message}, got {got}" if message.startswith("must ") else f"{key}: {message}, got {got}"


def _unknown(key: str, path: list[str], kind: type[Any]) -> str:
    """A message for an unknown setting: near misses, and the settings of its group."""
    known = [*keys_of(kind), *kind.__dataclass_fields__]
    near = difflib.get_close_matches(".".join(path)[:_LONGEST_KEY], known, n=3, cutoff=_ALIKE)
    near += [key_name for key_name in known if key_name.rpartition(".")[2] == path[-1] and key_name not in near]
    group = kind
    for name in path[:-1]:
        group = group.__dataclass_fields__[name].type
    prefix = "".join(f"{name}." for name in path[:-1])
    names_in_group = ", ".join(prefix + name for name in group.__dataclass_fields__)
    suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"there is no setting {key}; there are {names_in_group}{suggestion}"


def _is_setting(path: tuple[int | str, ...], kind: Any) -> bool:
    """Whether a path leads to a setting, and not to a group of them."""
    for name in path:
        if not is_dataclass(kind):
            return True
        kind = kind.__dataclass_fields__[str(name)].type
    return not is_dataclass(kind)
