"""What is to be trained on a graph: the GAN and the transfer network, by a command or a call."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from autolink_gen.checkpoints import GRAPH_NAME
from autolink_gen.clusters import ClusterChoice
from autolink_gen.config import GanRunConfig, TransferRunConfig, build
from autolink_gen.models.autolink import AutoLink
from autolink_gen.recipes import merge, read_recipe
from autolink_gen.runs import RunFolder
from autolink_gen.training import gan, transfer
from autolink_gen.training.graph_choosing import choose_graph
from autolink_gen.training.graph_copy import with_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.naming import data_label, run_name, whole_path
from autolink_gen.training.plans import Choices, chosen, default_recipe

Config = TypeVar("Config", GanRunConfig, TransferRunConfig)


@dataclass(frozen=True)
class PaintingPlan(Generic[Config]):
    """A run on a graph that may be trained; ``notes`` say which graph it is, and what a user should know of it.

    ``graph`` is None in a plan that was made without one, to look at.
    """

    recipe: str
    config: Config
    folder: Path
    graph: AutoLink | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphWish:
    """Which graph to train on: a run, None: the newest that fits; what to leave out of it; whether a run goes on.

    ``is_needed``: False plans without a graph where there is none yet.
    """

    run: str | os.PathLike[str] | None = None
    dropped: ClusterChoice | None = None
    resume: bool = True
    is_needed: bool = True


def plan_gan(
    choices: Choices,
    graph: GraphWish,
    *,
    image_size: int | None = None,
    classes: tuple[str, ...] | None = None,
    gamma: float | None = None,
    augment: bool | None = None,
) -> PaintingPlan[GanRunConfig]:
    """What `train_gan` trains. Raises ValueError for settings that cannot be and where there is no graph."""
    given = choices.given(
        model={"image_size": image_size}, data={"classes": classes}, loss={"gamma": gamma, "augment": augment}
    )
    suffix = "".join(f"-{name.replace('/', '-')}" for name in classes or ())
    return _plan(GanRunConfig, "gan", choices, graph, given=given, suffix=suffix, called="the GAN")


def plan_transfer(
    choices: Choices, graph: GraphWish, *, image_size: int | None = None
) -> PaintingPlan[TransferRunConfig]:
    """What `train_transfer` trains. Raises ValueError for settings that cannot be and where there is no graph."""
    given = choices.given(model={"image_size": image_size})
    return _plan(TransferRunConfig, "transfer", choices, graph, given=given, suffix="", called="the network")


def _plan(
    kind: type[Config],
    name: str,
    choices: Choices,
    wish: GraphWish,
    *,
    given: Mapping[str, Any],
    suffix: str,
    called: str,
) -> PaintingPlan[Config]:
    recipe = choices.recipe or default_recipe(name, choices.data)
    values = read_recipe(name, recipe)

    def folder_of(data: str) -> Path:
        return choices.out / name / (choices.name or run_name(data_label(data), suffix=suffix))

    def configured(size: Mapping[str, Any]) -> Config:
        return build(kind, merge(merge(merge({"model": size}, values), given), choices.settings or {}))

    data = whole_path(choices.data) if choices.data else "puppets"
    folder = folder_of(data)
    if not wish.is_needed and not _has_graph(folder, choices.out, wish):
        config = configured({})
        return PaintingPlan(recipe, config, folder_of(config.data.name), None)
    found = choose_graph(folder, data, run=wish.run, dropped=wish.dropped, resume=wish.resume, called=called)
    config = configured({"image_size": found.graph.config.image_size})
    config = with_graph(config, found.graph, found.choice)
    return PaintingPlan(recipe, config, folder_of(config.data.name), found.graph, found.notes)


def _has_graph(folder: Path, runs: Path, wish: GraphWish) -> bool:
    kept = wish.resume and (folder / GRAPH_NAME).is_file()
    return wish.run is not None or kept or bool(RunFolder.finished("graph", runs=runs))


def train_gan(
    data: str | Path | None = None,
    *,
    graph: str | os.PathLike[str] | None = None,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    mirror: bool | None = None,
    classes: Sequence[str] | None = None,
    gamma: float | None = None,
    augment: bool | None = None,
    seed: int | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    fresh: bool = False,
    devices: int | str = "auto",
    precision: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train a GAN that paints new objects on the edge maps of a learned graph, as the command ``train-gan`` does.

    Returns the run, for `load_gan`, `generate` and all commands. ``graph`` is a run of `learn_graph`; None: the
    newest on these data, else the newest. The other arguments are those of `learn_graph`; ``classes`` takes some class
    folders alone, ``gamma`` weighs the R1 penalty, ``augment`` is for few images. Raises ValueError as `learn_graph`
    does.
    """
    choices = chosen(
        data,
        data_root,
        recipe,
        name,
        out,
        mirror=mirror,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        settings=settings,
    )
    wish = GraphWish(graph, resume=not fresh)
    wanted = None if classes is None else tuple(classes)
    plan = plan_gan(choices, wish, image_size=image_size, classes=wanted, gamma=gamma, augment=augment)
    assert plan.graph is not None
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh, progress)
    gan.train_gan(plan.config, plan.graph, launch)
    return RunFolder.find(plan.folder, kind="gan")


def train_transfer(
    data: str | Path | None = None,
    *,
    graph: str | os.PathLike[str] | None = None,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    mirror: bool | None = None,
    seed: int | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    fresh: bool = False,
    devices: int | str = "auto",
    precision: str | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train a network that paints one video's motion with another's appearance, as ``train-transfer`` does.

    Returns the run, for `load_transfer`, `transfer` and all commands. ``data`` is a folder of videos, of folders of
    frames, or a named set; None: clips of the puppets. The other arguments are those of `train_gan`. Raises ValueError
    as `learn_graph` does.
    """
    choices = chosen(
        data,
        data_root,
        recipe,
        name,
        out,
        mirror=mirror,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        settings=settings,
    )
    plan = plan_transfer(choices, GraphWish(graph, resume=not fresh), image_size=image_size)
    assert plan.graph is not None
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh, progress)
    transfer.train_transfer(plan.config, plan.graph, launch)
    return RunFolder.find(plan.folder, kind="transfer")
