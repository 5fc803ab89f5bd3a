"""Training that is killed with SIGKILL goes on from its last save and ends bit-equal to a run left alone."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import kill_resume
import other_crashes
import pytest

from autolink_gen import load_graph_model
from autolink_gen.checkpoints import WEIGHTS_NAME
from autolink_gen.training.saves import STATE_NAME, step_folders

STEPS = 20

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed and forked as POSIX has it")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The processes that are started and killed take one thread each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("straight") / "run"
    kill_resume.finish(folder, STEPS)
    return folder


def test_killed_at_random_moments_it_ends_as_if_left_alone(straight, tmp_path):
    kills = list(kill_resume.kill_and_resume(tmp_path / "run", STEPS, kills=2, interval=0.05, seed=1))
    assert [kill.number for kill in kills] == [1, 2]
    assert all(kill.harmless for kill in kills), kills
    assert max(kill.after for kill in kills) > 0
    assert kill_resume.differences(straight, tmp_path / "run") == []
    assert not list((tmp_path / "run").rglob("*.tmp"))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))


def test_a_kill_between_the_last_save_and_what_users_look_at(straight, tmp_path):
    """Repeating the command then writes the weights to use and the graph, without training."""
    folder = tmp_path / "run"
    straight.rename(folder)
    for path in (folder / WEIGHTS_NAME, folder / "graph.png"):
        path.unlink()
    newest = step_folders(folder / "checkpoints")[-1] / STATE_NAME
    before = newest.stat().st_mtime_ns
    kill_resume.finish(folder, STEPS)
    assert load_graph_model(folder).config.num_keypoints == 4
    assert (folder / "graph.png").is_file()
    assert newest.stat().st_mtime_ns == before
    folder.rename(straight)


def test_what_the_comparison_calls_different(straight, tmp_path):
    kill_resume.finish(tmp_path / "run", 4)
    found = kill_resume.differences(straight, tmp_path / "run")
    assert {"/progress/step", "/weights/alpha", "/usable/alpha"} <= set(found)
    assert any(name.startswith("/optimiser/") for name in found)


def test_a_killed_gan_ends_as_if_left_alone(tmp_path):
    kill_resume.finish(tmp_path / "straight", 12, "gan")
    kills = list(kill_resume.kill_and_resume(tmp_path / "run", 12, kills=1, interval=0.1, seed=2, job="gan"))
    assert all(kill.harmless for kill in kills), kills
    assert kill_resume.differences(tmp_path / "straight", tmp_path / "run") == []


def test_a_full_disk_ends_with_one_line_and_then_as_if_left_alone(straight, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # no file system is mounted in a test
    assert other_crashes.fill_disks(straight, tmp_path, STEPS, number=2, seed=0, job="graph"), capsys.readouterr().out


def test_of_two_processes_in_one_folder_one_trains(straight, tmp_path, capsys):
    assert other_crashes.run_pairs(straight, tmp_path, STEPS, number=1, seed=0, job="graph"), capsys.readouterr().out
