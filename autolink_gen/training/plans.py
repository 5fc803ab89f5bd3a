"""Plans of runs: recipes with the user's choices over them, and the run's folder."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autolink_gen.common.text import why_no_run_name
from autolink_gen.config import GraphRunConfig, RunKind, build, explained_yaml
from autolink_gen.data.source import open_source
from autolink_gen.recipes import current_keys, earlier_recipes, merge, nest, read_recipe, recipe_header, recipe_names
from autolink_gen.runs import RunFolder
from autolink_gen.training.engine import Run
from autolink_gen.training.folders import goes_on_with
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch, accelerator_of
from autolink_gen.training.loggers import Logger
from autolink_gen.training.naming import run_name
from autolink_gen.training.report import machine_lines, run_of
from autolink_gen.training.run_data import source_of

_FLIP = {True: 0.5, False: 0.0, None: None}  # data.flip of mirror


@dataclass(frozen=True)
class Choices:
    """A user's choices for any training; None leaves a choice to the recipe.

    ``data``: a named set, a folder, shards, or several, A+B. ``recipe``: its name or a YAML file; None: the one for the
    data and the ``devices``, those of the launch. ``name`` of the run; None: made from the data. ``out``: the folder of
    all runs. ``settings`` are nested values over all others.
    """

    data: str | None = None
    data_root: Path | None = None
    recipe: str | None = None
    name: str | None = None
    out: Path = Path("runs")
    mirror: bool | None = None
    seed: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    settings: Mapping[str, Any] | None = None
    devices: int | str = "auto"

    def __post_init__(self) -> None:
        if self.name is not None and (wrong := why_no_run_name(self.name)):
            raise ValueError(f"name: {wrong}")

    def recipe_of(self, kind: RunKind) -> str:
        """The recipe, by its name or its file, of a kind of run."""
        return self.recipe or default_recipe(kind, self.data, devices=self.devices)

    def changes(self, kind: RunKind) -> dict[str, Any]:
        """The ``settings`` under the keys that a kind of run has today."""
        return current_keys(kind, self.settings or {})

    def config_values(self, **groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The choices by groups of a configuration, with further ``groups``; None is left out.

        Raises ValueError for data whose name is no UTF-8: the configuration could not be written down.
        """
        for text in (self.data, self.data_root):
            try:
                str(text).encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"{text} is no UTF-8; rename that folder") from error
        data = open_source(self.data).full_name if self.data else None
        groups_of_values: dict[str, dict[str, Any]] = {
            "data": {"name": data, "root": self.data_root, "flip": _FLIP[self.mirror]},
            "training": {"seed": self.seed, "steps": self.steps, "batch_size": self.batch_size},
        }
        for group, values in groups.items():
            groups_of_values[group] = {**groups_of_values.get(group, {}), **values}
        return {group: {k: v for k, v in values.items() if v is not None} for group, values in groups_of_values.items()}


@dataclass(frozen=True)
class GraphPlan:
    """A planned run of the graph learner: its recipe's name, its configuration, its folder.

    ``earlier`` are the configurations that the same choices gave in earlier versions of the recipe.
    """

    recipe: str
    config: GraphRunConfig
    folder: Path
    earlier: Sequence[GraphRunConfig] = ()

    def as_begun(self) -> "GraphPlan":
        """The plan with an earlier version of the recipe, if the run in the folder was begun with that."""
        if goes_on_with(self.folder, self.config):
            return self
        for earlier in self.earlier:
            seeded = replace(earlier, training=replace(earlier.training, seed=self.config.training.seed))
            if goes_on_with(self.folder, seeded):
                return replace(self, config=seeded)
        return self

    def train(self, launch: Launch) -> Run:
        """Train it."""
        return train_graph(self.config, launch)

    def describe(self, launch: Launch) -> list[str]:
        """The configuration, itself a recipe, as lines of YAML, after what the launch takes of this machine."""
        machine = machine_lines(launch, self.config.training, workers=self.config.data.workers)
        header = [f"# recipe: {self.recipe}", *recipe_header("graph", self.recipe), f"# {self.folder}", *machine]
        return [*header, *explained_yaml(self.config).splitlines()]


def default_recipe(kind: str, data: str | None, *, devices: int | str = "auto") -> str:
    """The recipe for the embedded puppets, where ``kind`` has one, or for a user's own images on these devices."""
    if data in (None, "puppets") and "puppets" in recipe_names(kind):
        return "puppets"
    return "gpu" if accelerator_of(devices) == "cuda" else "cpu"


def plan_graph(
    choices: Choices,
    *,
    num_keypoints: int | None = None,
    image_size: int | None = None,
    hold_out: int | None = None,
) -> GraphPlan:
    """Plan a run of the graph learner. Raises ValueError for impossible settings."""
    recipe = choices.recipe_of("graph")
    options = choices.config_values(
        model={"num_keypoints": num_keypoints, "image_size": image_size}, data={"hold_out": hold_out}
    )

    def configure(values: Mapping[str, Any]) -> GraphRunConfig:
        return build(GraphRunConfig, merge(merge(values, options), choices.changes("graph")))

    config = configure(read_recipe("graph", recipe))
    held_out = f"-hold{config.data.hold_out}" if config.data.hold_out else ""
    suffix = f"-k{config.model.num_keypoints}{held_out}"
    name = choices.name or run_name(source_of(config.data).label, suffix=suffix)
    earlier = []
    for values in earlier_recipes("graph", recipe):
        with suppress(ValueError):  # settings of today that it could not have: no run was begun so
            earlier.append(configure(values))
    return GraphPlan(recipe, config, choices.out / "graph" / name, earlier)


def learn_graph(
    data: str | Path | None = None,
    *,
    num_keypoints: int | None = None,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    mirror: bool | None = None,
    hold_out: int | None = None,
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
    """Learn keypoints and the graph that links them from unlabelled images, as the command ``learn-graph`` does.

    Returns the run, which `load_graph_model`, `detect` and all commands take. None leaves a choice to the
    recipe, and the recipe to the machine and the data. A run that was stopped goes on when the call is repeated;
    ``fresh`` moves it aside and starts anew. ``data``: a folder of images or videos, a named set, shards, several as
    "A+B"; None: the embedded puppets. ``settings`` change anything else, as ``{"optimiser.lr": 5e-4}``. ``max_minutes``
    saves and stops. ``compile`` compiles the networks, for a first step of a minute or so and quicker ones after it;
    None: on CUDA. ``loggers`` take numbers and pictures: services by name, as ("tensorboard", "wandb"), or objects of
    your own; None: TensorBoard, where it is installed. ``progress`` shows a bar. Raises ValueError for what cannot be
    trained, with the remedy. Ctrl-C, SIGTERM and SIGHUP save the run, and then raise a KeyboardInterrupt, whose
    ``number`` is the signal's.
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
    plan = plan_graph(choices, num_keypoints=num_keypoints, image_size=image_size, hold_out=hold_out)
    plan = plan if fresh else plan.as_begun()
    launch = Launch(plan.folder, devices, 1, precision, max_minutes, fresh, progress, compile=compile, loggers=loggers)
    return run_of(plan.train(launch), kind="graph")


def choices_of(
    data: str | Path | None,
    data_root: str | Path | None,
    recipe: str | None,
    name: str | None,
    out: str | Path,
    *,
    mirror: bool | None,
    seed: int | None,
    steps: int | None,
    batch_size: int | None,
    settings: Mapping[str, Any] | None,
    devices: int | str,
) -> Choices:
    """The choices of a Python call; paths may be text, settings have dotted names."""
    return Choices(
        data=None if data is None else str(data),
        data_root=None if data_root is None else Path(data_root),
        recipe=recipe,
        name=name,
        out=Path(out),
        mirror=mirror,
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        settings=nest(settings or {}),
        devices=devices,
    )
