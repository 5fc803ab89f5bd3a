"""Workers started, watched and started again until all inputs are read; what they found, as a table."""

import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz_guard import lay_canaries
from fuzz_kinds import Kind, Stocked
from fuzz_worker import MAX_SECONDS, Finding, Heartbeat, Tally, Worker, become_worker, damaged, keep_input

HANG_SECONDS = 1.25 * MAX_SECONDS  # of a worker's own time on one input
STUCK_SECONDS = 30.0  # of any time: it waits for something
_CHUNK = 10_000  # inputs of all kinds in a round
_FRAME = re.compile(r'File "[^"]*?/((?:autolink_gen|cli)/[^"]*)", line \d+ in (\w+)')


@dataclass
class Report:
    """What became of the inputs of each kind, and the findings, one of each key."""

    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, kind: str, tally: Tally) -> None:
        """Count a worker's inputs."""
        mine = self.tallies.setdefault(kind, Tally())
        mine.inputs, mine.ok, mine.refused = (
            mine.inputs + tally.inputs,
            mine.ok + tally.ok,
            mine.refused + tally.refused,
        )
        mine.slowest_ms = max(mine.slowest_ms, tally.slowest_ms)
        mine.peak_mib = max(mine.peak_mib, tally.peak_mib)
        mine.outcomes |= tally.outcomes

    def note(self, found: Finding) -> None:
        """Keep a finding, or count one that is known; the smaller input stays."""
        known = self.findings.get((found.kind, found.key))
        if known is not None:
            found.count += known.count
            if known.size <= found.size:
                known.count = found.count
                return
        self.findings[found.kind, found.key] = found

    def table(self) -> str:
        """All kinds in a table, and a line for each finding."""
        rows: list[tuple[str, ...]] = [("kind", "inputs", "ok", "refused", "findings", "slowest ms", "peak MiB")]
        for name, tally in self.tallies.items():
            count = sum(1 for kind, _ in self.findings if kind == name)
            numbers = (tally.inputs, tally.ok, tally.refused, count, round(tally.slowest_ms), round(tally.peak_mib))
            rows.append((name, *map(str, numbers)))
        totals = [sum(int(row[column]) for row in rows[1:]) for column in range(1, 5)]
        rows.append(("all", *map(str, totals), "", ""))
        widths = [max(len(row[column]) for row in rows) for column in range(7)]
        lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        told = [
            f"{found.kind}: {found.key} ({found.count} inputs; {found.size} bytes, input {found.index} of seed "
            f"{found.seed}: {found.file})"
            for found in sorted(self.findings.values(), key=lambda one: (one.kind, one.key))
        ]
        return "\n".join([*lines, *told])


@dataclass
class Job:
    """Inputs of one kind for one worker."""

    stocked: Stocked
    start: int
    count: int


@dataclass
class _Running:
    job: Job
    pid: int
    pipe: int
    home: Path
    log: Path
    beat: Heartbeat
    asked: bool = False  # for its traceback, before it is killed


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for workers, in memory where there is such a place, removed at the end."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stock(kinds: Sequence[Kind]) -> list[Stocked]:
    """The kinds with their samples, made once, before workers are forked."""
    return [Stocked(kind, list(kind.samples())) for kind in kinds]


class Campaign:
    """Runs jobs in forked workers, so many at a time, and gathers what they found."""

    def __init__(self, *, seed: int, place: Path, keep: Path, processes: int = 1) -> None:
        self.report, self.seed, self.place, self.keep, self.processes = Report(seed), seed, place, keep, processes
        self._canary = place / "canary"
        self._running: list[_Running] = []
        self._number = 0
        lay_canaries(self._canary)
        self._canaries = self._seen()

    def run(self, jobs: Iterator[Job]) -> Report:
        """Read all inputs of the jobs."""
        waiting: list[Job] = []
        try:
            while True:
                while len(self._running) < self.processes and (job := self._next(waiting, jobs)):
                    self._start(job)
                if not self._running:
                    return self.report
                waiting += self._look()
        finally:
            for one in self._running:
                os.kill(one.pid, signal.SIGKILL)
                os.waitpid(one.pid, 0)
            self._running.clear()

    @staticmethod
    def _next(waiting: list[Job], jobs: Iterator[Job]) -> Job | None:
        return waiting.pop() if waiting else next(jobs, None)

    def _start(self, job: Job) -> None:
        self._number += 1
        home = self.place / f"work-{self._number}"
        home.mkdir()
        log, beat = self.place / f"work-{self._number}.log", Heartbeat()
        ours, theirs = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            _work(job, theirs, seed=self.seed, home=home, canary=self._canary, keep=self.keep, log=log, beat=beat)
        os.close(theirs)
        self._running.append(_Running(job, pid, ours, home, log, beat))

    def _look(self) -> list[Job]:
        """Wait a moment for news of the workers; what is left to do of those that have died."""
        ready, _, _ = select.select([one.pipe for one in self._running], [], [], 0.2)
        left: list[Job] = []
        for one in list(self._running):
            if one.pipe in ready:
                left += self._ended(one, _read_all(one.pipe))
            else:
                self._watch(one)
        return left

    def _watch(self, one: _Running) -> None:
        """End a worker that takes too long over an input, and have it tell first where it is."""
        index, since, own = one.beat.seen()
        took = time.monotonic() - since
        # Others may have the processor meanwhile: what counts is the worker's own time.
        if index < 0 or took < HANG_SECONDS or (took < STUCK_SECONDS and _own_seconds(one.pid) - own < HANG_SECONDS):
            return
        os.kill(one.pid, signal.SIGKILL if one.asked else signal.SIGUSR1)
        one.asked = True
        time.sleep(0.2)

    def _ended(self, one: _Running, told: bytes) -> list[Job]:
        _, status = os.waitpid(one.pid, 0)
        os.close(one.pipe)
        self._running.remove(one)
        self._check_canaries(one)
        left: list[Job] = []
        lines = told.decode().splitlines()
        for line in lines:
            if "tally" in (values := json.loads(line)):
                self.report.add(one.job.stocked.kind.name, Tally(**values["tally"]))
            else:
                self.report.note(Finding(**values))
        if status or not lines:
            left = self._died(one, status)
        shutil.rmtree(one.home, ignore_errors=True)
        return left

    def _died(self, one: _Running, status: int) -> list[Job]:
        job, (index, _, _) = one.job, one.beat.seen()
        log = one.log.read_text(errors="replace") if one.log.exists() else ""
        if index < 0:
            raise RuntimeError(f"the worker for {job.stocked.kind.name} ended between two inputs: {log[-2000:]}")
        frames = [" <- ".join(f"{file}:{name}" for file, name in _FRAME.findall(log)[:2])]
        what = "takes too long" if one.asked else f"dies of {_name_of(status)}"
        sample = damaged(job.stocked, self.seed, index)
        key = f"{what} at {frames[0]}"
        found = Finding(job.stocked.kind.name, key, log[-4000:], self.seed, index, sample.name, len(sample.content))
        known = self.report.findings.get((found.kind, found.key))
        if known is None or known.size > found.size:
            found.file = str(keep_input(self.keep, found, sample.content))
        self.report.note(found)
        self.report.add(found.kind, Tally(inputs=index + 1 - job.start))
        rest = job.start + job.count - index - 1
        return [Job(job.stocked, index + 1, rest)] if rest else []

    def _check_canaries(self, one: _Running) -> None:
        there = self._seen()
        if there != self._canaries:
            kind = one.job.stocked.kind.name
            self.report.note(Finding(kind, "changes files beside its folder", str(sorted(there)), self.seed, -1, "", 0))
            self._canaries = there

    def _seen(self) -> dict[str, tuple[int, int]]:
        """The canaries' sizes and times; they are not opened, which other workers would take for a reader's doing."""
        found = {path.name: path.stat() for path in self._canary.iterdir()}
        return {name: (seen.st_size, seen.st_mtime_ns) for name, seen in found.items()}


def _work(job: Job, pipe: int, *, log: Path, **settings: object) -> None:
    """What a worker does in its whole life; it does not return."""
    status = 1
    try:
        become_worker(log)
        worker = Worker(job.stocked, **settings)  # type: ignore[arg-type]
        worker.run(job.start, job.count)
        lines = [{"tally": asdict(worker.tally)}, *map(asdict, worker.findings.values())]
        told = "".join(json.dumps(line) + "\n" for line in lines).encode()
        while told:
            told = told[os.write(pipe, told) :]
        status = 0
    except BaseException:  # noqa: BLE001 - the parent is told
        log.write_text(traceback.format_exc())
    finally:
        os._exit(status)


def _read_all(pipe: int) -> bytes:
    parts = []
    while part := os.read(pipe, 65536):
        parts.append(part)
    return b"".join(parts)


def _own_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _name_of(status: int) -> str:
    return signal.Signals(status & 127).name if status & 127 else f"exit status {status >> 8}"


def shares(kinds: Sequence[Kind], inputs: int, *, least: int) -> dict[str, int]:
    """How many of the inputs each kind gets: ``least`` each where they suffice, of the rest the more the cheaper."""
    least = min(least, inputs // (2 * len(kinds)))
    rest = inputs - least * len(kinds)
    weights = {kind.name: kind.weight * kind.cost_ms**-0.5 for kind in kinds}
    total = sum(weights.values())
    return {name: max(1, least + int(rest * weight / total)) for name, weight in weights.items()}


def jobs_of(stocks: Sequence[Stocked], counts: dict[str, int], *, go_on: Callable[[], bool]) -> Iterator[Job]:
    """Jobs of all kinds in turn, until each has its number of inputs or it is time to stop."""
    total = sum(counts.values())
    done = dict.fromkeys(counts, 0)
    while any(done[name] < counts[name] for name in counts):
        for one in stocks:
            name = one.kind.name
            size = max(50, _CHUNK * counts[name] // total)
            if (count := min(size, counts[name] - done[name])) > 0:
                if not go_on():
                    return
                yield Job(one, done[name], count)
                done[name] += count
