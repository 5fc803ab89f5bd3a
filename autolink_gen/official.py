"""The authors' Lightning checkpoints, read without executing anything in them."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import torch

from autolink_gen.checkpoints import import_official
from autolink_gen.models.autolink import AutoLink


class _Container(dict[str, Any]):
    """Stands for a dictionary class of Lightning's that holds hyper-parameters."""


class _Name(str):
    """Stands for a path."""

    def __new__(cls, *parts: str) -> "_Name":
        return super().__new__(cls, "/".join(parts))


_HARMLESS: list[Any] = [
    (_Container, "pytorch_lightning.utilities.parsing.AttributeDict"),
    (_Container, "lightning.pytorch.utilities.parsing.AttributeDict"),
    (_Container, "lightning_fabric.utilities.data.AttributeDict"),
    (_Container, "lightning.fabric.utilities.data.AttributeDict"),
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
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is refused: it wants more than weights and plain containers ({_reason(error)})"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {_reason(error)}") from None
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= content.keys():
        raise ValueError(f"{path} is no Lightning checkpoint: it has no state_dict and hyper_parameters")
    parameters = content["hyper_parameters"]
    parameters = vars(parameters) if isinstance(parameters, argparse.Namespace) else dict(parameters)
    try:
        return import_official(content["state_dict"], parameters)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0] if lines else "empty")
