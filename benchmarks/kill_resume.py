"""Kill training with SIGKILL at random moments, resume each time, and compare the end with a run left alone.

    python benchmarks/kill_resume.py --kills 20
    python benchmarks/kill_resume.py --kills 10 --job gan
    python benchmarks/kill_resume.py --kills 10 --job transfer

Prints, for each kill, the step of the newest save before and after it and whether every save could be read, and at
the end whether weights, averages, optimiser and generator are equal to the last bit.
"""

import argparse
import math
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from autolink_gen.checkpoints import WEIGHTS_NAME, read_weights
from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.gan import train_gan
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.saves import read_newest, read_save, step_folders
from autolink_gen.training.transfer import train_transfer

_CONTEXT = multiprocessing.get_context("forkserver")  # children start with torch imported, yet share nothing

_LENGTH = {"batch_size": 2, "ema": 0.9, "save_every": 2, "grid_every": 10, "log_every": 1}


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


def tiny_config(steps: int) -> GraphRunConfig:
    """Puppets, a model of a few thousand weights, a save at every other step."""
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 4, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": "puppets", "flip": 0.5},
            "loss": {"features": "random", "distance": "l1"},
            "optimiser": {"lr": 1e-3, "schedule": "cosine", "warmup_steps": 2},
            "training": _LENGTH | {"steps": steps},
            "thickness": {"start": 2e-2},
        },
    )


def tiny_gan_config(steps: int) -> GanRunConfig:
    """The same for the GAN."""
    return build(
        GanRunConfig,
        {
            "model": {"image_size": 64, "width": 0.02, "style_size": 8},
            "data": {"name": "puppets", "flip": 0.5},
            "loss": {"penalty_every": 3},
            "training": _LENGTH | {"steps": steps},
            "progress": {"pictures": 0},
        },
    )


def tiny_transfer_config(steps: int) -> TransferRunConfig:
    """The same for the pose-transfer network."""
    return build(
        TransferRunConfig,
        {
            "model": {"image_size": 64, "width": 0.05, "appearance_width": 0.05, "warps": True},
            "data": {"name": "puppets", "flip": 0.5},
            "loss": {"discriminator_width": 0.02},
            "perceptual": {"features": "random", "distance": "l1"},
            "adversarial": {"penalty_every": 3},
            "training": _LENGTH | {"steps": steps},
            "progress": {"pictures": 0},
        },
    )


def train(folder: Path, steps: int, job: str) -> None:
    """Train or go on training in this process, with one thread."""
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system's, which a killed process leaves behind
    launch = Launch(folder=folder, devices=1, progress=False)
    if job == "graph":
        train_graph(tiny_config(steps), launch)
        return
    torch.manual_seed(0)
    graph = AutoLink(AutoLinkConfig(num_keypoints=4, image_size=64, width=0.05, sigma2=1e-2))
    if job == "gan":
        train_gan(tiny_gan_config(steps), graph, launch)
    else:
        train_transfer(tiny_transfer_config(steps), graph, launch)


def start(folder: Path, steps: int, job: str) -> BaseProcess:
    """Train in a process of its own."""
    _CONTEXT.set_forkserver_preload([f"autolink_gen.training.{job}", "torch.utils.tensorboard"])
    process = _CONTEXT.Process(target=train, args=(folder, steps, job))
    process.start()
    return process


def finish(folder: Path, steps: int, job: str = "graph") -> float:
    """Train to the end; returns the seconds it took, raises RuntimeError where that fails."""
    started = time.monotonic()
    process = start(folder, steps, job)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"training in {folder} ended with exit code {process.exitcode}")
    return time.monotonic() - started


def newest_step(folder: Path) -> int:
    """The step of the newest save, 0 where there is none."""
    found = step_folders(folder / "checkpoints")
    return int(found[-1].name.removeprefix("step-")) if found else 0


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
    unreadable = tuple(_unreadable(folder))
    return Kill(number, seconds, before, newest_step(folder), len(step_folders(folder / "checkpoints")), unreadable)


def _unreadable(folder: Path) -> Iterator[str]:
    for save in step_folders(folder / "checkpoints"):
        try:
            read_save(save)
        except ValueError as error:
            yield str(error)
    if (folder / WEIGHTS_NAME).exists():
        try:
            read_weights(folder / WEIGHTS_NAME)
        except ValueError as error:
            yield str(error)


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


def differences(one: Path, other: Path) -> list[str]:
    """The tensors and numbers that differ between the newest saves, and the weights to use, of two runs."""
    flat = []
    for folder in (one, other):
        found = read_newest(folder / "checkpoints")
        assert found is not None
        state = {**found[1], "weights": found[0], "usable": read_weights(folder / WEIGHTS_NAME)[1]}
        flat.append(dict(_flatten(state)))
    names = flat[0].keys() | flat[1].keys()
    return sorted(name for name in names if not _equal(flat[0].get(name), flat[1].get(name)))


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _flatten(inner, f"{name}/{key}")
    else:
        yield name, value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return bool(one == other)


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, help="training steps [default: 8 a kill]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=["graph", "gan", "transfer"], default="graph")
    arguments = parser.parse_args()
    steps = arguments.steps or 8 * arguments.kills
    with tempfile.TemporaryDirectory() as folder:
        straight, killed = Path(folder) / "straight", Path(folder) / "killed"
        job = arguments.job
        interval = finish(straight, steps, job) / (steps / 2)
        print(f"{steps} steps, a save at every other one")
        print("kill   after  newest save before  after  saves there  all readable  nothing lost")
        all_harmless = True
        plan = {"kills": arguments.kills, "interval": interval, "seed": arguments.seed, "job": job}
        for kill in kill_and_resume(killed, steps, **plan):
            all_harmless &= kill.harmless
            readable, kept = ("yes" if good else "NO" for good in (not kill.unreadable, kill.harmless))
            print(
                f"{kill.number:4d}  {kill.seconds:5.2f}s  {kill.before:18d}  {kill.after:5d}  {kill.num_saves:11d}  "
                f"{readable:>12}  {kept:>12}",
                flush=True,
            )
        different = differences(straight, killed)
        leftovers = list(killed.rglob("*.tmp"))
    print(f"bit-equal to the run left alone: {different or 'yes'}")
    print(f"temporary files left: {len(leftovers)}")
    raise SystemExit(0 if all_harmless and not different and not leftovers else 1)


if __name__ == "__main__":
    main()
