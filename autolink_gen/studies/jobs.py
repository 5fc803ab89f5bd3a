"""A list of jobs that any number of processes share: each job is done once, whoever is killed on the way."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from autolink_gen.data.identity import public_address

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial
    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

_JOB, _VALUES = "job", "values"
_POLL_S = 2.0
_ATTEMPTS = 5  # to open a database
_PATIENT = {"connect_args": {"timeout": 60.0}}  # seconds that SQLite waits for its lock
_MISSED = 3  # heartbeats after which a process counts as dead
Values = dict[str, float]


class WorkStoppedError(Exception):
    """Raised by a job that was told to stop: the job is free for others at once."""


def work_through(
    jobs: Sequence[str],
    do: Callable[[str], Values],
    *,
    storage: str,
    heartbeat_s: int = 20,
    on_done: Callable[[str, Mapping[str, Values]], object] = lambda job, results: None,
) -> dict[str, Values]:
    """Do the jobs that nobody has done yet and return what all of them gave, when none is left.

    Every process that is started with the same ``storage``, a database's URL that Optuna understands, takes the next
    job in turn. A process sends a sign of life every ``heartbeat_s`` seconds; the job of one that was killed is done by
    another, or by this command when it is repeated. ``on_done`` hears of each job that this process has done, with the
    results so far. What ``do`` raises ends this process; its job is left to others. Raises ValueError where Optuna
    is not installed or the storage cannot be opened.
    """
    study = _open(storage, heartbeat_s)
    finished: list[str] = []

    def do_and_note(job: str) -> Values:
        values = do(job)
        finished.append(job)
        return values

    while missing := [job for job in jobs if job not in (results := _results(study))]:
        _enqueue(study, missing)
        if _waiting(study):
            study.optimize(_objective(study, do_and_note), n_trials=1)
            if finished:
                on_done(finished.pop(), _results(study))
        else:
            time.sleep(min(_POLL_S, heartbeat_s))
            _revive(study)
    return {job: results[job] for job in jobs}


def _open(storage: str, heartbeat_s: int) -> "Study":
    try:
        import optuna
        from sqlalchemy.exc import DatabaseError, SQLAlchemyError
    except ImportError as error:
        raise ValueError(
            f"sharing work needs Optuna ({error}); install it: pip install 'autolink-gen[ablate]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns of a job that was told to stop with a traceback
    for attempt in range(_ATTEMPTS):
        try:
            return _study(storage, heartbeat_s)
        except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError) as error:
            # Two processes that make the tables of a new database at once get in each other's way.
            if not isinstance(error, DatabaseError) or attempt == _ATTEMPTS - 1:
                public = public_address(storage)  # without its password
                reason = str(error).splitlines()[0].replace(storage, public)
                raise ValueError(
                    f"cannot open the storage {public}: {reason}; give a database's URL, as sqlite:///work.db"
                ) from error
            time.sleep(1.0)
    raise AssertionError("the last attempt returns or raises")


def _study(storage: str, heartbeat_s: int) -> "Study":
    import optuna
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    on_sqlite = storage.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are marked as experimental, for years now
        kept = RDBStorage(
            storage,
            engine_kwargs=_PATIENT if on_sqlite else None,
            heartbeat_interval=heartbeat_s,
            grace_period=_MISSED * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )
        if on_sqlite:
            _lock_before_reading(kept.engine)
        return optuna.create_study(study_name="work", storage=kept, load_if_exists=True)


def _lock_before_reading(engine: "Engine") -> None:
    """Let every transaction take SQLite's lock at its start.

    Optuna takes a job by reading that nobody has it, then writing. Without the lock two processes may read before
    either writes, and both do the job.
    """
    from sqlalchemy import event

    def leave_begin_to_us(connection: "DBAPIConnection", record: object) -> None:
        connection.isolation_level = None

    event.listen(engine, "connect", leave_begin_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()  # connections that are open do not know of it


def _results(study: "Study") -> dict[str, Values]:
    """What the jobs that are done gave, each counted once."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return {trial.user_attrs[_JOB]: trial.user_attrs[_VALUES] for trial in reversed(done)}


def _waiting(study: "Study") -> bool:
    from optuna.trial import TrialState

    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def _enqueue(study: "Study", jobs: Sequence[str]) -> None:
    """Put jobs in the queue that are neither in it nor being done: all at first, later those that failed."""
    from optuna.trial import TrialState, create_trial

    known = study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE))
    there = {trial.user_attrs.get(_JOB) for trial in known}
    for job in jobs:
        if job not in there:
            study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={_JOB: job}))


def _revive(study: "Study") -> None:
    """Put the jobs of dead processes back in the queue."""
    from optuna.storages import fail_stale_trials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fail_stale_trials(study)


def _objective(study: "Study", do: Callable[[str], Values]) -> "Callable[[Trial], float]":
    import optuna

    def objective(trial: "Trial") -> float:
        job = trial.user_attrs.get(_JOB)
        # Two processes that begin at once may both have put a job in the queue, or found the queue empty in between.
        if job is None or any(_goes_first(other, job, trial.number) for other in study.get_trials(deepcopy=False)):
            raise optuna.TrialPruned
        trial.set_user_attr(_VALUES, do(job))
        return 0.0

    return objective


def _goes_first(other: "FrozenTrial", job: str, number: int) -> bool:
    """Whether another trial has done the job, or is doing it and came first."""
    from optuna.trial import TrialState

    if other.user_attrs.get(_JOB) != job or other.number == number:
        return False
    return other.state == TrialState.COMPLETE or (other.state == TrialState.RUNNING and other.number < number)
