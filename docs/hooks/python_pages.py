"""The reference of the Python interface: which names mkdocstrings is to show."""

from typing import get_args, get_type_hints

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
    """A section for each public function, then the classes of what they return."""
    lines = ["## Verbs and loaders\n"]
    lines += [_shown(f"autolink_gen.{name}") for name in autolink_gen.__all__]
    lines += ["## What they return\n"]
    lines += [_shown(f"{kind.__module__}.{kind.__qualname__}", members=public(kind)) for kind in returned()]
    lines += ["## The edge map\n", _shown("autolink_gen.ops.edges.edge_map")]
    return "\n".join(lines)


def returned() -> list[type]:
    """Our own classes that the public functions return, each once."""
    hints = [get_type_hints(getattr(autolink_gen, name))["return"] for name in autolink_gen.__all__]
    kinds = [kind for hint in hints for kind in (get_args(hint) or (hint,)) if isinstance(kind, type)]
    return [kind for kind in dict.fromkeys(kinds) if kind.__module__.startswith("autolink_gen.")]


def public(kind: type) -> list[str]:
    """The methods and properties of a class that users may rely on, in the order of the class."""
    return [name for name in vars(kind) if name in FOR_USERS]


def _shown(path: str, *, members: list[str] | None = None) -> str:
    options = f"\n    options:\n      members: {members}" if members is not None else ""
    return f"::: {path}{options}\n"
