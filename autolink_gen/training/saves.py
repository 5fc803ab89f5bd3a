"""The saves of a run: one folder a step, whole or not there, the last few and the best."""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autolink_gen.checkpoints import UNREADABLE, WEIGHTS_NAME, read_weights, write_weights
from autolink_gen.files import sync_file, sync_folder

STATE_NAME = "training_state.pt"
log = logging.getLogger(__name__)


def step_folders(checkpoints: Path) -> list[Path]:
    """The saves in ``checkpoints``, oldest first."""
    return sorted(path for path in checkpoints.glob("step-*") if path.is_dir())


def write_save(checkpoints: Path, step: int, weights: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Write ``step-XXXXXXXX/`` under a temporary name, read it back, and only then give it its name.

    Raises OSError, with the remedy, where the disk is full; earlier saves stay as they are.
    """
    target = checkpoints / f"step-{step:08d}"
    temporary = checkpoints / f".{target.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        write_weights(temporary / WEIGHTS_NAME, weights)
        torch.save(state, temporary / STATE_NAME)
        for file in temporary.iterdir():
            sync_file(file)
        read_save(temporary)
        if target.exists():  # a save of the same step, which a stopped run has just repeated
            _remove(target)
        temporary.replace(target)
        sync_folder(checkpoints)
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"could not save step {step} in {checkpoints}: {error}; free some space or choose another --out, then "
            f"repeat the command: it goes on from the last save"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def read_save(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and training state of one save; raises ValueError where either cannot be read."""
    try:
        state = torch.load(folder / STATE_NAME, weights_only=True, map_location="cpu")
    except UNREADABLE as error:
        raise ValueError(f"{folder / STATE_NAME} cannot be read: {error}") from error
    try:
        return read_weights(folder / WEIGHTS_NAME)[1], state
    except OSError as error:
        raise ValueError(f"{folder / WEIGHTS_NAME} cannot be read: {error}") from error


def read_newest(checkpoints: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest save that can be read, or None; those that cannot are named in a warning and passed over."""
    for folder in reversed(step_folders(checkpoints)):
        try:
            return read_save(folder)
        except ValueError as error:
            log.warning("%s; going on from the save before it", error)
    return None


def rotate(checkpoints: Path, *, keep_last: int, best_step: int) -> None:
    """Remove all saves but the last ``keep_last`` and the best, and what an interrupted save left behind."""
    for folder in step_folders(checkpoints)[:-keep_last]:
        if folder.name != f"step-{best_step:08d}":
            _remove(folder)
    for leftover in checkpoints.glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a save so that a kill on the way leaves no half of it under its name."""
    doomed = folder.with_name(f".{folder.name}.old.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(OSError):  # what cannot be removed does not stop a run
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
