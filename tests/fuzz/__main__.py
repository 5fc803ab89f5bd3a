"""Damaged files of every kind, read by the product: ``python -m tests.fuzz --minutes 60`` from the repository."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]  # for the modules here and for tests/helpers

import fuzz_registry  # noqa: E402
from fuzz_campaign import Campaign, Job, Report, jobs_of, shares, stock, workplace  # noqa: E402
from fuzz_kinds import Kind, Sample, Stocked  # noqa: E402

_INPUTS_A_MINUTE = 15_000  # on one core: what --minutes plans with
_LEAST = 5000


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=1.0, help="how long")
    length.add_argument("--inputs", type=int, help="how many inputs, over all kinds")
    length.add_argument("--replay", type=Path, metavar="FILE", help="read this file alone, as the one kind of --kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="", help=f"some of {','.join(fuzz_registry.names())}; default: all")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="the folder for inputs with findings; default: a temporary one")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the memory and the time of a process are measured as Linux tells them")
    try:
        options.kinds = fuzz_registry.kinds_named([name for name in options.kinds.split(",") if name])
    except ValueError as error:
        parser.error(str(error))
    if options.replay and len(options.kinds) != 1:
        parser.error("--replay needs the one kind of the file: --kinds picture")
    return options


def main() -> int:
    """Run what the command line asks for; 1 where there are findings."""
    options = _parsed()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    began = time.monotonic()
    with workplace() as place:
        campaign = Campaign(seed=options.seed, place=place, keep=keep, processes=options.processes)
        report = campaign.run(_jobs(options, options.kinds))
    _say(report, keep, time.monotonic() - began)
    return 1 if report.findings else 0


def _jobs(options: argparse.Namespace, kinds: list[Kind]) -> Iterator[Job]:
    if options.replay:
        return iter([Job(Stocked(kinds[0], [_replayed(options.replay, kinds[0])]), 0, 1)])
    end = time.monotonic() + (60 * options.minutes if options.inputs is None else float("inf"))
    planned = int(_INPUTS_A_MINUTE * options.minutes * options.processes * 10)
    counts = shares(kinds, options.inputs or planned, least=_LEAST)
    return jobs_of(stock(kinds), counts, go_on=lambda: time.monotonic() < end)


def _replayed(file: Path, kind: Kind) -> Sample:
    """The file under the name that a reader wants: the sample's of the same last name where there is one."""
    names = {Path(one.name).name: one.name for one in kind.samples()}
    return Sample(names.get(file.name, file.name), file.read_bytes())


def _say(report: Report, keep: Path, seconds: float) -> None:
    inputs = sum(tally.inputs for tally in report.tallies.values())
    sys.stdout.write(f"{report.table()}\n{inputs} inputs in {seconds:.0f} s, seed {report.seed}")
    sys.stdout.write(f"; findings in {keep}\n" if report.findings else "; no findings\n")


if __name__ == "__main__":
    sys.exit(main())
