"""Signals while a run trains: to stop in order, or to save and go on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP = ("SIGINT", "SIGTERM", "SIGHUP")
_SAVE = "SIGUSR1"


class Signals:
    """What signals have asked for: ``stop``, the name of the one that asks to end, and ``save``, to save and go on.

    Asked twice to end, it does not insist on a tidy end.
    """

    def __init__(self) -> None:
        self.stop: str | None = None
        self.save = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear signals meanwhile; in a thread, whoever runs the main one does."""
        previous = {}
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
        if self.stop:
            raise KeyboardInterrupt
        self.stop = signal.Signals(number).name

    def _note_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True


def _is_left_out(number: int) -> bool:
    """Whether a hang-up is to be survived, as under nohup."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN
