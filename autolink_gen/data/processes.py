"""Work spread over processes that end with this one, however it ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread_work(work: Callable[[Item], Result], items: Sequence[Item], *, processes: int) -> Iterator[Result]:
    """The results of `work` on each item, in order, by `processes` processes; with 1, by this one.

    An error or a signal here ends them at once, in the middle of an item, and so does it when this process is killed.
    Raises OSError where one of them is killed.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    context = get_context("spawn")  # not forked: this process may have threads of torch or of FFmpeg
    ours, theirs = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        min(processes, len(items)), mp_context=context, initializer=_end_with_parent, initargs=(ours,)
    )
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool as error:
        raise OSError(
            f"one of {processes} processes was killed, for want of memory as a rule; repeat the command to go on, with "
            f"--processes {max(1, processes // 2)}"
        ) from error
    except BaseException:
        theirs.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        theirs.close()
        ours.close()


def _end_with_parent(parent: Connection) -> None:
    """Begin to watch the pipe whose other end the parent holds, and closes, or the system does, when all is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the parent decides
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: Connection) -> None:
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)
