"""Plans of runs on a graph: the GAN and the transfer network."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from autolink_gen.checkpoints import GRAPH_NAME
from autolink_gen.clusters import ClusterChoice
from autolink_gen.config import GanRunConfig, RunKind, TransferRunConfig, build, explained_yaml
from autolink_gen.data.published.sets import PUPPETS
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import Generator
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.recipes import merge, read_recipe, recipe_header
from autolink_gen.runs import RunFolder
from autolink_gen.training import gan, transfer
from autolink_gen.training.engine import Run
from autolink_gen.training.graph_copy import with_graph
from autolink_gen.training.graph_selection import choose_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.loggers import Logger
from autolink_gen.training.naming import run_name
from autolink_gen.training.plans import Choices, choices_of
from autolink_gen.training.report import machine_lines, parameter_table, run_of
from autolink_gen.training.run_data import source_of

Config = TypeVar("Config", bound=GanRunConfig | TransferRunConfig)


@dataclass(frozen=True)
class PaintingPlan(ABC, Generic[Config]):
    """A planned run on a graph; ``notes`` tell the user which graph it is.

    ``graph`` is None in a plan that was made without one, to look at.
    """

    recipe: str
    config: Config
    folder: Path
    graph: AutoLink | None
    notes: tuple[str, ...] = ()

    kind: ClassVar[RunKind]

    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that are trained, untrained, by name."""

    @abstractmethod
    def train(self, launch: Launch) -> Run:
        """Train it; the plan must have a graph."""

    def describe(self, launch: Launch) -> list[str]:
        """The configuration, itself a recipe, and the parameters by block, as lines of YAML.

        Before them stands what the launch takes of this machine.
        """
        machine = machine_lines(launch, self.config.training, workers=self.config.data.workers)
        header = [f"# recipe: {self.recipe}", *recipe_header(self.kind, self.recipe), f"# {self.folder}", *machine]
        return [*header, *explained_yaml(self.config).splitlines(), *parameter_table(self.networks())]


class GanPlan(PaintingPlan[GanRunConfig]):
    """A planned run of the GAN."""

    kind = "gan"

    def networks(self) -> Mapping[str, nn.Module]:
        """The generator and the discriminator."""
        return {"generator": Generator(self.config.model), "discriminator": Discriminator(self.config.model)}

    def train(self, launch: Launch) -> Run:
        """Train the GAN."""
        assert self.graph is not None
        return gan.train_gan(self.config, self.graph, launch)


class TransferPlan(PaintingPlan[TransferRunConfig]):
    """A planned run of the pose-transfer network."""

    kind = "transfer"

    def networks(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"network": TransferNetwork(self.config.model)}

    def train(self, launch: Launch) -> Run:
        """Train the network."""
        assert self.graph is not None
        return transfer.train_transfer(self.config, self.graph, launch)


@dataclass(frozen=True)
class GraphRequest:
    """A request for a graph: its run (None: the newest that fits), dropped clusters, whether to resume.

    ``is_needed``: False plans without a graph where there is none yet.
    """

    run: str | os.PathLike[str] | None = None
    dropped: ClusterChoice | None = None
    resume: bool = True
    is_needed: bool = True


def plan_gan(
    choices: Choices,
    graph: GraphRequest,
    *,
    image_size: int | None = None,
    classes: tuple[str, ...] | None = None,
    gamma: float | None = None,
    augment: bool | None = None,
) -> GanPlan:
    """Plan a run of the GAN. Raises ValueError for impossible settings and where there is no graph."""
    options = choices.config_values(
        model={"image_size": image_size}, data={"classes": classes}, adversarial={"gamma": gamma, "augment": augment}
    )
    suffix = "".join(f"-{name.replace('/', '-')}" for name in classes or ())
    return GanPlan(*_plan_fields(GanRunConfig, "gan", choices, graph, options=options, suffix=suffix, called="the GAN"))


def plan_transfer(choices: Choices, graph: GraphRequest, *, image_size: int | None = None) -> TransferPlan:
    """Plan a run of the transfer network. Raises ValueError for impossible settings and without a graph."""
    options = choices.config_values(model={"image_size": image_size})
    return TransferPlan(
        *_plan_fields(TransferRunConfig, "transfer", choices, graph, options=options, suffix="", called="the network")
    )


def _plan_fields(
    kind: type[Config],
    name: RunKind,
    choices: Choices,
    request: GraphRequest,
    *,
    options: Mapping[str, Any],
    suffix: str,
    called: str,
) -> tuple[str, Config, Path, AutoLink | None, tuple[str, ...]]:
    """The fields of a plan."""
    recipe = choices.recipe_of(name)
    values = read_recipe(name, recipe)

    def folder_of(source: Source) -> Path:
        return choices.out / name / (choices.name or run_name(source.label, suffix=suffix))

    def configure(size: Mapping[str, Any]) -> Config:
        return build(kind, merge(merge(merge({"model": size}, values), options), choices.changes(name)))

    source = open_source(choices.data or PUPPETS)
    folder = folder_of(source)
    if not request.is_needed and not _has_graph(folder, choices.out, request):
        config = configure({})
        return recipe, config, folder_of(source_of(config.data)), None, _without_graph(request)
    selection = choose_graph(
        folder, source, run=request.run, dropped=request.dropped, resume=request.resume, called=called
    )
    config = configure({"image_size": selection.graph.config.image_size})
    config = with_graph(config, selection.graph, selection.choice)
    return recipe, config, folder_of(source_of(config.data)), selection.graph, selection.notes


def _without_graph(request: GraphRequest) -> tuple[str, ...]:
    """The notes of a plan made before there is a graph."""
    notes = ("no graph yet: autolink-gen learn-graph makes one",)
    return notes if request.dropped is None else (*notes, f"{request.dropped} of its keypoints will be left out")


def _has_graph(folder: Path, runs: Path, request: GraphRequest) -> bool:
    has_copy = request.resume and (folder / GRAPH_NAME).is_file()
    return request.run is not None or has_copy or bool(RunFolder.finished("graph", runs=runs))


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
    compile: bool | None = None,
    loggers: Sequence[str | Logger] | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train a GAN that paints new objects on the edge maps of a learned graph, as the command ``train-gan`` does.

    Returns the run, for `load_gan`, `generate` and all commands. ``graph`` is a run of `learn_graph`; None: the
    newest on these data, else the newest. The other arguments are those of `learn_graph`; ``classes`` takes some class
    folders alone, ``gamma`` weighs the R1 penalty, ``augment`` is for few images. Raises ValueError as `learn_graph`
    does.
    """
    choices = choices_of(
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
        devices=devices,
    )
    request = GraphRequest(graph, resume=not fresh)
    class_names = None if classes is None else tuple(classes)
    plan = plan_gan(choices, request, image_size=image_size, classes=class_names, gamma=gamma, augment=augment)
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh, progress, compile=compile, loggers=loggers)
    return run_of(plan.train(launch), kind="gan")


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
    compile: bool | None = None,
    loggers: Sequence[str | Logger] | None = None,
    progress: bool = True,
) -> RunFolder:
    """Train a network that paints one video's motion with another's appearance, as ``train-transfer`` does.

    Returns the run, for `load_transfer`, `transfer` and all commands. ``data`` is a folder of videos, of folders of
    frames, or a named set; None: clips of the puppets. The other arguments are those of `train_gan`. Raises ValueError
    as `learn_graph` does.
    """
    choices = choices_of(
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
        devices=devices,
    )
    plan = plan_transfer(choices, GraphRequest(graph, resume=not fresh), image_size=image_size)
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh, progress, compile=compile, loggers=loggers)
    return run_of(plan.train(launch), kind="transfer")
