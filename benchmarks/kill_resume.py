"""Training that is killed, or meets a full disk or another process, compared with a run left alone.

    python benchmarks/kill_resume.py --kills 20
    python benchmarks/kill_resume.py --kills 10 --job gan
    python benchmarks/kill_resume.py --full-disk 10 --two-processes 10 --job transfer

--kills: SIGKILL at random moments, the run resumed each time. --full-disk: a disk that is full at a random moment (a
small file system in memory for root, else writes that fail), then has room. --two-processes: two processes start in
one run's folder at about the same moment, of which one may train. Prints a line a crash: the step of the newest save,
whether every save could be read, and whether weights, averages, optimiser and generator are equal to the last bit at
the end. The exit code is 0 only if all is well.
"""

import argparse
import math
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crashes import JOBS, differences, finish, leftovers, newest_step, start, unreadable
from other_crashes import fill_disks, run_pairs

from autolink_gen.training.saves import step_folders


@dataclass(frozen=True)
class Kill:
    """One kill: the newest save seen before it and found after it (0: none), and what could not be read."""

    number: int
    seconds: float  # from the start of the process
    before: int
    after: int
    num_saves: int
    unreadable: tuple[str, ...]

    @property
    def harmless(self) -> bool:
        """Whether nothing but what came after the last save was lost."""
        return not self.unreadable and self.after >= self.before


def kill_once(folder: Path, steps: int, *, job: str, number: int, interval: float, draw: random.Random) -> Kill | None:
    """Train, and kill at a random moment: while starting, or some time after a save; None if the run ended first.

    ``interval`` is about how many seconds lie between two saves.
    """
    first = newest_step(folder)
    process = start(folder, steps, job)
    started = time.monotonic()
    patience = math.inf if draw.random() < 0.8 else draw.uniform(0, 2.0)  # seconds; starting takes about as long
    while process.is_alive() and newest_step(folder) == first and time.monotonic() - started < patience:
        time.sleep(0.001)
    if newest_step(folder) > first:
        time.sleep(draw.uniform(0, 2 * interval))
    before = newest_step(folder)
    seconds = time.monotonic() - started
    process.kill()
    process.join()
    if process.exitcode == 0:
        return None
    num_saves = len(step_folders(folder / "checkpoints"))
    return Kill(number, seconds, before, newest_step(folder), num_saves, tuple(unreadable(folder)))


def kill_and_resume(
    folder: Path, steps: int, *, kills: int, interval: float, seed: int, job: str = "graph"
) -> Iterator[Kill]:
    """Kill a run so many times, resuming it each time, then let it end."""
    draw = random.Random(seed)
    for number in range(1, kills + 1):
        kill = kill_once(folder, steps, job=job, number=number, interval=interval, draw=draw)
        if kill is None:
            raise ValueError(f"the run ended before kill {number}: give more than {steps} steps")
        yield kill
    finish(folder, steps, job)


def _run_kills(straight: Path, killed: Path, steps: int, *, kills: int, interval: float, seed: int, job: str) -> bool:
    """Kill and resume, print the table; whether all is well."""
    print("kill   after  newest save before  after  saves there  all readable  nothing lost")
    all_harmless = True
    for kill in kill_and_resume(killed, steps, kills=kills, interval=interval, seed=seed, job=job):
        all_harmless &= kill.harmless
        readable, kept = ("yes" if good else "NO" for good in (not kill.unreadable, kill.harmless))
        print(
            f"{kill.number:4d}  {kill.seconds:5.2f}s  {kill.before:18d}  {kill.after:5d}  {kill.num_saves:11d}  "
            f"{readable:>12}  {kept:>12}",
            flush=True,
        )
    different, left = differences(straight, killed), leftovers(killed)
    print(f"bit-equal to the run left alone: {different or 'yes'}")
    print(f"temporary files left: {len(left)}")
    return all_harmless and not different and not left


def main() -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="[default: 20, or none with another kind of crash]")
    parser.add_argument("--full-disk", type=int, default=0, metavar="N", help="full disks")
    parser.add_argument("--two-processes", type=int, default=0, metavar="N", help="pairs of processes")
    parser.add_argument("--steps", type=int, help="training steps [default: 8 a kill; 24 for other crashes]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=JOBS, default="graph")
    arguments = parser.parse_args()
    job, seed = arguments.job, arguments.seed
    kills = arguments.kills or (0 if arguments.full_disk or arguments.two_processes else 20)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kills:
            steps = arguments.steps or 8 * kills
            interval = finish(folder / "straight", steps, job) / (steps / 2)
            print(f"{job}: {steps} steps, a save at every other one")
            plan = {"kills": kills, "interval": interval, "seed": seed, "job": job}
            good &= _run_kills(folder / "straight", folder / "killed", steps, **plan)
        if arguments.full_disk or arguments.two_processes:
            steps = arguments.steps or 24
            finish(folder / "alone", steps, job)
            print(f"{job}: {steps} steps, a save at every other one")
            plan = {"seed": seed, "job": job}
            good &= fill_disks(folder / "alone", folder, steps, number=arguments.full_disk, **plan)
            good &= run_pairs(folder / "alone", folder, steps, number=arguments.two_processes, **plan)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
