"""Tiny runs in processes of their own, and whether two runs are equal: what ``kill_resume.py`` makes crashes with."""

import errno
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
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

JOBS = ("graph", "gan", "transfer")
TOLD = 3  # the exit code of training that ended with one line, as the command line has it
_CONTEXT = multiprocessing.get_context("forkserver")  # children start with torch imported, yet share nothing
_LENGTH = {"batch_size": 2, "ema": 0.9, "save_every": 2, "grid_every": 10, "log_every": 1}


def tiny_config(steps: int) -> GraphRunConfig:
    """Puppets, a model of a few thousand weights, a save at every other step."""
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 4, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": "puppets", "flip": 0.5},
            "perceptual": {"features": "random", "distance": "l1"},
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
            "adversarial": {"penalty_every": 3},
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
            "weights": {"discriminator_width": 0.02},
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


def _train_and_tell(folder: Path, steps: int, job: str, told: Path | None, spare_bytes: int | None) -> None:
    """Train; what the command line would make one line of goes to the file ``told``."""
    if spare_bytes is not None:
        _fill_after(spare_bytes)
    try:
        train(folder, steps, job)
    except (ValueError, OSError) as error:
        if told is None:
            raise
        told.write_text(str(error), encoding="utf-8")
        os._exit(TOLD)


def _fill_after(spare_bytes: int) -> None:
    """Let the disk of this process be full after so many bytes: files are counted when they are synchronised."""
    from autolink_gen.common import files
    from autolink_gen.training import saves

    plain, written = files.sync_file, [0]

    def sync(path: Path) -> None:
        written[0] += path.stat().st_size
        if written[0] > spare_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        plain(path)

    files.sync_file = saves.sync_file = sync


def start(
    folder: Path, steps: int, job: str, *, told: Path | None = None, spare_bytes: int | None = None
) -> BaseProcess:
    """Train in a process of its own; with ``told`` it ends with the exit code TOLD where a line says why."""
    _CONTEXT.set_forkserver_preload([f"autolink_gen.training.{job}", "torch.utils.tensorboard"])
    process = _CONTEXT.Process(target=_train_and_tell, args=(folder, steps, job, told, spare_bytes))
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


def unreadable(folder: Path) -> Iterator[str]:
    """What cannot be read of a run's saves and of its weights to use."""
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


def leftovers(folder: Path) -> list[Path]:
    """Temporary files and locks that a run which has ended should not leave."""
    return [path for path in folder.rglob(".*") if path.name.startswith((".tmp", ".lock")) or path.suffix == ".tmp"]
