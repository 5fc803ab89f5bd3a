"""The reference of the Python interface: which names mkdocstrings is to show."""

from collections.abc import Iterator
from typing import get_type_hints

import autolink_gen

# What training and the commands need of these classes besides is not for users, and may change.
FOR_USERS = {
    "animate",
    "detect",
    "draw",
    "edge_map",
    "edge_weights",
    "generate",
    "invert",
    "mean_style",
    "paint",
    "style",
    "without_keypoints",
}


def python_page() -> str:
    """A section for each public name, then the classes of what the loaders return."""
    lines = ["## Verbs and loaders\n"]
    lines += [_shown(f"autolink_gen.{name}") for name in autolink_gen.__all__]
    lines += ["## What the loaders return\n"]
    lines += [_shown(f"{kind.__module__}.{kind.__qualname__}", members=public(kind)) for kind in loaded()]
    lines += ["## The edge map\n", _shown("autolink_gen.ops.edges.edge_map")]
    return "\n".join(lines)


def loaded() -> Iterator[type]:
    """The classes that the `load_...` functions return."""
    for name in autolink_gen.__all__:
        if name.startswith("load_"):
            yield get_type_hints(getattr(autolink_gen, name))["return"]


def public(kind: type) -> list[str]:
    """The methods and properties of a class that users may rely on, in the order of the class."""
    return [name for name in vars(kind) if name in FOR_USERS]


def _shown(path: str, *, members: list[str] | None = None) -> str:
    options = f"\n    options:\n      members: {members}" if members is not None else ""
    return f"::: {path}{options}\n"
