"""The values of recipes: read from YAML, by name or from a file, and overridden by name."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml


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
        try:
            return read_yaml(path.read_text(encoding="utf-8"), source=str(path))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not YAML: {error}") from None
    names = recipe_names(kind)
    if name not in names:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(names)}, or give a .yaml file")
    text = (resources.files(f"autolink_gen.configs.{kind}") / f"{name}.yaml").read_text()
    return read_yaml(text, source=f"{name}.yaml")


def read_yaml(text: str, *, source: str) -> dict[str, Any]:
    """The mapping that YAML text holds; raises ValueError that names the source."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{source} must hold settings by name, got {type(values).__name__}")
    return values


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
            raise ValueError(f"--set takes NAME=VALUE, as in optimiser.lr=1e-3, got {setting!r}")
        value = read_yaml(f"value: {text}", source=f"--set {setting}")["value"]
        for part in reversed(name.strip().split(".")):
            value = {part: value}
        values = merge(values, value)
    return values
