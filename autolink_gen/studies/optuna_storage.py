"""Optuna's studies in a database that several processes open at once."""

import time
import warnings
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.storages._rdb.models import TrialHeartbeatModel
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import Engine, event, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from autolink_gen.data.identity import public_address

_ATTEMPTS = 5  # to open a database
_PATIENT: dict[str, Any] = {"connect_args": {"timeout": 60.0}}  # seconds that SQLite waits for its lock
_MISSED = 3  # heartbeats after which a process counts as dead


def open_study(storage: str, title: str, *, heartbeat_s: int) -> Study:
    """Open or make the study ``title``; ValueError where the storage cannot be opened."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns of a job that was told to stop with a traceback
    for attempt in range(_ATTEMPTS):
        try:
            return _study(storage, title, heartbeat_s)
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


def _study(storage: str, title: str, heartbeat_s: int) -> Study:
    on_sqlite = storage.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are marked as experimental, for years now
        database = RDBStorage(
            storage,
            engine_kwargs=_PATIENT if on_sqlite else None,
            heartbeat_interval=heartbeat_s,
            grace_period=_MISSED * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )
        if on_sqlite:
            _lock_before_reading(database.engine)
        return optuna.create_study(study_name=title, storage=database, sampler=tpe(0), load_if_exists=True)


def tpe(seed: int) -> TPESampler:
    """Optuna's sampler, which draws each parameter when it is asked for it and keeps off what others try."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that were experimental once
        return TPESampler(seed=seed, multivariate=False, constant_liar=True)


def _lock_before_reading(engine: Engine) -> None:
    """Let every transaction take SQLite's lock at its start.

    Optuna takes a job by reading that nobody has it, then writing. Without the lock two processes may read before
    either writes, and both do the job.
    """

    def leave_begin_to_us(connection: DBAPIConnection, record: object) -> None:
        connection.isolation_level = None

    event.listen(engine, "connect", leave_begin_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()  # connections that are open do not know of it


def revive(study: Study, *, heartbeat_s: int) -> None:
    """Put the jobs of dead processes back in the queue."""
    _mark_silent(study, datetime.now() - timedelta(seconds=_MISSED * heartbeat_s))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fail_stale_trials(study)


def _mark_silent(study: Study, begun_before: datetime) -> None:
    """Give trials that began earlier a sign of life if they gave none.

    A process that is killed before its first one leaves a trial that Optuna would take for a living one's for ever.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    late = [trial._trial_id for trial in running if trial.datetime_start and trial.datetime_start < begun_before]
    storage = getattr(study._storage, "_backend", study._storage)  # behind a cache
    if not late or not isinstance(storage, RDBStorage):
        return
    with storage.engine.begin() as connection:
        alive = set(connection.execute(select(TrialHeartbeatModel.trial_id)).scalars())
    for trial_id in late:
        if trial_id not in alive:
            storage.record_heartbeat(trial_id)
