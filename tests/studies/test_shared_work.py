"""Jobs that several processes share: each done once, also where a process is killed on the way."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from autolink_gen.studies import jobs as shared_work
from autolink_gen.studies.jobs import WorkStoppedError, work_through

WORKER = """
import sys, time
from pathlib import Path
from autolink_gen.studies.jobs import work_through
folder, name = Path(sys.argv[1]), sys.argv[2]
def do(job):
    with (folder / "log").open("a") as log:
        log.write(f"{name} began {job}\\n")
    time.sleep(float(sys.argv[3]))
    with (folder / "log").open("a") as log:
        log.write(f"{name} did {job}\\n")
    return {"length": float(len(job))}
shared = {"storage": f"sqlite:///{folder}/work.db", "heartbeat_s": int(sys.argv[4])}
found = work_through(["a", "bb", "ccc", "dddd"], do, **shared)
print(sorted(found.items()))
"""
RESULTS = [("a", {"length": 1.0}), ("bb", {"length": 2.0}), ("ccc", {"length": 3.0}), ("dddd", {"length": 4.0})]


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

    def do(job: str) -> dict[str, float]:
        done.append(job)
        return {"length": float(len(job))}

    def hear(job, results) -> None:
        heard.append((job, sorted(results)))

    found = work_through(["a", "bb"], do, storage=url(tmp_path), on_done=hear)
    assert found == dict(RESULTS[:2]) and done == ["a", "bb"]
    assert heard == [("a", ["a"]), ("bb", ["a", "bb"])]
    assert work_through(["bb", "ccc"], do, storage=url(tmp_path)) == dict(RESULTS[1:3])
    assert done == ["a", "bb", "ccc"], "a job that is done is not done again"


def test_a_job_that_failed_is_done_when_the_command_is_repeated(tmp_path, capfd):
    def fails(job: str) -> dict[str, float]:
        raise WorkStoppedError(job) if job == "bb" else ValueError(job)

    with pytest.raises(ValueError, match="a"):
        work_through(["a", "bb"], fails, storage=url(tmp_path))
    with pytest.raises(WorkStoppedError, match="bb"):
        work_through(["bb"], fails, storage=url(tmp_path))
    assert "Traceback" not in capfd.readouterr().err
    assert set(work_through(["a", "bb"], lambda job: {"x": 1.0}, storage=url(tmp_path))) == {"a", "bb"}


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
    shared_work._enqueue(shared_work._open(url(tmp_path), 30), ["a"])
    both_saw_it, check, done = threading.Barrier(2), RDBStorage.check_trial_is_updatable, []

    def check_and_wait(self, trial_id, state) -> None:
        check(self, trial_id, state)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_saw_it.wait(timeout=1.0)

    def do(job: str) -> dict[str, float]:
        done.append(job)
        return {"length": 1.0}

    monkeypatch.setattr(RDBStorage, "check_trial_is_updatable", check_and_wait)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: work_through(["a"], do, storage=url(tmp_path), heartbeat_s=30), range(2)))
    assert done == ["a"] and results == [{"a": {"length": 1.0}}] * 2


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


@pytest.mark.parametrize("storage", ["no url", "nonsense://there"])
def test_a_storage_that_cannot_be_opened_is_named(storage):
    with pytest.raises(ValueError, match=f"cannot open the storage {storage}"):
        work_through(["a"], lambda job: {}, storage=storage)
