"""Jobs shared by any number of processes; each is done once, whichever process is killed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autolink_gen.common.extras import needs
from autolink_gen.studies.search import Search, Value


class WorkStoppedError(Exception):
    """Raised by a job that was told to stop: the job is free for others at once."""


@dataclass(frozen=True)
class Job:
    """A piece of work, with its unique key and the parameters that Optuna shows.

    ``notes`` are shown beside the parameters and are no part of the space that is searched.
    """

    key: str
    params: Mapping[str, Value] = field(default_factory=dict)
    notes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A job's result: a score, lower is better, NaN where training diverged; its metric; the steps trained.

    ``scores`` are those of each seed where the score is their mean; ``params`` those that the job was done with.
    """

    score: float
    metric: str
    steps: int
    scores: tuple[float, ...] = ()
    params: Mapping[str, Value] = field(default_factory=dict)


Results = dict[str, Outcome]
"""Outcomes by the keys of their jobs."""
Do = Callable[[Job, Mapping[str, Value]], Outcome]
"""Does a job with its parameters."""


def work_through(
    jobs: Sequence[Job],
    do: Do,
    *,
    storage: str,
    title: str = "work",
    search: Search | None = None,
    heartbeat_s: int = 20,
    on_done: Callable[[Job, Results], object] = lambda job, results: None,
) -> Results:
    """Do the jobs that nobody has done yet; return the outcomes of all of them when none is left.

    Every process that is started with the same ``storage``, a database's URL that Optuna understands, takes the next
    job in turn. A process sends a sign of life every ``heartbeat_s`` seconds; the job of one that was killed is done by
    another, or by this command when it is repeated. ``do`` is given a job and its parameters: the job's own, and those
    that ``search`` draws for it. ``on_done`` hears of each job that this process has done, with the results so far.
    What ``do`` raises ends this process; its job is left to others. ``title`` names Optuna's study. Jobs that another
    study of the storage has done, one of an earlier version too, are taken over. Raises ValueError where Optuna is not
    installed or the storage cannot be opened.
    """
    with needs("ablate", "training many runs"):
        from autolink_gen.studies.optuna_queue import Queue
    queue = Queue(jobs, do, search, storage=storage, title=title, heartbeat_s=heartbeat_s)
    return queue.work_through(on_done)
