"""The process that reads damaged files one after the other, and tells what went wrong with each."""

import contextlib
import ctypes
import faulthandler
import json
import logging
import mmap
import os
import resource
import signal
import struct
import sys
import time
import traceback
import unicodedata
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from fuzz_guard import Guard, lay_canaries
from fuzz_kinds import Sample, Stocked
from mutators import mutate

MAX_SECONDS = float(os.environ.get("AUTOLINK_GEN_FUZZ_SECONDS", "2"))  # of the processor
MAX_GROWTH_MIB = 1024
MAX_MESSAGE = 1500
_ADDRESS_ROOM = 6 * 2**30  # bytes that a worker may ask for beyond what it has: the machine is others' too
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_REPOSITORY = Path(__file__).resolve().parents[2]
_BEAT = struct.Struct("<qdd")


@dataclass
class Finding:
    """Something that no file may do to the program; ``key`` is the same for the same fault."""

    kind: str
    key: str
    detail: str
    seed: int
    index: int
    sample: str
    size: int
    count: int = 1
    file: str = ""


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    inputs: int = 0
    ok: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    peak_mib: float = 0.0
    outcomes: dict[str, str] = field(default_factory=dict)  # of whole samples, by their numbers: "read", "refused"


class Heartbeat:
    """Which input a worker is at and since when, where its parent can see it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _BEAT.size)
        self.beat(-1)  # all zeros would be the first input, since the machine began

    def beat(self, index: int) -> None:
        """Note the start of an input; -1 for none."""
        self._memory[:] = _BEAT.pack(index, time.monotonic(), time.process_time())

    def seen(self) -> tuple[int, float, float]:
        """The input, and the monotonic time and the process's own at which it began."""
        index, since, own = _BEAT.unpack(self._memory[:])
        return int(index), float(since), float(own)


def damaged(stocked: Stocked, seed: int, index: int) -> Sample:
    """Input number ``index`` of a kind: a function of the seed and the number alone."""
    draw = Random(f"{seed}/{stocked.kind.name}/{index}")
    sample = stocked.samples[index % len(stocked.samples)]
    if index < len(stocked.samples):
        return sample
    kind, others = stocked.kind, [one.content for one in stocked.samples]
    content = mutate(
        draw, sample.content, others=others, own=kind.mutators, tokens=kind.tokens, structured=kind.structured
    )
    return Sample(sample.name, content)


class _Messages(logging.Handler):
    """Keeps what the product logs while a file is read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("autolink_gen"):
            self.lines.append(record.getMessage())


class Worker:
    """Reads inputs of one kind in a folder of its own, and keeps the smallest input of each finding."""

    def __init__(self, stocked: Stocked, *, seed: int, home: Path, canary: Path, keep: Path, beat: Heartbeat) -> None:
        self.stocked, self.seed, self.home, self.keep, self.beat = stocked, seed, home, keep, beat
        self.tally = Tally()
        self.findings: dict[str, Finding] = {}
        self._messages = _Messages()
        logging.getLogger().addHandler(self._messages)
        lay_canaries(home / "beside")
        self._guard = Guard(home, (canary, home / "beside"))
        stocked.kind.lay(home)
        self._laid = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
        self._start_mib = 0.0

    def run(self, start: int, count: int) -> None:
        """Read so many inputs from a number on."""
        _reset_peak()
        self._start_mib = _peak_mib()
        for index in range(start, start + count):
            self.read(damaged(self.stocked, self.seed, index), index)

    def read(self, sample: Sample, index: int) -> str:
        """Read one input; what the refusal says, or nothing."""
        file = self.home / sample.name
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        file.write_bytes(sample.content)
        self._messages.lines.clear()
        _reset_peak()
        self.beat.beat(index)
        clock, own_clock = time.monotonic(), time.process_time()
        problems: list[tuple[str, str]] = []
        refusal = ""
        try:
            with self._guard.watching() as events:
                self.stocked.kind.read(self.home, file)
            self.tally.ok += 1
        except Exception as error:  # noqa: BLE001 - all is looked for
            refusal = str(error) or type(error).__name__
            self.tally.refused += 1
            problems += _judged(error)
        except BaseException as error:  # noqa: BLE001 - SystemExit, say
            problems.append((f"raises {type(error).__name__}", traceback.format_exc()))
        seconds = min(time.monotonic() - clock, time.process_time() - own_clock)
        self.beat.beat(-1)
        growth = _peak_mib() - self._start_mib
        problems += events
        problems += [(f"logs {fault}", line[:2000]) for line in self._messages.lines if (fault := fault_of(line))]
        problems += [(f"takes over {MAX_SECONDS:g} s", f"{seconds:.1f} s")] if seconds > MAX_SECONDS else []
        problems += [("takes over 1 GiB", f"{growth:.0f} MiB")] if growth > MAX_GROWTH_MIB else []
        problems += self._tidy(file)
        self._count(seconds, growth)
        if index < len(self.stocked.samples):
            self.tally.outcomes[str(index)] = "refused" if refusal else "read"
        for key, detail in problems:
            self._note(key, detail, sample, index)
        return refusal

    def _count(self, seconds: float, growth: float) -> None:
        self.tally.inputs += 1
        self.tally.slowest_ms = max(self.tally.slowest_ms, 1000 * seconds)
        self.tally.peak_mib = max(self.tally.peak_mib, growth)

    def _note(self, key: str, detail: str, sample: Sample, index: int) -> None:
        known = self.findings.get(key)
        if known is not None:
            known.count += 1
            if known.size <= len(sample.content):
                return
        found = Finding(self.stocked.kind.name, key, detail[-4000:], self.seed, index, sample.name, len(sample.content))
        found.count = known.count if known else 1
        found.file = str(keep_input(self.keep, found, sample.content))
        self.findings[key] = found

    def _tidy(self, file: Path) -> list[tuple[str, str]]:
        """Take the input away again, and see that nothing else came into the folder or left it."""
        laid = self._laid
        if file in laid:
            file.write_bytes(laid[file])
        else:
            file.unlink(missing_ok=True)
        there = {Path(folder, name) for folder, _, names in os.walk(self.home) for name in names}
        problems = []
        for path in there - laid.keys():
            path.unlink(missing_ok=True)
            if not self.stocked.kind.writes:
                problems.append(("leaves a file", path.name))
        for path in laid.keys() - there:
            problems.append(("deletes a file", path.name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(laid[path])
        if self.stocked.kind.writes:
            for path in laid:
                path.write_bytes(laid[path])
        return problems


def keep_input(folder: Path, finding: Finding, content: bytes) -> Path:
    """Save the input of a finding under a name that tells which it is."""
    mark = f"{abs(hash_of(finding.key)):08x}"
    target = folder / f"{finding.kind}-{mark}" / Path(finding.sample).name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    told = {key: value for key, value in asdict(finding).items() if key != "file"}
    (target.parent / "finding.json").write_text(json.dumps(told, indent=1) + "\n")
    return target


def hash_of(text: str) -> int:
    """A number for a text, the same in every process."""
    return zlib.crc32(text.encode("utf-8", "replace"))


def _judged(error: Exception) -> list[tuple[str, str]]:
    """What is wrong with how a file was refused."""
    name, own = type(error).__name__, type(error).__module__.split(".")[0] in ("builtins", "autolink_gen")
    if not isinstance(error, ValueError | OSError):
        fault = f"raises {name}"
    elif not own or isinstance(error, UnicodeError):
        fault = f"raises a parser's own {name}"
    elif fault := fault_of(str(error)):
        fault = f"says {fault}"
    else:
        return []
    told = "".join(traceback.format_exception(error))
    return [(f"{fault} at {' <- '.join(_frames(error))}", f"{str(error)[:1800]!r}\n{told[-2000:]}")]


def fault_of(message: str) -> str:
    """What makes a message unfit for one line of a terminal, or nothing."""
    if "\n" in message:
        return "more than a line"
    if any(unicodedata.category(one) in _UNPRINTABLE for one in message if not one.isprintable()):
        return "control characters"
    return f"over {MAX_MESSAGE} characters" if len(message) > MAX_MESSAGE else ""


def _frames(error: BaseException) -> Sequence[str]:
    """The innermost frame of the product, and the one below it."""
    found = traceback.extract_tb(error.__traceback__)
    ours = [n for n, frame in enumerate(found) if frame.filename.startswith(str(_REPOSITORY)) and
            "/tests/" not in frame.filename]  # fmt: skip
    chosen = found[ours[-1] : ours[-1] + 2] if ours else found[-1:]
    return [f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.name}" for frame in reversed(chosen)]


def _reset_peak() -> None:
    """Begin anew to measure the most memory, where the system can; else the most is that of all inputs so far."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
        file.write("5")


def _peak_mib() -> float:
    """The most resident memory of this process since that."""
    try:
        with open("/proc/self/status") as file:  # noqa: PTH123
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def become_worker(log: Path) -> None:
    """Make this forked process fit to read: no terminal, limited memory, a traceback where it dies."""
    _die_with_parent()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    faulthandler.enable(file=handle)
    faulthandler.register(signal.SIGUSR1, file=handle)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    logging.getLogger().handlers.clear()
    sys.setrecursionlimit(1000)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    room = pages * os.sysconf("SC_PAGE_SIZE") + _ADDRESS_ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
