"""What tests ask of the fuzz program: some inputs of a kind, or one file, and that nothing is found."""

from collections.abc import Sequence
from pathlib import Path

from fuzz_campaign import Campaign, Job, Report, jobs_of, stock
from fuzz_kinds import Kind, Sample, Stocked
from fuzz_registry import kinds_named
from regressions import READ, REFUSED, Regression


def fuzzed(name: str, count: int, folder: Path, *, seed: int = 0) -> Report:
    """So many inputs of a kind; AssertionError that tells each finding."""
    campaign = _campaign(folder, seed)
    report = campaign.run(jobs_of(stock(kinds_named([name])), {name: count}, go_on=lambda: True))
    assert not report.findings, told(report)
    assert report.tallies[name].inputs == count
    return report


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
