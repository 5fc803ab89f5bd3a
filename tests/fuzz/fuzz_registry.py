"""All kinds of file that the fuzz program knows."""

from collections.abc import Sequence
from importlib import import_module

from fuzz_kinds import Kind

_MODULES = {
    "kinds_pictures": ("picture",),
    "kinds_shapes": ("shape",),
    "kinds_videos": ("video",),
    "kinds_weights": ("model", "save", "state", "official", "features", "arrays", "frames"),
    "kinds_tables": ("sets", "h5", "prepare", "table", "shard"),
    "kinds_texts": ("pose", "regressor", "recipe", "override", "settings", "metrics", "noted", "page", "name"),
}


def names() -> list[str]:
    """The names of all kinds."""
    return [name for group in _MODULES.values() for name in group]


def kinds_named(wanted: Sequence[str]) -> list[Kind]:
    """The kinds of these names, or all; ValueError for a name that none has."""
    if unknown := sorted(set(wanted) - set(names())):
        raise ValueError(f"there is no kind {', '.join(unknown)}; there are {', '.join(names())}")
    chosen = set(wanted or names())
    modules = [module for module, group in _MODULES.items() if chosen & set(group)]
    found = {kind.name: kind for module in modules for kind in import_module(module).KINDS}
    return [found[name] for name in names() if name in chosen]
