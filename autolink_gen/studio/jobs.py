"""Long work for the page: one job at a time while others wait, each with its progress, and a stop that keeps."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from autolink_gen.studio.answers import answer_of

MAX_WAITING = 16
_MAX_KEPT = 8  # jobs that are done, whose results a page may still ask for
_PATIENCE_S = 10.0  # at the end, for the job that is at work
_FORGOTTEN_S = 150.0  # browsers let a page that is not seen ask but once a minute
Work = Callable[["Job"], dict[str, Any]]


@dataclass(eq=False)
class Job:
    """One piece of long work, which walks through ``progress``: that ends early once ``is_stopped``.

    ``is_cut``: it did so, and more was to come.
    """

    result: dict[str, Any] | None = None
    is_stopped: bool = False
    is_cut: bool = False
    label: str = ""
    done: int = 0
    total: int = 0
    _begun_s: float = 0.0
    _asked_s: float = field(default_factory=time.monotonic)

    def progress(self, items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        """The items one by one, counted; none any more once the job is stopped, or its page asks no longer."""
        self.label, self.done, self.total, self._begun_s = label, 0, total, time.monotonic()
        for item in items:
            if time.monotonic() - self._asked_s > _FORGOTTEN_S:
                self.is_stopped = True
            if self.is_stopped:
                self.is_cut = True
                return
            yield item
            self.done += 1

    def state(self) -> dict[str, Any]:
        """How far it is, for a page: ``done`` of ``total`` steps of a ``label``, and the seconds left, or None."""
        self._asked_s = time.monotonic()
        passed_s = time.monotonic() - self._begun_s
        left_s = passed_s / self.done * max(0, self.total - self.done) if self.done else None
        return {"label": self.label, "done": self.done, "total": self.total, "left_s": left_s, "result": self.result}


class Jobs:
    """The jobs of all pages, done one after the other in a thread of their own until the block ends."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: OrderedDict[Job, Work] = OrderedDict()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="studio-jobs", daemon=True)

    def __enter__(self) -> "Jobs":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            for job in self._jobs.values():
                job.is_stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=_PATIENCE_S)

    def start(self, work: Work) -> str:
        """Begin a job, or let it wait; the key under which to ask for it. ValueError where too many wait.

        What ``work`` returns is the job's result; its errors become one line under "error".
        """
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise ValueError(f"{len(self._waiting)} jobs are waiting already; try again when some are done")
            key, job = secrets.token_urlsafe(16), Job()
            self._jobs[key] = job
            self._waiting[job] = work
            finished = [old for old, each in self._jobs.items() if each.result is not None]
            for old in finished[:-_MAX_KEPT]:
                del self._jobs[old]
            self._changed.notify_all()
        return key

    def state(self, key: str) -> dict[str, Any]:
        """The state of a job, and how many are ``before`` it; ValueError where there is none of that key."""
        with self._changed:
            job = self._find(key)
            before = list(self._waiting).index(job) + 1 if job in self._waiting else 0
        return {**job.state(), "before": before}

    def stop(self, key: str) -> None:
        """Let a job end soon, with what it has; ValueError where there is none of that key."""
        with self._changed:
            job = self._find(key)
            job.is_stopped = True
            if self._waiting.pop(job, None) is not None:
                job.result = {"error": "stopped before it began"}

    def _find(self, key: str) -> Job:
        if key not in self._jobs:
            raise ValueError("there is no such job any more; begin it again")
        return self._jobs[key]

    def _work(self) -> None:
        while (following := self._next()) is not None:
            job, work = following
            job.result = answer_of(partial(work, job))

    def _next(self) -> tuple[Job, Work] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._waiting)
            return None if self._is_closed else self._waiting.popitem(last=False)
