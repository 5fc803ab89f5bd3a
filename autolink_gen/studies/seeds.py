"""Comparison of several seeds of one run by their reconstruction loss."""

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.files import write_text_atomically
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.config import GraphRunConfig
from autolink_gen.data.held_out import open_people
from autolink_gen.evaluation.fid import spread_batches
from autolink_gen.losses.perceptual import PerceptualLoss
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.ops.resizing import resize
from autolink_gen.studies.seed_table import seeds_in
from autolink_gen.training.batches import open_images, step_generator
from autolink_gen.training.folders import MAY_CHANGE, changed_settings
from autolink_gen.training.graph_loss import make_loss
from autolink_gen.training.locks import LOCK_NAME, locked_run
from autolink_gen.training.run_data import source_of

_MAX_IMAGES = 256
_BATCH = 16
# Settings of the best run that say nothing of what was asked for; how long it is does.
_OF_NO_ACCOUNT = MAY_CHANGE - {"training.steps"} | {"training.seed"}
_MASKS = 3  # the stream of random numbers of the masks that runs are compared on
SEEDS_NAME = "seeds.json"


@dataclass(frozen=True)
class SeedLoss:
    """The reconstruction loss (AutoLink eq. 6) of the run with a seed, on images and masks that all seeds share."""

    seed: int
    loss: float


def compare_seeds(
    config: GraphRunConfig, folders: Sequence[Path], seeds: Sequence[int], *, progress: Progress = no_progress
) -> list[SeedLoss]:
    """The loss of each run, which differ in their seed alone, the best first.

    At most 256 held-out images are repainted, or training images where nothing is held out.
    """
    size, fit = config.model.input_size, config.model.fit
    source, every = source_of(config.data), config.data.hold_out
    images: Dataset[Tensor] | None
    if every:
        images = open_people(source, every=every, held_out=True, size=size, fit=fit)
    else:
        images = source.held_out(size=size, fit=fit)
    if images is None:
        images = open_images(source, hold_out=every, size=size, fit=fit, seed=0)
    loss_of = make_loss(config.perceptual)
    losses = [
        SeedLoss(seed, _loss(folder, loss_of, images))
        for folder, seed in progress(list(zip(folders, seeds, strict=True)), len(folders), "compare")
    ]
    return sorted(losses, key=lambda entry: entry.loss if math.isfinite(entry.loss) else math.inf)


@torch.no_grad()
def _loss(folder: Path, loss_of: PerceptualLoss, images: Dataset[Tensor]) -> float:
    model = load_graph_model(folder)
    total, count = 0.0, 0
    for number, batch in enumerate(spread_batches(images, count=_MAX_IMAGES, batch_size=_BATCH)):
        mask = model.random_mask(len(batch), generator=step_generator(0, number, stream=_MASKS))
        targets = batch if loss_of.resize else resize(batch, model.config.image_size)
        repainted = from_signed(model(to_signed(batch), mask).images)
        total += float(loss_of(repainted, targets)) * len(batch)
        count += len(batch)
    return total / count


def spread(losses: Sequence[SeedLoss]) -> tuple[float, float]:
    """Mean and standard deviation of the losses."""
    values = [entry.loss for entry in losses]
    return float(np.mean(values)), float(np.std(values))


def write_losses(file: Path, losses: Sequence[SeedLoss]) -> None:
    """The losses of all seeds as JSON, the best first."""
    write_text_atomically(file, json.dumps([asdict(entry) for entry in losses], indent=1) + "\n", follow_links=False)


def check_kept(folder: Path, config: GraphRunConfig, seeds: Sequence[int]) -> None:
    """ValueError unless ``folder`` holds the best of just these seeds, trained with the same settings."""
    changes = changed_settings(folder, config, but=_OF_NO_ACCOUNT)
    theirs = seeds_in(folder / SEEDS_NAME)
    if theirs != sorted(seeds):
        changes.append(f"the seeds were {_join(theirs)}, now {_join(sorted(seeds))}")
    if changes:
        raise ValueError(
            f"{folder} holds the best of several seeds with other settings: {'; '.join(changes)}. Give another --name, "
            f"or --fresh to move it aside and train all anew"
        )


def _join(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def check_free(target: Path) -> None:
    """ValueError where the place of the best run is taken: to be asked before the runs are trained."""
    if target.exists():
        raise ValueError(f"{target} exists; choose another --name for the best of the seeds")


def keep_best(folders: Sequence[Path], best: Path, target: Path, losses: Sequence[SeedLoss]) -> None:
    """Give the best run's folder the name ``target``, with the losses in it, and delete the other runs.

    Raises ValueError where ``target`` exists, and where another process trains in one of the folders.
    """
    check_free(target)
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(locked_run(folder))
        write_losses(best / SEEDS_NAME, losses)
        best.rename(target)
        (target / LOCK_NAME).unlink(missing_ok=True)
        for folder in folders:
            if folder != best:
                shutil.rmtree(folder)
