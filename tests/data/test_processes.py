"""Processes that work for another: they end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autolink_gen.data.processes import spread_work

JOB = """
import os, signal, sys, time
from pathlib import Path
from autolink_gen.data.processes import spread_work

def work(name):
    Path(name).with_suffix(".new").write_text(str(os.getpid()))
    Path(name).with_suffix(".new").rename(name)
    time.sleep(60)

def stop(*_):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    list(spread_work(work, sys.argv[1:], processes=2))
"""


def wait_for(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_in_the_middle_of_their_work(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    notes = [tmp_path / name for name in "ab"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, filter(None, sys.path)))}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "job.py"), *map(str, notes), str(tmp_path / "c")],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: all(note.exists() for note in notes))
        workers = [int(note.read_text()) for note in notes]
        parent.send_signal(number)
        parent.wait(30)
        wait_for(lambda: not any(map(is_alive, workers)))
    finally:
        parent.kill()
        for note in notes:
            if note.exists() and is_alive(int(note.read_text())):
                os.kill(int(note.read_text()), signal.SIGKILL)
    assert not (tmp_path / "c").exists(), "what had not begun is not begun"


def end_itself(number: int) -> None:
    os._exit(9)


def test_one_that_is_killed_is_one_line_with_a_remedy() -> None:
    with pytest.raises(OSError, match=r"one of 4 processes was killed.*--processes 2"):
        list(spread_work(end_itself, [1, 2, 3, 4], processes=4))


def test_the_order_is_kept() -> None:
    assert (
        list(spread_work(abs, [-3, 2, -1], processes=2))
        == list(spread_work(abs, [-3, 2, -1], processes=1))
        == [3, 2, 1]
    )
