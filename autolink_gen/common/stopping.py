"""Signals that end a command cleanly: complete files stay, unfinished ones are removed."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = (
    "SIGTERM",
    "SIGHUP",
)  # of schedulers and services; of a terminal that closes: Windows lacks it
_ONE_CAUSE_S = 2.0  # a closing terminal sends several at a time


class StoppedError(KeyboardInterrupt):
    """A signal to stop, as a KeyboardInterrupt: ``finally`` runs, ``except Exception`` does not.

    ``number`` is the signal's; ``text`` says what was stopped.
    """

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text or signal.Signals(number).name)
        self.number = number


def signal_of(stopped: KeyboardInterrupt) -> signal.Signals:
    """The signal behind an interruption: SIGINT unless it is a StoppedError."""
    return signal.Signals(stopped.number if isinstance(stopped, StoppedError) else signal.SIGINT)


@contextmanager
def stopping() -> Iterator[None]:
    """Raise StoppedError at SIGTERM and SIGHUP in the block.

    A signal that is ignored, as by nohup, stays ignored. Code that handles signals itself, such as the training loops,
    sets its own handlers in the block and restores these. A process forked in the block dies of the signal as usual.
    Does nothing outside of the main thread.
    """
    process, last = os.getpid(), [-_ONE_CAUSE_S]

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        if now - last[0] >= _ONE_CAUSE_S:  # else it would cut short what tidies up after the first
            last[0] = now
            raise StoppedError(number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    try:
        previous = {
            number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) is not signal.SIG_IGN
        }
    except ValueError:  # not the main thread
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
