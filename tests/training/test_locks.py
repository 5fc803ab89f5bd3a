"""The lock on a run's folder: one at a time, free when its holder is gone, and no way to write somewhere else."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autolink_gen.training.folders import move_aside
from autolink_gen.training.locks import LOCK_NAME, locked_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_holder_is_told_who_holds_it(tmp_path):
    with locked_run(tmp_path):
        with pytest.raises(ValueError, match=rf"{tmp_path} .*process {os.getpid()} on .*--name"), locked_run(tmp_path):
            pass
        assert names(tmp_path) == [LOCK_NAME], "refusing leaves the holder's lock alone"
    assert names(tmp_path) == []


def test_it_is_free_after_an_error_and_for_the_next(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked_run(tmp_path):
            raise KeyError("a bug")
    with locked_run(tmp_path):
        pass


def test_a_forked_process_that_outlives_its_parent_does_not_hold_it(tmp_path):
    """As a data worker does when training is killed."""
    holder = os.fork()
    if holder == 0:
        with locked_run(tmp_path):
            worker = os.fork()
            if worker == 0:
                time.sleep(60)
                os._exit(0)
            (tmp_path / "worker").write_text(str(worker))
            (tmp_path / "worker").rename(tmp_path / "ready")
            time.sleep(60)
        os._exit(0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    with pytest.raises(ValueError, match=f"process {holder} "), locked_run(tmp_path):
        pass
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    worker = int((tmp_path / "ready").read_text())
    try:
        os.kill(worker, 0)
        with locked_run(tmp_path):
            assert LOCK_NAME in names(tmp_path)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_run_that_is_trained_is_not_moved_aside(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with locked_run(folder), pytest.raises(ValueError, match="in use by"):
        move_aside(folder)
    assert names(tmp_path) == ["run"]
    move_aside(folder)
    assert names(tmp_path) == ["run.old1"]
    assert names(tmp_path / "run.old1") == []


def test_a_lock_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "run" / LOCK_NAME).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(OSError, match=LOCK_NAME), locked_run(tmp_path / "run"):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"
    (tmp_path / "run" / LOCK_NAME).unlink()
    os.mkfifo(tmp_path / "run" / LOCK_NAME)
    with pytest.raises(ValueError, match="no plain file"), locked_run(tmp_path / "run"):
        pass


@pytest.fixture
def no_locks(monkeypatch):
    """A file system that has none, as some that are mounted over a network."""
    import fcntl

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_without_locks_whoever_makes_the_file_holds_it(tmp_path, no_locks):
    with locked_run(tmp_path):
        assert names(tmp_path) == [LOCK_NAME]
        who = rf"process {os.getpid()} on {re.escape(socket.gethostname())}.*remove .*{re.escape(LOCK_NAME)}"
        with pytest.raises(ValueError, match=who), locked_run(tmp_path):
            pass
    assert names(tmp_path) == []
    with locked_run(tmp_path):
        pass


def test_without_locks_a_file_of_a_process_that_ended_is_taken_over(tmp_path, no_locks):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / LOCK_NAME).write_text(f"process {ended.pid} on {socket.gethostname()}\n")
    with locked_run(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_NAME).read_text()


@pytest.mark.parametrize("text", ["process 3 on another-machine\n", "", "process x\n"])
def test_without_locks_a_file_of_which_nothing_is_known_is_respected(tmp_path, no_locks, text):
    (tmp_path / LOCK_NAME).write_text(text)
    who = "process 3 on another-machine" if "another" in text else "process"
    with pytest.raises(ValueError, match=rf"in use by .*{who}.*remove "), locked_run(tmp_path):
        pass
    assert (tmp_path / LOCK_NAME).read_text() == text


def test_with_locks_a_file_that_a_killed_process_left_is_taken_over(tmp_path):
    """Whatever it says: the system knows that nobody holds it."""
    (tmp_path / LOCK_NAME).write_text("process 3 on another-machine\n")
    with locked_run(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_NAME).read_text()


def test_a_lock_that_was_moved_away_while_it_was_waited_for_is_taken_anew(tmp_path, monkeypatch):
    """Another process removes the file after it was opened and before it is locked."""
    import fcntl

    plain, done = fcntl.flock, []

    def slowly(lock: int, how: int) -> None:
        if not done:
            done.append(True)
            (tmp_path / LOCK_NAME).unlink()
        plain(lock, how)

    monkeypatch.setattr(fcntl, "flock", slowly)
    with locked_run(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_NAME).read_text()


def test_windows_goes_on_without(tmp_path, monkeypatch):
    """It has none of the calls that the lock is made of."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "pread", "pwrite"):
        monkeypatch.delattr(os, name)
    with locked_run(tmp_path), locked_run(tmp_path):
        assert names(tmp_path) == []
