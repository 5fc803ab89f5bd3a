"""The authors' Lightning checkpoints, read without executing anything in them."""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from autolink_gen.checkpoints import UNREADABLE, import_official
from autolink_gen.models.autolink import AutoLink


class _Name(str):
    """Stands for a path."""

    def __new__(cls, *parts: str) -> "_Name":
        return super().__new__(cls, "/".join(parts))


# OrderedDict stands for Lightning's dictionaries: torch.load fills no other subclass of dict.
_HARMLESS: list[Any] = [
    (OrderedDict, "pytorch_lightning.utilities.parsing.AttributeDict"),
    (OrderedDict, "lightning.pytorch.utilities.parsing.AttributeDict"),
    (OrderedDict, "lightning_fabric.utilities.data.AttributeDict"),
    (OrderedDict, "lightning.fabric.utilities.data.AttributeDict"),
    (_Name, "pathlib.PosixPath"),
    (_Name, "pathlib.WindowsPath"),
    argparse.Namespace,
]


def read_official(path: Path) -> AutoLink:
    """The model of a Lightning checkpoint of the AutoLink authors, in eval mode.

    Only tensors, plain containers and a few harmless classes, allowed by name, are read. Raises ValueError for
    a file that is missing, is no checkpoint, wants any other class, or is a checkpoint of another kind.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except UNREADABLE as error:
        if "GLOBAL" in str(error):
            raise ValueError(
                f"{path} is refused: it wants more than weights and plain containers ({_reason(error)})"
            ) from None
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it is damaged or of another kind; give the authors' .ckpt whole"
        ) from None
    parts = content if isinstance(content, dict) else {}
    parameters = parts.get("hyper_parameters")
    parameters = vars(parameters) if isinstance(parameters, argparse.Namespace) else parameters
    if not isinstance(parts.get("state_dict"), dict) or not isinstance(parameters, dict):
        raise ValueError(f"{path} is no Lightning checkpoint: it has no state_dict and hyper_parameters")
    try:
        return import_official(parts["state_dict"], parameters)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _reason(error: Exception) -> str:
    return next(line.strip() for line in str(error).splitlines() if "GLOBAL" in line)
