"""Full disks, and two processes in one run's folder: the crashes of ``kill_resume.py`` beside kills."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crashes import TOLD, differences, finish, leftovers, newest_step, start, unreadable

from autolink_gen.checkpoints import WEIGHTS_NAME

_PAGE = 4096  # bytes
_ROOMY = "1g"


def fill_disks(alone: Path, folder: Path, steps: int, *, number: int, seed: int, job: str) -> bool:
    """Train on disks that are full at a random moment and then have room, print the table; whether all is well."""
    if number:
        print("disk     room  newest save  all readable  one line  bit-equal after  left  what is said")
    draw, whole = random.Random(seed), sum(path.stat().st_size for path in alone.rglob("*") if path.is_file())
    good = True
    for trial in range(1, number + 1):
        room = draw.randrange(8 * _PAGE, whole if trial % 2 else whole // 8)
        with _small_disk(folder / f"disk{trial}", room) as is_mounted:
            run, told = folder / f"disk{trial}" / "run", folder / f"told{trial}"
            process = start(run, steps, job, told=told, spare_bytes=None if is_mounted else room)
            process.join()
            said = told.read_text(encoding="utf-8") if told.exists() else ""
            is_line = process.exitcode == TOLD and "\n" not in said and "free some space" in said
            newest, broken = newest_step(run), list(unreadable(run))
            if is_mounted:
                _mount("-o", f"remount,size={_ROOMY}", str(run.parent))
            finish(run, steps, job)
            different, left = differences(alone, run), leftovers(run)
        good &= is_line and not broken and not different and not left
        words = ("yes" if fine else "NO" for fine in (not broken, is_line, not different))
        print("{:4d} {:8d}  {:11d}  {:>12}  {:>8}  {:>15}".format(trial, room, newest, *words), end="")
        print(f"  {len(left):4d}  {said[:70] or f'exit code {process.exitcode}'}", *different[:3], flush=True)
    return good


@contextmanager
def _small_disk(folder: Path, room: int) -> Iterator[bool]:
    """A file system in memory with so many bytes of room, where this process may mount one; whether there is one."""
    folder.mkdir()
    is_root = os.name == "posix" and os.geteuid() == 0
    is_mounted = is_root and _mount("-t", "tmpfs", "-o", f"size={room}", "tmpfs", folder)
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(*arguments: object) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode == 0


def run_pairs(alone: Path, folder: Path, steps: int, *, number: int, seed: int, job: str) -> bool:
    """Start two processes in one run's folder at a time, print the table; whether one of each trained, undisturbed."""
    if number:
        print("pair  apart  one trained  other told  bit-equal  same file  left  what is said")
    draw, good = random.Random(seed), True
    for trial in range(1, number + 1):
        run, apart_s = folder / f"pair{trial}", draw.choice([0.0, 0.0, draw.uniform(0, 1.0)])
        told = [folder / f"told-{trial}-{which}" for which in (1, 2)]
        processes = []
        for file in told:
            processes.append(start(run, steps, job, told=file))
            time.sleep(apart_s)
        for process in processes:
            process.join()
        codes = sorted(process.exitcode or 0 for process in processes)
        said = " ".join(file.read_text(encoding="utf-8") for file in told if file.exists())
        different, left = differences(alone, run), leftovers(run)
        is_same = (run / WEIGHTS_NAME).read_bytes() == (alone / WEIGHTS_NAME).read_bytes()
        is_told = codes[1] == TOLD and "in use by process" in said and "\n" not in said
        checks = (codes[0] == 0, is_told, not different, is_same)
        good &= all(checks) and not left
        words = ("yes" if fine else "NO" for fine in checks)
        print("{:4d}  {:4.2f}s  {:>11}  {:>10}  {:>9}  {:>9}".format(trial, apart_s, *words), end="")
        print(f"  {len(left):4d}  {said.removeprefix(str(run))[:70]}", flush=True)
    return good
