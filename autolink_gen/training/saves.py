"""The saves of a run: a folder per step; the last few and the best are kept."""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from autolink_gen.checkpoints import WEIGHTS_NAME, first_not_finite, read_weights, write_weights
from autolink_gen.common.files import BadFileError, folder_beside, reading, reason_of, sync_file, sync_folder
from autolink_gen.common.text import printable
from autolink_gen.common.torch_files import read_torch_file
from autolink_gen.training.checksums import check_sums, write_sums

STATE_NAME = "training_state.pt"
_SAVE = re.compile(r"step-(\d{8,18})")
_LEFTOVER = re.compile(r"\.step-\d{8,18}\.(\d+|old)\.tmp")  # what write_save and _remove are killed over
_REMEDY = "the save is damaged"
log = logging.getLogger(__name__)


class DivergedError(BadFileError):
    """A complete save whose numbers are not finite."""


@dataclass(frozen=True)
class Save:
    """A save read back: folder, weights, training state; and newer, damaged ones."""

    folder: Path
    weights: dict[str, Tensor]
    state: dict[str, Any]
    damaged: Sequence[Path] = field(default=())

    @property
    def step(self) -> int:
        """The step that it was made at."""
        return step_of(self.folder)


def step_folders(checkpoints: Path) -> list[Path]:
    """The saves in ``checkpoints``, oldest first; OSError if they cannot be listed."""
    try:
        with os.scandir(checkpoints) as entries:
            folders = [checkpoints / entry.name for entry in entries if _SAVE.fullmatch(entry.name) and entry.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(folders, key=step_of)


def step_of(save: Path) -> int:
    """The step that a save's folder is named after."""
    return int(save.name.removeprefix("step-"))


def save_name(step: int) -> str:
    """The name of the folder of a save."""
    return f"step-{step:08d}"


def write_save(checkpoints: Path, step: int, weights: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Write ``step-XXXXXXXX/``, read it back, and only then give it its name.

    Raises OSError, with the remedy, where the disk is full, and DivergedError for numbers that are not finite;
    earlier saves stay as they are.
    """
    if (name := first_not_finite_of(weights, state)) is not None:
        raise DivergedError(f"step {step} is not saved: {name} holds numbers that are not finite")
    target = checkpoints / save_name(step)
    try:
        with folder_beside(target) as temporary:
            write_weights(temporary / WEIGHTS_NAME, weights)
            _write_state(temporary / STATE_NAME, state)
            write_sums(temporary, (WEIGHTS_NAME, STATE_NAME))
            for file in temporary.iterdir():
                sync_file(file)
            read_save(temporary)
            if target.exists():  # a save of the same step, which a stopped run has just repeated
                _remove(target)
            temporary.replace(target)
        sync_folder(checkpoints)
    except (OSError, RuntimeError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, RuntimeError) else str(error)  # torch's have many lines
        remedy = "mend its rights" if isinstance(error, PermissionError) else "free some space"
        raise OSError(
            f"could not save step {step} in {checkpoints}: {reason}; {remedy} or choose another --out, then repeat the "
            f"command: it goes on from the last save"
        ) from error
    return target


def first_not_finite_of(weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> str | None:
    """The name of the first tensor in a save that is not finite; None where all are."""
    return first_not_finite({**weights, **dict(_tensors_in(state, ""))})


def _tensors_in(values: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested mappings and lists, by names such as optimiser.state.0.exp_avg."""
    if isinstance(values, Tensor):
        yield name, values
    elif isinstance(values, Mapping | list | tuple):
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in items:
            yield from _tensors_in(value, f"{name}.{key}".lstrip("."))


class _Noting:
    """A file wrapper that keeps its write error, which torch does not report."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.flush = file, file.flush
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or remember why not."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.problem = error
            raise


def _write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the training state; OSError in the system's words where that fails."""
    with path.open("wb") as file:
        noting = _Noting(file)
        try:
            torch.save(state, noting)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise noting.problem or error from error


def read_save(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and training state of one save.

    Raises ValueError where either cannot be read or has been changed, and DivergedError for numbers not finite.
    """
    check_sums(folder, (WEIGHTS_NAME, STATE_NAME))
    state = read_torch_file(_plain(folder / STATE_NAME), remedy=_REMEDY)
    if not isinstance(state, dict):
        raise BadFileError(f"{folder / STATE_NAME} holds no training state; {_REMEDY}")
    weights = read_weights(_plain(folder / WEIGHTS_NAME))[1]
    with reading(folder, "save", remedy=_REMEDY):  # what is nested without end, too
        if (name := first_not_finite_of(weights, state)) is not None:
            raise DivergedError(f"{folder} cannot be gone on from: {name} holds numbers that are not finite")
    return weights, state


def _plain(file: Path) -> Path:
    """The file; BadFileError where it is missing or no plain file: a pipe would be waited for without end."""
    if not file.is_file():
        raise BadFileError(f"{file} is {'no file' if file.exists() else 'missing'}; {_REMEDY}")
    return file


def find_newest(checkpoints: Path) -> Save | None:
    """The newest save that training can resume from; None where there is no save.

    Raises ValueError where there are saves and none will do: to begin anew would write over what was trained.
    """
    damaged: list[Path] = []
    reasons: list[str] = []
    diverged = 0
    try:
        folders = step_folders(checkpoints)
    except OSError as error:
        raise ValueError(_refusal(checkpoints, "cannot be listed", reason_of(error))) from error
    for folder in reversed(folders):
        try:
            save = Save(folder, *read_save(folder), damaged)
        except (ValueError, OSError) as error:
            if _is_forbidden(error):  # nothing is wrong with it, and what came after the one before would be lost
                problem = f"holds {folder.name}, which may not be read"
                raise ValueError(_refusal(checkpoints, problem, printable(str(error)))) from error
            diverged += isinstance(error, DivergedError)
            damaged.append(folder)
            reasons.append(printable(str(error)))
            continue
        for reason in reasons:
            log.warning("%s; going on from the save before it", reason)
        return save
    if damaged and diverged == len(damaged):
        raise ValueError(
            f"no save in {checkpoints} can be gone on from, for training diverged ({reasons[0]}): give --fresh to move "
            f"the run aside and start anew, with a lower learning rate (--set optimiser.lr=...)"
        )
    if damaged:
        raise ValueError(_refusal(checkpoints, "holds saves and none can be read", reasons[0]))
    return None


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether an error is for want of rights."""
    return error is not None and (isinstance(error, PermissionError) or _is_forbidden(error.__cause__))


def _refusal(checkpoints: Path, problem: str, why: str) -> str:
    return (
        f"{checkpoints} {problem} ({why}), and to begin anew would write over the run: mend the rights, the disk or "
        f"the version of PyTorch and repeat the command, or give --fresh to move the run aside and start anew"
    )


def read_newest(checkpoints: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Weights and training state as :func:`find_newest` finds them."""
    save = find_newest(checkpoints)
    return (save.weights, save.state) if save else None


def set_aside(damaged: Sequence[Path]) -> None:
    """Rename damaged saves, so that they are neither used nor removed."""
    for folder in damaged:
        aside = folder.with_name(f"damaged-{folder.name}")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = folder.with_name(f"damaged-{folder.name}.{number}")
        try:
            folder.rename(aside)
        except OSError as error:
            raise OSError(f"cannot rename the damaged save {folder} ({reason_of(error)}): move it away") from error
        log.warning("the save that cannot be used, %s, is now %s", folder, aside)


def rotate(checkpoints: Path, *, keep_last: int, best_step: int) -> None:
    """Keep the last ``keep_last`` saves and the best; remove the rest and leftovers."""
    for folder in step_folders(checkpoints)[:-keep_last]:
        if step_of(folder) != best_step:
            _remove(folder)
    for leftover in checkpoints.iterdir():
        if _LEFTOVER.fullmatch(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a save by renaming it first, so that a kill leaves no half of it."""
    doomed = folder.with_name(f".{folder.name}.old.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    with suppress(OSError):  # what cannot be removed does not stop a run
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
