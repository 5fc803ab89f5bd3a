"""The authors' Lightning checkpoints, read without executing anything in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autolink_gen.checkpoints import import_official
from autolink_gen.common.files import BadFileError, reading
from autolink_gen.common.pickles import Call, Pairs
from autolink_gen.common.text import shown
from autolink_gen.common.torch_files import Makers, RefusedError, read_torch_file, to_dict
from autolink_gen.models.autolink import AutoLink

_PARSING = ("pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
            "lightning_fabric.utilities.data", "lightning.fabric.utilities.data")  # fmt: skip
_REMEDY = "it is damaged or of another kind: give the authors' .ckpt whole"


def _settings(call: Call, convert: Callable[[Any], Any]) -> dict[Any, Any]:
    """The items of one of Lightning's dictionaries, or the attributes of a namespace."""
    pairs = [pair for state in (*call.arguments, *call.states) if isinstance(state, Pairs) for pair in state.pairs]
    return to_dict([*pairs, *call.pairs], convert)


def _path(call: Call, convert: Callable[[Any], Any]) -> str:
    return "/".join(argument for argument in call.arguments if isinstance(argument, str))


# Harmless classes, by name: none of them is made.
_MAKERS: Makers = {
    "argparse.Namespace": _settings,
    "pathlib.PosixPath": _path,
    "pathlib.WindowsPath": _path,
    **{f"{module}.AttributeDict": _settings for module in _PARSING},
}


def read_official(path: Path) -> AutoLink:
    """The model of a Lightning checkpoint of the AutoLink authors, in eval mode.

    Only tensors, plain containers and a few harmless classes, allowed by name, are read. Raises ValueError for
    a file that is missing, is no checkpoint, wants any other class, or is a checkpoint of another kind.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        content = read_torch_file(path, remedy=_REMEDY, makers=_MAKERS)
    except RefusedError as error:
        missing = shown(error.class_name)
        raise BadFileError(
            f"{path} is refused: it wants more than weights and plain containers ({missing}); take the authors' own"
        ) from None
    parts = content if isinstance(content, dict) else {}
    parameters = parts.get("hyper_parameters")
    if not isinstance(parts.get("state_dict"), dict) or not isinstance(parameters, dict):
        raise ValueError(f"{path} is no Lightning checkpoint: it has no state_dict and hyper_parameters")
    with reading(path, "checkpoint of AutoLink", remedy=_REMEDY):
        try:
            return import_official(parts["state_dict"], parameters)
        except ValueError as error:
            raise BadFileError(f"{path}: {error}") from None
