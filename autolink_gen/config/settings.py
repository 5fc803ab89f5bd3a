"""The settings of each kind of run, with their types, defaults, bounds and descriptions."""

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from autolink_gen.common.settings import Rule
from autolink_gen.config.graph_run import GraphRunConfig
from autolink_gen.config.painting_runs import GanRunConfig, TransferRunConfig
from autolink_gen.config.writing import to_dict

RunKind = Literal["graph", "gan", "transfer"]
RUN_CONFIGS: dict[RunKind, type[GraphRunConfig | GanRunConfig | TransferRunConfig]] = {
    "graph": GraphRunConfig,
    "gan": GanRunConfig,
    "transfer": TransferRunConfig,
}
_TYPES = {"int": "integer", "float": "number", "bool": "true or false", "str": "text", "Path": "path"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True)
class Setting:
    """One setting: its full key, such as optimiser.lr, and what may stand there.

    ``type`` and ``bounds`` are words for users; ``bounds`` is empty where every value of the type will do. ``default``
    is a plain value, as YAML has it.
    """

    key: str
    type: str
    default: Any
    bounds: str
    description: str


def settings_of(kind: RunKind) -> list[Setting]:
    """All settings of a kind of run, in the order of its configuration."""
    config = RUN_CONFIGS[kind]
    return list(_settings(config, to_dict(config()), ""))


def describe_fields(kind: type[Any]) -> dict[str, FieldInfo]:
    """The description of each field of a group of settings."""
    fields: dict[str, FieldInfo] = kind.__pydantic_fields__
    return fields


def _settings(kind: type[Any], defaults: dict[str, Any], prefix: str) -> Iterator[Setting]:
    for name, info in describe_fields(kind).items():
        key = f"{prefix}{name}"
        if is_dataclass(info.annotation):
            assert isinstance(info.annotation, type)
            yield from _settings(info.annotation, defaults[name], f"{key}.")
        else:
            bounds = [*_rules(info.metadata), *_bounds_within(info.annotation)]
            text = ", ".join(dict.fromkeys(bounds))
            yield Setting(key, _type_name(info.annotation), defaults[name], text, info.description or "")


def _type_name(annotation: Any) -> str:
    """A type in words, as in "integer or null"."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is NoneType:
        return "null"
    if origin is Annotated:
        return _type_name(parts[0])
    if origin is Literal:
        return "choice"
    if origin in (Union, UnionType):
        return " or ".join(map(_type_name, parts))
    if origin is tuple:
        return f"list of {_type_name(parts[0])}s"
    return _TYPES[annotation.__name__]


def _bounds_within(annotation: Any) -> Iterator[str]:
    """The bounds within a type, such as those of the number in "number or null"."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield f"{', '.join(parts[:-1])} or {parts[-1]}"
        return
    if origin is Annotated:
        for item in annotation.__metadata__:
            yield from _rules(item.metadata if isinstance(item, FieldInfo) else [item])
    for argument in parts:
        yield from _bounds_within(argument)


def _rules(metadata: list[Any]) -> Iterator[str]:
    for item in metadata:
        if isinstance(rule := getattr(item, "func", None), Rule):
            yield rule.bounds
        for name, words in _BOUNDS.items():
            if (value := getattr(item, name, None)) is not None:
                yield f"{words} {value:,}"
