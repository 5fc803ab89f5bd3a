"""Signals during training: to stop in order, or to save and go on."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOP = ("SIGINT", "SIGTERM", "SIGHUP")
_SAVE = "SIGUSR1"
_ONE_CAUSE_S = 2.0  # a closing terminal, or a hand that cannot wait, sends several at a time


class Signals:
    """The requests of signals: ``stop``, the name of the signal to end, and ``save``, to save and go on.

    A second signal to stop, seconds later, stops immediately.
    """

    def __init__(self) -> None:
        self.stop: str | None = None
        self.save = False
        self._asked_at = 0.0
        self._previous: dict[int, Callable[..., Any] | int | None] = {}

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Handle signals within the block; in another thread than the main one, nothing is changed."""
        previous = self._previous = {}
        try:
            for name in (*_STOP, _SAVE):
                if (number := getattr(signal, name, None)) is not None and not _is_left_out(number):  # not on Windows
                    previous[number] = signal.signal(number, self._note_save if name == _SAVE else self._note_stop)
        except ValueError:  # not the main thread
            pass
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note_stop(self, number: int, frame: FrameType | None) -> None:
        if not self.stop:
            self.stop, self._asked_at = signal.Signals(number).name, time.monotonic()
            return
        if time.monotonic() - self._asked_at < _ONE_CAUSE_S:
            return
        before = self._previous.get(number)
        if callable(before):  # the command's own, which knows the name of the signal
            before(number, frame)
        raise KeyboardInterrupt

    def _note_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True


def _is_left_out(number: int) -> bool:
    """Whether a hang-up is to be survived, as under nohup."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN
