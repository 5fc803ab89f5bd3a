"""Processes that read images for training, and their failures."""

import copy
import errno
import multiprocessing
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import RawValue
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from autolink_gen.common.files import reason_of

_LOST = "DataLoader worker (pid"  # how torch begins when it finds that a worker has ended
# What torch says, as a rule in the last line of a worker's traceback, when it can hand over no more images.
_NO_SHARED_MEMORY = re.compile(
    r"unable to allocate shared memory|shared memory.*No space left on device|out of shared memory|Bus error"
)
_NO_FILES = re.compile(r"Too many open files|received \d+ items of ancdata")


class LostWorkerError(OSError):
    """A process that reads images was killed; the message says which."""


class ShortageError(LostWorkerError):
    """Shared memory or open files are exhausted; the message says which, `remedy` what to do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Failure(NamedTuple):
    """An error passed from another process: its message alone, or the system's with a file."""

    message: str
    number: int | None = None
    file: str | None = None

    @classmethod
    def of(cls, error: ValueError | OSError) -> "Failure":
        """The parts of an error that are needed to raise it elsewhere."""
        if isinstance(error, OSError) and error.errno is not None and error.strerror:
            return cls(error.strerror, error.errno, None if error.filename is None else str(error.filename))
        return cls(str(error))

    def error(self) -> ValueError | OSError:
        """The error, to be raised."""
        if self.number is None:
            return ValueError(self.message)
        return OSError(self.number, self.message, *([] if self.file is None else [self.file]))


class Failing(Dataset[Any]):
    """A data set that returns failures for unreadable items: an error would arrive wrapped in a traceback."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        """An item, or its failure."""
        try:
            return self.dataset[index]
        except (ValueError, OSError) as error:
            return Failure.of(error)


def collate(items: list[Any]) -> Any:
    """A batch, the first failure among its items, or the empty list where there are none."""
    failure = next((item for item in items if isinstance(item, Failure)), None)
    if failure is not None:
        return failure
    return default_collate(items) if items else items


def lost_worker(
    error: LostWorkerError, step: int, *, last_save: str, signalled: str | None, workers: int
) -> LostWorkerError:
    """The error for a killed reader of images; ``signalled``: the signal that reached all processes, if any."""
    if isinstance(error, ShortageError) and not signalled:
        return LostWorkerError(f"{error} at step {step}; {last_save}: repeat the command to go on, {error.remedy}")
    event = f"a process that reads images was killed at step {step}"
    if signalled:  # which reached that process too
        return LostWorkerError(f"{event}, by {signalled}; {last_save}: repeat the command to go on")
    less = f"with less memory by fewer such processes, --set data.workers={workers // 2}"
    why = f"for want of memory as a rule ({error})"
    return LostWorkerError(f"{event}, {why}; {last_save}: repeat the command to go on, {less}")


def lost_images(error: ValueError | OSError, step: int, *, last_save: str) -> ValueError | OSError:
    """The error for images that cannot be read in the middle of a run."""
    kind = OSError if isinstance(error, OSError) else ValueError
    why = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        why = f"{error.filename}: {reason_of(error)}"
    return kind(
        f"{why}; training stopped at step {step}, {last_save}: when the images can be read, repeat the command to go on"
    )


def ignore_interrupts(worker: int) -> None:
    """Let a process that reads images leave signals that reach it too to the main one, which ends in order."""
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):  # Ctrl-C, a terminal that is closed, a save that is asked for
        if (number := getattr(signal, name, None)) is not None:  # not on Windows
            signal.signal(number, signal.SIG_IGN)


class Flag:
    """A flag shared by processes, without a lock that a killed process could leave held."""

    def __init__(self) -> None:
        self._raised = RawValue("b", 0)

    def set(self) -> None:
        """Raise the flag, for good."""
        self._raised.value = 1

    def is_set(self) -> bool:
        """Whether any process has raised it."""
        return bool(self._raised.value)


def worker_context() -> BaseContext:
    """The multiprocessing context of a loader, whose end event has no lock.

    They ask an event before each batch whether to end. The event of the standard library has a lock; the system kills
    a process at any moment, and one killed with that lock would have the main process wait for ever.
    """
    context = copy.copy(multiprocessing.get_context())
    context.Event = Flag  # type: ignore[assignment,method-assign]
    return context


def worker_batches(loader: DataLoader[Any]) -> Iterator[Tensor]:
    """The batches of a loader whose items are ``Failing``'s; raises LostWorkerError where a process was killed.

    That is a ShortageError where the shared memory or the files that the system allows are used up.
    """
    try:
        with _unheard_children():
            batches = iter(loader)
    except OSError as error:
        raise _shortage(error) or error from None
    while True:
        try:
            batch = next(batches)
        except RuntimeError as error:
            lost = _shortage(error)
            if lost is None and not str(error).startswith(_LOST):
                raise
            raise lost or LostWorkerError(reason_of(error)) from error
        except (OSError, EOFError) as error:  # what it had read was still to be handed over
            raise _shortage(error) or LostWorkerError(reason_of(error)) from error
        if isinstance(batch, Failure):
            raise batch.error()
        yield batch


def _shortage(error: BaseException) -> ShortageError | None:
    """The exhausted resource behind a loader's error; None where it is another error."""
    message, number = str(error), getattr(error, "errno", None)
    fewer = "with fewer processes that read images, --set data.workers=0 for none"
    if number == errno.ENOSPC or _NO_SHARED_MEMORY.search(message):
        remedy = f"{fewer}, or with more of it: in a container, `docker run --shm-size=1g`"
        return ShortageError("the shared memory (/dev/shm), by which images are handed over, is full", remedy=remedy)
    if number == errno.EMFILE or _NO_FILES.search(message):
        remedy = f"{fewer}, or with more files allowed: `ulimit -n 65536`"
        return ShortageError("more files are open than a process may have (Too many open files)", remedy=remedy)
    return None


@contextmanager
def _unheard_children() -> Iterator[None]:
    """Keep torch's handler of killed workers out: it would raise in the middle of other work.

    Asked for the next batch, it sees by itself that a worker is missing.
    """
    is_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    before = signal.getsignal(signal.SIGCHLD) if is_main else None
    if getattr(before, "__module__", "").startswith("torch."):  # of another loader in this process
        before = signal.SIG_DFL
    yield
    if before is not None:
        signal.signal(signal.SIGCHLD, before)
