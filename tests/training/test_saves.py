"""The saves of a run: whole or not there, rotated, and read back from the newest that can be read."""

import hashlib
import logging
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from helpers.messages import assert_line_mentions, raises_mentioning

from autolink_gen.checkpoints import WEIGHTS_NAME
from autolink_gen.training import saves
from autolink_gen.training.checksums import SUMS_NAME
from autolink_gen.training.saves import STATE_NAME, read_newest, read_save, rotate, step_folders, write_save


def save(folder: Path, step: int, value: float | None = None) -> Path:
    return write_save(
        folder, step, {"w": torch.full((3,), step if value is None else value)}, {"step": step, "l": [1.5]}
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_save_comes_back(tmp_path):
    folder = save(tmp_path / "checkpoints", 12)
    assert folder.name == "step-00000012"
    assert names(folder) == [SUMS_NAME, WEIGHTS_NAME, STATE_NAME]
    weights, state = read_save(folder)
    assert torch.equal(weights["w"], torch.full((3,), 12.0))
    assert state == {"step": 12, "l": [1.5]}
    assert names(tmp_path / "checkpoints") == ["step-00000012"]


def test_both_files_may_be_read_by_whom_the_umask_says(tmp_path):
    folder = save(tmp_path, 1)
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in (*folder.iterdir(), tmp_path / "plain")}
    assert len(modes) == 1


def test_a_save_of_the_same_step_replaces_the_old_one(tmp_path):
    save(tmp_path, 1, 5.0)
    save(tmp_path, 1, 7.0)
    assert read_newest(tmp_path)[0]["w"][0] == 7
    assert names(tmp_path) == ["step-00000001"]


def test_the_newest_by_step_is_read_whatever_its_age(tmp_path):
    for step in (20, 3, 100):
        save(tmp_path, step)
    assert [path.name for path in step_folders(tmp_path)] == ["step-00000003", "step-00000020", "step-00000100"]
    assert read_newest(tmp_path)[1]["step"] == 100
    assert read_newest(tmp_path / "none") is None


def damage_state(folder: Path) -> None:
    (folder / STATE_NAME).write_bytes((folder / STATE_NAME).read_bytes()[:-40])


def damage_weights(folder: Path) -> None:
    (folder / WEIGHTS_NAME).write_bytes(b"text")


def turn_a_bit(file: Path) -> None:
    """In the middle, where tensors lie that any bits would do for."""
    data = bytearray(file.read_bytes())
    data[-1 if file.suffix == ".safetensors" else len(data) // 2] ^= 1
    file.write_bytes(data)


def test_digests_are_such_as_other_programs_check(tmp_path):
    folder = save(tmp_path, 1)
    lines = (folder / SUMS_NAME).read_text().splitlines()
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS_NAME, STATE_NAME)}
    assert lines == [f"{digest}  {name}" for name, digest in digests.items()]


def test_a_save_of_old_has_no_digests(tmp_path):
    folder = save(tmp_path, 1)
    (folder / SUMS_NAME).unlink()
    assert read_newest(tmp_path)[1]["step"] == 1


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    for with_sums in (True, False):
        for name in (STATE_NAME, WEIGHTS_NAME):
            folder = save(tmp_path, 1)
            (folder / name).unlink()
            os.mkfifo(folder / name)
            if not with_sums:
                (folder / SUMS_NAME).unlink()
            with pytest.raises(ValueError, match=rf"{name} (is no file|cannot be read)"):
                read_save(folder)


def test_saves_are_told_by_their_names_and_sorted_by_their_steps(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    for name in ("step-mine", "step-7", "step-00000001.bak"):
        (tmp_path / name).mkdir()
    assert [saves.step_of(folder) for folder in step_folders(tmp_path)] == [99_999_999, 100_000_000]
    rotate(tmp_path, keep_last=1, best_step=0)
    assert read_newest(tmp_path)[1]["step"] == 100_000_000
    assert {"step-mine", "step-7", "step-00000001.bak"} < set(names(tmp_path))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage_state, STATE_NAME),
        (damage_weights, WEIGHTS_NAME),
        (lambda folder: (folder / STATE_NAME).unlink(), STATE_NAME),
        (lambda folder: (folder / WEIGHTS_NAME).unlink(), WEIGHTS_NAME),
        (lambda folder: (folder / STATE_NAME).write_bytes(b"text"), STATE_NAME),
        (lambda folder: (folder / STATE_NAME).write_bytes(b""), STATE_NAME),
        (lambda folder: turn_a_bit(folder / WEIGHTS_NAME), WEIGHTS_NAME),
        (lambda folder: turn_a_bit(folder / STATE_NAME), STATE_NAME),
        (lambda folder: (folder / SUMS_NAME).write_bytes(b"\xff"), SUMS_NAME),
        (lambda folder: (folder / SUMS_NAME).write_text(f"{'0' * 64}  {STATE_NAME}\n"), SUMS_NAME),
    ],
)
def test_a_damaged_save_is_named_and_passed_over(tmp_path, caplog, damage, name):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    damage(newest)
    with pytest.raises(ValueError, match=str(newest / name)):
        read_save(newest)
    with caplog.at_level(logging.WARNING):
        assert read_newest(tmp_path)[1]["step"] == 1
    assert str(newest / name) in caplog.text
    assert_line_mentions(caplog.messages, "save before")


def test_rotation_keeps_the_last_and_the_best_and_clears_leftovers(tmp_path):
    for step in range(1, 7):
        save(tmp_path, step)
    (tmp_path / ".step-00000004.77.tmp").mkdir()
    (tmp_path / ".step-00000004.77.tmp" / STATE_NAME).touch()
    rotate(tmp_path, keep_last=2, best_step=3)
    assert names(tmp_path) == ["step-00000003", "step-00000005", "step-00000006"]


def test_a_removal_that_is_killed_halfway_leaves_no_half_save(tmp_path, monkeypatch):
    """As far as the names go: what is being removed no longer looks like a save."""
    for step in (1, 2):
        save(tmp_path, step)
    seen = []
    plain = saves.shutil.rmtree

    def watch(path: Path, **kwargs: object) -> None:
        seen.append((Path(path).name, [folder.name for folder in step_folders(tmp_path)]))
        plain(path, **kwargs)

    monkeypatch.setattr(saves.shutil, "rmtree", watch)
    rotate(tmp_path, keep_last=1, best_step=2)
    assert seen
    assert all(name.startswith(".") and visible == ["step-00000002"] for name, visible in seen[-1:])
    assert not any(name.startswith("step-") for name, _ in seen)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(28, "No space left on device"), "free some space"),
        (RuntimeError("PytorchStreamWriter failed writing file"), "free some space"),
        (PermissionError(13, "Permission denied"), "mend its rights"),
    ],
)
def test_a_full_disk_leaves_earlier_saves_and_no_rubbish(tmp_path, monkeypatch, error, remedy):
    save(tmp_path, 1)

    def full(state: object, file: object) -> None:
        file.write(b"half")
        raise error

    monkeypatch.setattr(saves.torch, "save", full)
    with pytest.raises(OSError, match=rf"could not save step 2 in .*; {remedy} or choose another --out, then rep"):
        save(tmp_path, 2)
    assert names(tmp_path) == ["step-00000001"]
    assert read_newest(tmp_path)[1]["step"] == 1


def test_a_save_that_reads_back_wrong_never_gets_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(saves.torch, "save", lambda state, file: file.write(b"half"))
    with pytest.raises(OSError, match=r"could not save step 2 .*training_state\.pt is no readable"):
        save(tmp_path, 2)
    assert names(tmp_path) == []


def test_kills_in_the_middle_of_saving_leave_whole_saves(tmp_path):
    """A process that does nothing but save and rotate, killed a few times at odd moments."""
    for trial in range(4):
        child = os.fork()
        if child == 0:
            for step in range(1000 * trial + 1, 1000 * trial + 1000):
                save(tmp_path, step)
                rotate(tmp_path, keep_last=2, best_step=1)
            os._exit(0)
        while not (tmp_path / f"step-{1000 * trial + 2:08d}").exists():
            time.sleep(0.001)
        time.sleep(0.037 * trial)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        found = step_folders(tmp_path)
        assert found
        for folder in found:
            assert read_save(folder)[1]["step"] == int(folder.name.removeprefix("step-"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("count", [10, 10**6])
def test_a_full_disk_is_said_in_the_systems_words(count):
    with pytest.raises(OSError, match="No space left on device"):
        saves._write_state(Path("/dev/full"), {"a": torch.zeros(count)})


@pytest.mark.parametrize("name", [STATE_NAME, WEIGHTS_NAME, SUMS_NAME])
def test_a_save_that_may_not_be_read_is_not_passed_over(tmp_path, monkeypatch, name):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    plain = Path.open

    def forbidden(self, *args, **kwargs):
        if self == newest / name:
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", forbidden)
    with raises_mentioning(ValueError, "step-00000002", name, "Permission denied"):
        saves.find_newest(tmp_path)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
