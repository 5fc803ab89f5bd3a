"""Trained models that travel in the package: small ones of the embedded puppets."""

import os
from pathlib import Path

from autolink_gen.common.text import shown

PREFIX = "package:"  # begins a name that means the package's model, whatever runs there are
SHIPPED = "puppets"
SHIPPED_FOLDER = Path(__file__).parent / SHIPPED


def is_prefixed(name: str | os.PathLike[str]) -> bool:
    """Whether a name asks for a model of the package."""
    return os.fspath(name).startswith(PREFIX)


def shipped_weights(name: str | os.PathLike[str], kind: str | None) -> Path | None:
    """The package's weights of a name, with its prefix or without; None where there are none.

    ``kind`` is 'graph', 'gan' or 'transfer'; None: the graph. Raises ValueError for a prefixed name that it has not.
    """
    file = SHIPPED_FOLDER / f"{kind or 'graph'}.safetensors"
    if os.fspath(name).removeprefix(PREFIX) == SHIPPED and file.is_file():
        return file
    if is_prefixed(name):
        text = shown(os.fspath(name))
        raise ValueError(f"no {kind or 'graph'} called {text} comes with autolink-gen: give {PREFIX}{SHIPPED}")
    return None


def is_shipped(weights: Path) -> bool:
    """Whether a file of weights is one of the package's."""
    return weights.parent == SHIPPED_FOLDER
