"""What tests ask of the fuzz program: some inputs of a kind, or one file, and that nothing is found."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fuzz_campaign import Campaign, Job, Report
from fuzz_kinds import Kind, Sample, Stocked
from fuzz_registry import kinds_named
from regressions import READ, REFUSED, Regression

REPOSITORY = Path(__file__).resolve().parents[2]


def run_program(kinds: Sequence[str], inputs: int, *, keep: Path) -> dict[str, dict[str, int]]:
    """The program's table for so many inputs of some kinds; AssertionError where it has findings.

    It runs as users' commands do: the checks of signatures that tests make would take most of the time.
    """
    options = ["--kinds", ",".join(kinds), "--inputs", str(inputs), "--keep", str(keep)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *options], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[0] in kinds]
    return {row[0]: dict(zip(("inputs", "ok", "refused", "findings"), map(int, row[1:5]), strict=True)) for row in rows}


def read_one(kind: Kind, sample: Sample, folder: Path) -> Report:
    """One file, read in a process of its own."""
    return _campaign(folder, 0).run(iter([Job(Stocked(kind, [sample]), 0, 1)]))


def check_regressions(name: str, listed: Sequence[Regression], folder: Path) -> None:
    """Nothing is found in the regressions of a kind, and each is refused or read as it should be."""
    (kind,) = kinds_named([name])
    mine = [one for one in listed if one.kind == name]
    samples = [Sample(one.file, one.content()) for one in mine]
    report = _campaign(folder, 0).run(iter([Job(Stocked(kind, samples), 0, len(samples))]))
    assert not report.findings, told(report)
    outcomes = report.tallies[name].outcomes
    for number, one in enumerate(mine):
        allowed = (one.outcome,) if one.outcome else (READ, REFUSED)
        assert outcomes[str(number)] in allowed, f"{one.file}, {one.what}: {outcomes[str(number)]}"


def _campaign(folder: Path, seed: int) -> Campaign:
    place, keep = folder / "place", folder / "keep"
    place.mkdir()
    return Campaign(seed=seed, place=place, keep=keep)


def told(report: Report) -> str:
    """The table, and of each finding the detail."""
    details = [f"{found.key}\n{found.detail}" for found in report.findings.values()]
    return "\n".join([report.table(), *details])
