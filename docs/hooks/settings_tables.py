"""The reference of settings, from the configuration dataclasses and the recipes."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from markdown_tables import table
from pydantic import TypeAdapter

from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig
from autolink_gen.recipes import read_recipe, recipe_names

CONFIGS: dict[str, type[Any]] = {"graph": GraphRunConfig, "gan": GanRunConfig, "transfer": TransferRunConfig}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


@dataclass(frozen=True)
class _RunKind:
    """What there is to say of a kind of run: its JSON schema, its defaults, and the values of its recipes."""

    name: str
    schema: Mapping[str, Any]
    defaults: Mapping[str, Any]
    recipes: Mapping[str, Mapping[str, Any]]


def settings_page(kind: str) -> str:
    """A section for each group of settings of a kind of run: `graph`, `gan` or `transfer`."""
    config = CONFIGS[kind]
    recipes = {name: read_recipe(kind, name) for name in recipe_names(kind)}
    run = _RunKind(kind, TypeAdapter(config).json_schema(), asdict(config()), recipes)
    return "\n".join(line for field in fields(config) for line in _group(run, field.name))


def _group(run: _RunKind, group: str) -> Iterator[str]:
    definition = _resolved(run.schema["properties"][group], run.schema)
    yield f"### {group} {{ #{run.name}-{group} }}\n"
    yield inspect.cleandoc(definition.get("description", "")) + "\n"
    rows = []
    for name, values in definition["properties"].items():
        default = written(run.defaults[group][name])
        chosen = {recipe: written(settings[group][name]) for recipe, settings in run.recipes.items()
                  if name in settings.get(group, {})}  # fmt: skip
        others = [f"{recipe} {value}" for recipe, value in chosen.items() if value != default]
        allowed = ", ".join(part for part in (type_of(values, run.schema), bounds_of(values)) if part)
        rows.append([f"`{group}.{name}`", allowed, default, "; ".join(others), values.get("description", "")])
    yield table(["setting", "type", "default", "in recipes", "meaning"], rows)


def _resolved(values: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition that a schema refers to, or the values as they are."""
    if "allOf" in values:
        values = values["allOf"][0]
    if "$ref" not in values:
        return values
    definition: Mapping[str, Any] = schema["$defs"][values["$ref"].rpartition("/")[2]]
    return definition


def type_of(values: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type of a setting in words: a number, one of several words, a list of these, or nothing."""
    values = _resolved(values, schema)
    if "anyOf" in values:
        return " or ".join(type_of(choice, schema) for choice in values["anyOf"])
    if "enum" in values or "const" in values:
        return ", ".join(written(value) for value in values.get("enum", [values.get("const")]))
    if values.get("type") == "array":
        inner = values.get("items") or (values.get("prefixItems") or [{}])[0]
        return f"list of {type_of(inner, schema)}" if inner else "list"
    return {"null": "`null`"}.get(values.get("type", ""), values.get("type", ""))


def bounds_of(values: Mapping[str, Any]) -> str:
    """The bounds of a setting in words, also where it may be nothing too."""
    choices = [values, *values.get("anyOf", [])]
    words = [text.format(choice[name]) for choice in choices for name, text in _BOUNDS.items() if name in choice]
    return ", ".join(words)


def written(value: Any) -> str:
    """A value as YAML and `--set` have it."""
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"
