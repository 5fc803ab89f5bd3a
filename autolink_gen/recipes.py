"""The values of recipes: read from YAML, by name or from a file, and overridden by name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.text import shown

_MAX_BYTES = 2**16  # settings have some thousand, and a parser takes a second for a million
_MAX_DEPTH = 50  # of values in values; recipes have three
# What groups of settings were called in each kind of run before a name meant the same in all of them.
_OLD_KEYS = {"graph": {"loss": "perceptual"}, "gan": {"loss": "adversarial"}, "transfer": {"loss": "weights"}}


def recipe_names(kind: str) -> list[str]:
    """The recipes of ``kind``: 'graph', 'gan' or 'transfer'."""
    folder = resources.files(f"autolink_gen.configs.{kind}")
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def read_recipe(kind: str, name: str) -> dict[str, Any]:
    """The values of a recipe by name, or of a YAML file by path; raises ValueError with the names there are."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ValueError(f"there is no recipe file {path}")
        return current_keys(kind, read_settings(path))
    names = recipe_names(kind)
    if name not in names:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(names)}, or give a .yaml file")
    text = (resources.files(f"autolink_gen.configs.{kind}") / f"{name}.yaml").read_text()
    return read_yaml(text, source=f"{name}.yaml")


def recipe_header(kind: str, name: str) -> list[str]:
    """The comment that a recipe by name begins with, line by line; nothing of a file of the user's own."""
    if name not in recipe_names(kind):
        return []
    text = (resources.files(f"autolink_gen.configs.{kind}") / f"{name}.yaml").read_text()
    return list(takewhile(lambda line: line.startswith("#"), text.splitlines()))


def earlier_recipes(kind: str, name: str) -> list[dict[str, Any]]:
    """The values that a recipe had in earlier versions, the newest first; none of a file of the user's own."""
    folder = resources.files(f"autolink_gen.configs.{kind}") / "earlier"
    if not folder.is_dir():
        return []
    files = [item for item in folder.iterdir() if re.fullmatch(rf"{re.escape(name)}-\d+\.yaml", item.name)]
    files.sort(key=lambda item: int(item.name.removesuffix(".yaml").rpartition("-")[2]), reverse=True)
    return [current_keys(kind, read_yaml(item.read_text(), source=item.name)) for item in files]


def current_keys(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values of settings with the groups under the names that ``kind`` has today, as in an old config.yaml.

    Raises ValueError for a setting that is given by its old name and, otherwise, by its new one.
    """
    renamed = dict(values)
    for old, new in _OLD_KEYS[kind].items():
        if old not in renamed:
            continue
        if new not in renamed:
            renamed = {new if name == old else name: value for name, value in renamed.items()}
            continue
        group, other = renamed.pop(old), renamed[new]
        if not (isinstance(group, Mapping) and isinstance(other, Mapping)):
            raise ValueError(f"{old} and {new} are one group of settings: give {new} alone")
        for name in group:
            if name in other and group[name] != other[name]:
                key = shown(str(name))
                raise ValueError(f"{old}.{key} and {new}.{key} are one setting: give {new}.{key} alone")
        renamed[new] = {**other, **group}
    return renamed


def read_settings(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; raises ValueError that names it."""
    with reading(path, "YAML", remedy="correct or replace it"):
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and settings at most {_MAX_BYTES:,}")
        return read_yaml(path.read_text(encoding="utf-8"), source=str(path))


def read_yaml(text: str, *, source: str) -> dict[str, Any]:
    """The mapping that YAML text holds; raises ValueError that names the source.

    Aliases are refused: a few lines of them stand for more values than any memory holds.
    """
    with reading(source, "YAML", remedy="correct it"):
        if len(text) > _MAX_BYTES:
            raise ValueError(f"it has {len(text):,} characters, and settings at most {_MAX_BYTES:,}")
        try:
            values = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise BadFileError(f"{source} is not YAML: {shown(' '.join(str(error).split()))}") from None
    if not isinstance(values, dict):
        raise BadFileError(f"{source} must hold settings by name, got {type(values).__name__}")
    return values


class _Loader(yaml.SafeLoader):
    """Plain values alone, each written where it stands."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next value; YAMLError for an alias, and where lists are nested without end."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name), which settings do without: write the value out")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"its values are nested over {_MAX_DEPTH} deep, which settings do without")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the nested values of ``changes`` in place of its own."""
    merged = dict(base)
    for name, value in changes.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """``["a.b=1", ...]`` as nested values, read as YAML scalars; raises ValueError for what has no '='."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set takes NAME=VALUE, as in optimiser.lr=1e-3, got {shown(setting)!r}")
        value = read_yaml(f"value: {text}", source=f"--set {shown(setting)}")["value"]
        values = merge(values, nest({name.strip(): value}))
    return values


def dotted(settings: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as pairs of a name, such as "model.width", and a value: the reverse of `nest`."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted names, ``{"a.b": 1}``, as nested values; those that are nested already stay so."""
    values: dict[str, Any] = {}
    for name, value in settings.items():
        inner, *outer = reversed(name.split("."))
        branch = {inner: value}
        for part in outer:
            branch = {part: branch}
        values = merge(values, branch)
    return values
