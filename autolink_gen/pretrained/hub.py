"""Models of others, fetched from the Hugging Face hub: weights and settings alone, and nothing of them is run."""

import os
import re
from functools import cache
from pathlib import Path

from autolink_gen.common.extras import needs
from autolink_gen.common.text import shown

PREFIX = "hf:"  # begins the name of a model on the hub
FILES = ("model.safetensors", "graph.safetensors", "config.yaml")  # what is fetched of it
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def is_on_hub(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a model on the hub."""
    return os.fspath(name).startswith(PREFIX)


def may_be_on_hub(name: str) -> bool:
    """Whether a name without the prefix has the form of a model on the hub, "user/name" or "user/name@revision"."""
    return _NAME.fullmatch(name) is not None and not name.startswith(".")


def fetch_from_hub(name: str | os.PathLike[str]) -> Path:
    """The folder of a model on the hub, "hf:user/name" or "hf:user/name@revision", fetched unless it is there already.

    The weights are as any stranger's: whoever loads them checks them. Raises ValueError for another name, where the
    model cannot be fetched, and where huggingface_hub is missing.
    """
    text = os.fspath(name).replace("\\", "/")  # as a Path of Windows has it
    if not (match := _NAME.fullmatch(text.removeprefix(PREFIX))):
        raise ValueError(f"{shown(text)} names no model on the hub: give it as {PREFIX}user/name")
    return _fetched(match["repository"], match["revision"])


@cache
def _fetched(repository: str, revision: str | None) -> Path:
    with needs("hub", f"the model {PREFIX}{repository}"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = shown(str(error).strip().partition("\n")[0])
        raise ValueError(
            f"{PREFIX}{repository} cannot be fetched from the hub: {reason}; look at its name and at the network, or "
            f"fetch its files by other means and give their folder"
        ) from error
