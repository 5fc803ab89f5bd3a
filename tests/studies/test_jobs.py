"""Jobs that several processes share: each done once, also where a process is killed on the way."""

import contextlib
import math
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from autolink_gen.studies.jobs import Job, Outcome, WorkStoppedError, work_through
from autolink_gen.studies.optuna_queue import Queue
from autolink_gen.studies.search import Choice, Range, Search

WORKER = """
import sys, time
from pathlib import Path
from autolink_gen.studies.jobs import Job, Outcome, work_through
folder, name = Path(sys.argv[1]), sys.argv[2]
def do(job, params):
    with (folder / "log").open("a") as log:
        log.write(f"{name} began {job.key}\\n")
    time.sleep(float(sys.argv[3]))
    with (folder / "log").open("a") as log:
        log.write(f"{name} did {job.key}\\n")
    return Outcome(float(len(job.key)), "length", 1)
shared = {"storage": f"sqlite:///{folder}/work.db", "heartbeat_s": int(sys.argv[4])}
found = work_through([Job(key) for key in ["a", "bb", "ccc", "dddd"]], do, **shared)
print(sorted((key, outcome.score) for key, outcome in found.items()))
"""
RESULTS = [("a", 1.0), ("bb", 2.0), ("ccc", 3.0), ("dddd", 4.0)]


def jobs(*keys: str) -> list[Job]:
    return [Job(key) for key in keys]


def scores(results: dict[str, Outcome]) -> dict[str, float]:
    return {key: outcome.score for key, outcome in results.items()}


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'work.db'}"


def start(folder: Path, name: str, seconds: float, *, heartbeat_s: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, str(folder), name, str(seconds), str(heartbeat_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(folder: Path) -> list[list[str]]:
    file = folder / "log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_each_job_is_done_once_and_remembered(tmp_path):
    done, heard = [], []

    def do(job, params) -> Outcome:
        done.append(job.key)
        return Outcome(float(len(job.key)), "length", 3)

    def hear(job, results) -> None:
        heard.append((job.key, sorted(results)))

    found = work_through(jobs("a", "bb"), do, storage=url(tmp_path), on_done=hear)
    assert found == {"a": Outcome(1.0, "length", 3), "bb": Outcome(2.0, "length", 3)} and done == ["a", "bb"]
    assert heard == [("a", ["a"]), ("bb", ["a", "bb"])]
    assert scores(work_through(jobs("bb", "ccc"), do, storage=url(tmp_path))) == {"bb": 2.0, "ccc": 3.0}
    assert done == ["a", "bb", "ccc"], "a job that is done is not done again"


def test_a_job_that_failed_is_done_when_the_command_is_repeated(tmp_path, capfd):
    def fails(job, params) -> Outcome:
        raise WorkStoppedError(job.key) if job.key == "bb" else ValueError(job.key)

    with pytest.raises(ValueError, match="a"):
        work_through(jobs("a", "bb"), fails, storage=url(tmp_path))
    with pytest.raises(WorkStoppedError, match="bb"):
        work_through(jobs("bb"), fails, storage=url(tmp_path))
    assert "Traceback" not in capfd.readouterr().err
    found = work_through(jobs("a", "bb"), lambda job, params: Outcome(1.0, "x", 1), storage=url(tmp_path))
    assert set(found) == {"a", "bb"}


def only_study(folder: Path) -> optuna.Study:
    (name,) = optuna.get_all_study_names(url(folder))
    return optuna.load_study(study_name=name, storage=url(folder))


def test_optuna_shows_scores_and_parameters(tmp_path):
    named = [Job(f"{rate} {drop}", {"rate": rate, "drop": drop}, {"seed": 7}) for rate in (0.1, 0.2) for drop in (0, 1)]

    def do(job, params) -> Outcome:
        return Outcome(params["rate"] + params["drop"], "error", 5)

    work_through(named, do, storage=url(tmp_path), title="grid")
    study = only_study(tmp_path)
    assert study.study_name.startswith("grid ")
    assert study.best_value == pytest.approx(0.1) and study.best_params == {"rate": 0.1, "drop": 0}
    rows = study.trials_dataframe()
    assert set(rows["state"]) == {"COMPLETE"} and rows["user_attrs_seed"].tolist() == [7] * 4
    assert rows["value"].tolist() == pytest.approx((rows["params_rate"] + rows["params_drop"]).tolist())


def test_a_run_that_diverged_is_pruned_and_not_done_again(tmp_path):
    def do(job, params) -> Outcome:
        return Outcome(math.nan, "", 0, (math.nan, 2.0))

    first = work_through(jobs("a"), do, storage=url(tmp_path))["a"]
    assert math.isnan(first.score) and math.isnan(first.scores[0]) and first.scores[1] == 2.0
    assert [trial.state for trial in only_study(tmp_path).trials] == [TrialState.PRUNED]
    assert math.isnan(work_through(jobs("a"), never, storage=url(tmp_path))["a"].score)


def never(job, params) -> Outcome:
    raise AssertionError(f"{job.key} is done already")


def test_what_an_earlier_version_did_is_taken_over(tmp_path):
    """It had Optuna's value 0.0 for each job, and the score beside it."""
    old = optuna.create_study(study_name="work", storage=url(tmp_path))
    for key, score in (("a", 3.5), ("other", 1.0)):
        noted = {"job": key, "values": {"NME": score, "steps": 9}}
        old.add_trial(optuna.create_trial(state=TrialState.COMPLETE, value=0.0, user_attrs=noted))
    old.add_trial(optuna.create_trial(state=TrialState.PRUNED, user_attrs={"job": "bb"}))
    done = []

    def do(job, params) -> Outcome:
        done.append(job.key)
        return Outcome(5.0, "NME", 9)

    named = [Job("a", {"row": "x"}), Job("bb", {"row": "y"})]
    found = work_through(named, do, storage=url(tmp_path), title="table")
    assert scores(found) == {"a": 3.5, "bb": 5.0} and done == ["bb"] and found["a"].steps == 9
    (name,) = [name for name in optuna.get_all_study_names(url(tmp_path)) if name != "work"]
    assert optuna.load_study(study_name=name, storage=url(tmp_path)).best_params == {"row": "x"}


def test_values_may_be_added_to_a_grid(tmp_path):
    done = []

    def do(job, params) -> Outcome:
        done.append(params["rate"])
        return Outcome(params["rate"], "error", 1)

    work_through([Job(f"{rate}", {"rate": rate}) for rate in (1, 2)], do, storage=url(tmp_path))
    found = work_through([Job(f"{rate}", {"rate": rate}) for rate in (0, 1, 2)], do, storage=url(tmp_path))
    assert done == [1, 2, 0] and scores(found) == {"0": 0.0, "1": 1.0, "2": 2.0}


SEARCH = Search({"rate": Range(1e-5, 1e-2), "count": Range(2, 9), "kind": Choice(("x", "y"))}, seed=3)


def search_in(folder: Path, number: int, *, stop_after: int | None = None) -> list[dict]:
    """The parameters of as many trials; stopped within one, and gone on with."""
    seen: list[str] = []

    def do(job, params) -> Outcome:
        seen.append(job.key)
        if len(seen) == stop_after:
            raise WorkStoppedError("SIGTERM")
        return Outcome(abs(params["count"] - 5) + params["rate"], "error", 1)

    named = jobs(*(f"trial-{index}" for index in range(number)))
    with contextlib.suppress(WorkStoppedError):
        work_through(named, do, storage=url(folder), search=SEARCH)
    found = work_through(named, do, storage=url(folder), search=SEARCH)
    return [dict(found[job.key].params) for job in named]


def test_a_search_is_a_function_of_its_seed_wherever_it_was_stopped(tmp_path, monkeypatch):
    few = {"n_startup_trials": 3, "multivariate": False, "constant_liar": True}
    monkeypatch.setattr("autolink_gen.studies.optuna_space.tpe", lambda seed: TPESampler(seed=seed, **few))
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
    whole = search_in(folders[0], 6)
    assert search_in(folders[1], 6, stop_after=5) == whole
    assert len({params["rate"] for params in whole}) == 6
    assert all(1e-5 <= params["rate"] <= 1e-2 and params["count"] in range(2, 10) for params in whole)
    assert {params["kind"] for params in whole} == {"x", "y"}


def test_two_processes_share_the_jobs(tmp_path):
    # A process that is silent for three heartbeats counts as dead: on a busy machine three seconds are soon over.
    workers = [start(tmp_path, name, 1.0, heartbeat_s=30) for name in ("one", "two")]
    printed = [worker.communicate(timeout=120) for worker in workers]
    assert [out.strip() for out, _ in printed] == [str(RESULTS)] * 2, printed
    did = [(name, job) for name, verb, job in lines(tmp_path) if verb == "did"]
    assert sorted(job for _, job in did) == ["a", "bb", "ccc", "dddd"], "each once"
    assert {name for name, _ in did} == {"one", "two"}, "neither did all"


def test_a_job_is_not_taken_by_two_that_look_at_once(tmp_path, monkeypatch):
    """Each waits, between seeing that a job is free and taking it, until the other has seen it too."""
    Queue(jobs("a"), never, None, storage=url(tmp_path), title="work", heartbeat_s=30).enqueue(jobs("a"))
    both_saw_it, check, done = threading.Barrier(2), RDBStorage.check_trial_is_updatable, []

    def check_and_wait(self, trial_id, state) -> None:
        check(self, trial_id, state)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_saw_it.wait(timeout=1.0)

    def do(job, params) -> Outcome:
        done.append(job.key)
        return Outcome(1.0, "length", 1)

    monkeypatch.setattr(RDBStorage, "check_trial_is_updatable", check_and_wait)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: work_through(jobs("a"), do, storage=url(tmp_path), heartbeat_s=30), range(2)))
    assert done == ["a"] and [scores(found) for found in results] == [{"a": 1.0}] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed as POSIX has it")
def test_the_job_of_a_killed_process_is_done_by_another(tmp_path):
    killed = start(tmp_path, "killed", 60.0, heartbeat_s=1)
    while not lines(tmp_path):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (_, _, job), *_ = lines(tmp_path)
    other = start(tmp_path, "other", 0.0, heartbeat_s=1)
    out, errors = other.communicate(timeout=120)
    assert out.strip() == str(RESULTS), errors
    did = [job for name, verb, job in lines(tmp_path) if verb == "did"]
    assert sorted(did) == ["a", "bb", "ccc", "dddd"] and job in did


def test_the_job_of_a_process_that_was_killed_before_its_first_sign_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr("autolink_gen.studies.optuna_storage._MISSED", 1)
    queue = Queue(jobs("a"), never, None, storage=url(tmp_path), title="work", heartbeat_s=1)
    queue.study.add_trial(optuna.create_trial(state=TrialState.RUNNING, user_attrs={"job": "a"}))
    found = work_through(jobs("a"), lambda job, params: Outcome(1.0, "x", 1), storage=url(tmp_path), heartbeat_s=1)
    assert scores(found) == {"a": 1.0}


@pytest.mark.parametrize("storage", ["no url", "nonsense://there"])
def test_a_storage_that_cannot_be_opened_is_named(storage):
    with pytest.raises(ValueError, match=f"cannot open the storage {storage}"):
        work_through(jobs("a"), never, storage=storage)
