"""The fuzz program finds what it is there to find, tells how to see it again, and gives the same inputs each time."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import fuzz_campaign
import fuzz_worker
import pytest
from fuzz_checks import REPOSITORY, read_one
from fuzz_kinds import Kind, Sample, Stocked
from fuzz_registry import kinds_named, names
from fuzz_worker import damaged


def _type_error(home: Path, file: Path) -> None:
    raise TypeError("a parser's")


def _two_lines(home: Path, file: Path) -> None:
    raise ValueError("one\ntwo")


def _escape(home: Path, file: Path) -> None:
    raise ValueError("\x1b[31m")


def _long(home: Path, file: Path) -> None:
    raise OSError("x" * 2000)


def _decode(home: Path, file: Path) -> None:
    b"\xff".decode()


def _leaves(home: Path, file: Path) -> None:
    (home / "left").write_text("x")


def _deletes(home: Path, file: Path) -> None:
    (home / "kept.txt").unlink()


def _elsewhere(home: Path, file: Path) -> None:
    (home.parent / "made").mkdir()


def _writes(home: Path, file: Path) -> None:
    (home.parent / "made.txt").write_text("x")


def _other(home: Path, file: Path) -> None:
    handle = os.open(home / "beside" / "other.mp4", os.O_RDONLY)
    os.close(handle)


def _program(home: Path, file: Path) -> None:
    subprocess.run(["true"], check=True)


def _network(home: Path, file: Path) -> None:
    with socket.socket() as connection:
        connection.settimeout(0.1)
        connection.connect(("127.0.0.1", 9))


def _code(home: Path, file: Path) -> None:
    exec("1")


def _memory(home: Path, file: Path) -> None:
    bytearray(80 * 2**20)


def _logs(home: Path, file: Path) -> None:
    logging.getLogger("autolink_gen.x").warning("a\rb")


def _endless(home: Path, file: Path) -> None:
    while True:
        pass


def _aborts(home: Path, file: Path) -> None:
    os.abort()


_FAULTS: dict[str, Callable[[Path, Path], None]] = {
    "raises TypeError": _type_error,
    "says more than a line": _two_lines,
    "says control characters": _escape,
    "says over 1500 characters": _long,
    "raises a parser's own UnicodeDecodeError": _decode,
    "leaves a file": _leaves,
    "deletes a file": _deletes,
    "changes a file elsewhere (os.mkdir)": _elsewhere,
    "opens a file elsewhere for writing": _writes,
    "opens a file that it was not given": _other,
    "starts a program": _program,
    "uses the network": _network,
    "runs code": _code,
    "takes over 1 GiB": _memory,
    "logs control characters": _logs,
    "takes too long": _endless,
    "dies of SIGABRT": _aborts,
}


def _kind(read: Callable[[Path, Path], None]) -> Kind:
    return Kind("faulty", lambda: [], read, lay=lambda home: (home / "kept.txt").write_text("x") and None)


@pytest.mark.parametrize("fault", _FAULTS)
def test_each_fault_is_found(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_campaign, "HANG_SECONDS", 0.2)
    monkeypatch.setattr(fuzz_worker, "MAX_GROWTH_MIB", 50)
    report = read_one(_kind(_FAULTS[fault]), Sample("file.txt", b"content"), tmp_path)
    keys = [key for _, key in report.findings]
    assert any(key.startswith(fault) for key in keys), keys
    kept = next(found.file for (_, key), found in report.findings.items() if key.startswith(fault))
    assert Path(kept).read_bytes() == b"content"


@pytest.mark.parametrize("error", [ValueError("it is damaged"), OSError(5, "no disk"), None])
def test_a_reader_that_refuses_or_reads_is_well(error: Exception | None, tmp_path: Path) -> None:
    def read(home: Path, file: Path) -> None:
        assert file.read_bytes() == b"content"
        if error:
            raise error

    report = read_one(_kind(read), Sample("folder/file.txt", b"content"), tmp_path)
    tally = report.tallies["faulty"]
    assert (tally.ok, tally.refused, len(report.findings)) == (int(not error), int(bool(error)), 0)


def test_what_kills_a_reader_does_not_end_the_others(tmp_path: Path) -> None:
    def read(home: Path, file: Path) -> None:
        if file.name == "bad.txt":
            os.abort()

    samples = [Sample(f"{name}.txt", b"x") for name in ("good", "bad", "better", "bad", "best")]
    place = tmp_path / "place"
    place.mkdir()
    campaign = fuzz_campaign.Campaign(seed=0, place=place, keep=tmp_path / "keep", processes=2)
    report = campaign.run(iter([fuzz_campaign.Job(Stocked(_kind(read), samples), 0, 5)]))
    (found,) = report.findings.values()
    assert (found.count, found.sample) == (2, "bad.txt")
    assert report.tallies["faulty"].inputs == 5
    told = json.loads((Path(found.file).parent / "finding.json").read_text())
    assert told["key"].startswith("dies of SIGABRT")


def test_inputs_are_a_function_of_the_seed_and_the_number() -> None:
    (kind,) = kinds_named(["picture"])
    stocked = Stocked(kind, kind.samples())
    first = [damaged(stocked, 3, index) for index in range(200)]
    assert first == [damaged(stocked, 3, index) for index in range(200)]
    assert first[: len(stocked.samples)] == stocked.samples
    others = [damaged(stocked, 4, index) for index in range(200)]
    assert sum(one != other for one, other in zip(first, others, strict=True)) > 100


@pytest.mark.parametrize("kind", ["picture", "video", "model", "state", "features", "frames", "shard", "recipe"])
def test_whole_files_are_fit_for_their_kinds_own_changes(kind: str) -> None:
    (found,) = kinds_named([kind])
    originals = [sample.content for sample in found.samples()]
    for change in found.mutators:
        changed = [change(Random(seed), content) for seed in range(3) for content in originals]
        assert sum(content not in originals for content in changed) >= 2  # of another form it changes nothing


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no kind fish, mice"):
        kinds_named(["fish", "mice", "pose"])
    assert len(set(names())) == len(names())


def test_the_program_tells_in_a_table_and_replays(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "tests.fuzz", "--kinds", "picture"]
    done = subprocess.run([*run, "--inputs", "60"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 inputs" in done.stdout
    file = tmp_path / "cat.jpg"
    file.write_bytes(b"no picture")
    done = subprocess.run([*run, "--replay", str(file)], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1].split()[:4] == ["picture", "1", "0", "1"]
    wrong = subprocess.run(
        [*run[:4], "picture,video", "--replay", str(file)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "--kinds picture" in wrong.stderr


def test_a_worker_that_has_not_begun_is_at_no_input() -> None:
    beat = fuzz_worker.Heartbeat()
    assert beat.seen()[0] == -1
    beat.beat(7)
    assert beat.seen()[0] == 7
