"""Jobs as trials of an Optuna study; a trial's value is the job's score."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optuna import Study, TrialPruned
from optuna.study import get_all_study_names, load_study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from autolink_gen.studies.jobs import Do, Job, Outcome, Results
from autolink_gen.studies.optuna_space import space_mark, spaces_of, suggest
from autolink_gen.studies.optuna_storage import open_study, revive
from autolink_gen.studies.search import Search, Value

_JOB, _METRIC, _STEPS, _SCORES = "job", "metric", "steps", "scores"
_OLD_VALUES = "values"  # earlier versions kept the score there, and gave Optuna 0.0
_POLL_S = 2.0


class _TakenError(Exception):
    """Raised for a job that another process does, or has done."""


class Queue:
    """The jobs of this process in a study that others may work on as well."""

    def __init__(
        self, jobs: Sequence[Job], do: Do, search: Search | None, *, storage: str, title: str, heartbeat_s: int
    ) -> None:
        self.jobs = {job.key: job for job in jobs}
        self.do, self.search, self.heartbeat_s = do, search, heartbeat_s
        self._numbers = {key: number for number, key in enumerate(self.jobs)}
        self._spaces = spaces_of([job.params for job in jobs])
        title = f"{title} {space_mark(self._spaces, search)}"
        self.study = open_study(storage, title, heartbeat_s=heartbeat_s)
        self._met_foreign = False

    def work_through(self, on_done: Callable[[Job, Results], object]) -> Results:
        """Do the remaining jobs, wait for those of others, and return all outcomes."""
        self._take_over()
        while missing := [job for job in self.jobs.values() if job.key not in (results := self.results())]:
            self.enqueue(missing)
            done = self._do_next() if self._is_waiting() else None
            if done is not None:
                on_done(done, self.results())
            elif self._met_foreign or not self._is_waiting():
                time.sleep(min(_POLL_S, self.heartbeat_s))
                revive(self.study, heartbeat_s=self.heartbeat_s)
        return {key: results[key] for key in self.jobs}

    def results(self) -> Results:
        """The outcomes of finished jobs, each as it was first done."""
        trials = self.study.get_trials(deepcopy=False)
        outcomes = ((trial.user_attrs.get(_JOB), _outcome(trial)) for trial in reversed(trials))
        return {key: outcome for key, outcome in outcomes if key is not None and outcome is not None}

    def enqueue(self, jobs: Iterable[Job]) -> None:
        """Put jobs in the queue that are neither in it nor being done: all at first, later those that failed.

        Points of a grid too: Optuna's GridSampler may give one to two processes. Of a search the next alone, so that
        one that was stopped comes before those that learn from it.
        """
        trials = self.study.get_trials(deepcopy=False)
        queued = {trial.user_attrs.get(_JOB) for trial in trials if _is_kept(trial)}
        new = [job for job in jobs if job.key not in queued]
        for job in new[:1] if self.search is not None else new:
            fields = self._trial_fields(job)
            if (begun := self._begun(job, trials)) is not None:  # its run's folder has these settings
                fields |= {"params": begun.params, "distributions": begun.distributions}
            self.study.add_trial(create_trial(state=TrialState.WAITING, **fields))

    def _begun(self, job: Job, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
        """The trial that a job was begun in, whose parameters are drawn; None for a job of a grid."""
        axes = self.search.axes.keys() if self.search is not None else ()
        begun = (trial for trial in trials if axes and trial.user_attrs.get(_JOB) == job.key)
        return next((trial for trial in begun if trial.params.keys() == axes), None)

    def _trial_fields(self, job: Job) -> dict[str, Any]:
        spaces = {name: self._spaces[name] for name in job.params}
        return {"params": dict(job.params), "distributions": spaces, "user_attrs": {**job.notes, _JOB: job.key}}

    def _take_over(self) -> None:
        """Copy what other studies of the storage know of these jobs."""
        missing = self.jobs.keys() - self.results().keys()
        for trial in _trials_of_others(self.study) if missing else ():
            key, outcome = trial.user_attrs.get(_JOB), _outcome(trial)
            if key not in missing or outcome is None:
                continue
            missing.remove(key)
            self.study.add_trial(self._copy_of(self.jobs[key], trial, outcome))

    def _copy_of(self, job: Job, trial: FrozenTrial, outcome: Outcome) -> FrozenTrial:
        fields = self._trial_fields(job)
        if self.search is not None:
            fields |= {"params": dict(trial.params), "distributions": dict(trial.distributions)}
        fields["user_attrs"] |= _attributes(outcome)
        if math.isfinite(outcome.score):
            return create_trial(state=TrialState.COMPLETE, value=outcome.score, **fields)
        return create_trial(state=TrialState.PRUNED, **fields)

    def _do_next(self) -> Job | None:
        """Do the next job of the queue; None where it was another's."""
        finished: list[Job] = []
        self._met_foreign = False

        def objective(trial: Trial) -> float:
            job = self._claim(trial)
            outcome = self.do(job, self._params(trial, job))
            for name, value in _attributes(outcome).items():
                trial.set_user_attr(name, value)
            finished.append(job)
            if not math.isfinite(outcome.score):
                raise TrialPruned("training diverged")
            return outcome.score

        self.study.optimize(objective, n_trials=1, catch=(_TakenError,))
        return finished[0] if finished else None

    def _claim(self, trial: Trial) -> Job:
        """The job of a trial; _TakenError where it is not this process's to do.

        Two processes that begin at once may both have put a job in the queue, or found the queue empty in between.
        """
        key = trial.user_attrs.get(_JOB)
        self._met_foreign = key not in self.jobs  # of a command for more jobs, which puts it there again
        others = self.study.get_trials(deepcopy=False)
        if self._met_foreign or any(_goes_first(other, key, trial.number) for other in others):
            raise _TakenError(key)
        return self.jobs[str(key)]

    def _params(self, trial: Trial, job: Job) -> dict[str, Value]:
        if self.search is None:
            return dict(job.params)
        return suggest(self.study, trial, self.search, number=self._numbers[job.key])

    def _is_waiting(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def _trials_of_others(study: Study) -> Iterable[FrozenTrial]:
    storage = study._storage
    for name in get_all_study_names(storage):
        if name != study.study_name:
            yield from load_study(study_name=name, storage=storage).get_trials(deepcopy=False)


def _attributes(outcome: Outcome) -> dict[str, Any]:
    scores = [score if math.isfinite(score) else str(score) for score in outcome.scores]  # JSON has no NaN
    return {_METRIC: outcome.metric, _STEPS: outcome.steps, _SCORES: scores}


def _outcome(trial: FrozenTrial) -> Outcome | None:
    """A trial's outcome; None where it is not done."""
    noted = trial.user_attrs
    if trial.state == TrialState.COMPLETE and _OLD_VALUES in noted:
        (metric, score), *_ = noted[_OLD_VALUES].items()
        return Outcome(float(score), metric, int(noted[_OLD_VALUES]["steps"]))
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED) or _METRIC not in noted:
        return None
    score = math.nan if trial.value is None else trial.value
    scores = tuple(float(score_text) for score_text in noted[_SCORES])
    return Outcome(score, noted[_METRIC], noted[_STEPS], scores, dict(trial.params))


def _is_kept(trial: FrozenTrial) -> bool:
    """Whether a trial waits, runs or is done: the jobs of others are to be done again."""
    return trial.state in (TrialState.WAITING, TrialState.RUNNING) or _outcome(trial) is not None


def _goes_first(other: FrozenTrial, key: object, number: int) -> bool:
    """Whether another trial has done the job, or is doing it and came first."""
    if other.user_attrs.get(_JOB) != key or other.number == number:
        return False
    return _outcome(other) is not None or (other.state == TrialState.RUNNING and other.number < number)
