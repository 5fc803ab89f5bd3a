"""The trials of a sweep: which settings are tried, in which folders, and how each is known again."""

import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autolink_gen.common.text import counted, shown, typed
from autolink_gen.config import GraphRunConfig, build, explained_yaml, to_dict
from autolink_gen.data.identity import public_data
from autolink_gen.recipes import dotted, merge, nest, read_recipe
from autolink_gen.studies.graph_runs import GraphJob, digest_of
from autolink_gen.studies.jobs import Job
from autolink_gen.studies.search import Range, Search
from autolink_gen.studies.sweep_axes import Axis, as_parameter, value_text
from autolink_gen.training.naming import run_name
from autolink_gen.training.plans import Choices
from autolink_gen.training.run_data import source_of

Sampler = Literal["grid", "tpe"]
MOST_TRIALS = 1000
_MOST_LABEL = 100  # characters of a trial's name, which its runs' folders have


@dataclass(frozen=True)
class Trial:
    """One trial: its name, which its runs' folders have; its settings by dotted names, none where they are drawn."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep tries. ``values`` and ``base`` are the settings that its runs have in common, plain and typed.

    ``search`` is None for a grid, whose trials have their settings.
    """

    choices: Choices
    recipe: str
    values: Mapping[str, Any]
    base: GraphRunConfig
    folder: Path
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    num_seeds: int
    search: Search | None

    @property
    def seeds(self) -> range:
        """The seeds that each setting is trained with."""
        return range(self.base.training.seed, self.base.training.seed + self.num_seeds)

    def job(self, trial: Trial, max_minutes: float | None) -> Job:
        """A trial as a job: known by all that its result depends on."""
        if self.search is None:
            digest = digest_of(self.config(trial.settings, self.seeds[0]), max_minutes, self.num_seeds)
        else:
            digest = digest_of(self.base, max_minutes, self.num_seeds, self.searched())
        params = {name: as_parameter(value) for name, value in trial.settings.items()}
        return Job(f"{trial.name} {digest}", params, {"trial": trial.name})

    def searched(self) -> dict[str, str]:
        """What a search draws from, as text; of a grid nothing: values may be added to it."""
        if self.search is None:
            return {}
        return {axis.name: axis.text for axis in self.axes} | {"--seeds": str(self.num_seeds)}

    def config(self, settings: Mapping[str, Any], seed: int) -> GraphRunConfig:
        """The configuration of a run; ValueError for settings that cannot be."""
        seeded = {"training": {"seed": seed}}
        return build(GraphRunConfig, merge(merge(self.values, nest(settings)), seeded))

    def runs(self, trial: Trial, settings: Mapping[str, Any]) -> list[GraphJob]:
        """A trial's runs, one a seed."""
        return [GraphJob(f"{trial.name}-seed{seed}", self.config(settings, seed)) for seed in self.seeds]

    def lines(self) -> Iterator[str]:
        """The common configuration as YAML, and in comments the trials."""
        yield from (f"# recipe: {self.recipe}", f"# {self.folder}", *explained_yaml(self.base).splitlines())
        seeds = f"seeds {', '.join(map(str, self.seeds))}"
        yield f"# {counted(len(self.trials), 'trial')}, {seeds}"
        for axis in self.axes if self.search is not None else ():
            is_log = isinstance(axis.over, Range) and axis.over.is_log
            yield f"# drawn: {axis}{' (on a logarithmic scale)' if is_log else ''}"
        for trial in self.trials if self.search is None else ():
            yield f"# {trial.name}: {' '.join(f'{name}={value_text(value)}' for name, value in trial.settings.items())}"

    def train_command(self, settings: Mapping[str, Any]) -> str:
        """The command that trains with these settings, for as long as the recipe says."""
        chosen = self.choices
        words = ["autolink-gen learn-graph", f"--recipe {typed(self.recipe)}"]
        words += [f"--data {typed(public_data(chosen.data))}"] if chosen.data else []
        words += [f"--data-root {typed(chosen.data_root)}"] if chosen.data_root else []
        words += [] if chosen.mirror is None else ["--mirror" if chosen.mirror else "--no-mirror"]
        words += [f"--batch-size {chosen.batch_size}"] if chosen.batch_size else []
        for name, value in {**dict(dotted(chosen.settings or {})), **settings}.items():
            words.append(f"--set {typed(f'{name}={value_text(value)}')}")
        return " ".join(words)


def plan_sweep(
    choices: Choices,
    axes: Sequence[Axis],
    *,
    num_seeds: int = 1,
    sampler: Sampler | None = None,
    trials: int | None = None,
) -> SweepPlan:
    """Plan a sweep over the ``axes``; the settings of ``choices`` stay. ValueError for what cannot be tried.

    ``sampler``: "grid" tries all combinations of listed values, "tpe" draws ``trials`` of them, from ranges too; None
    takes "tpe" where there is a range.
    """
    if not axes:
        raise ValueError("there is nothing to try: give a --set with several values, as optimiser.lr=1e-4,1e-3")
    recipe = choices.recipe_of("graph")
    values = merge(merge(read_recipe("graph", recipe), choices.config_values()), choices.settings or {})
    base = build(GraphRunConfig, values)
    axes = tuple(_checked(axis, values) for axis in axes)
    parts = (axis.name.rpartition(".")[2] for axis in axes)
    name = choices.name or run_name(f"{source_of(base.data).label}-{'-'.join(parts)}")
    is_grid = _is_grid(axes, sampler, trials)
    search = None if is_grid else Search({axis.name: axis.space for axis in axes}, seed=base.training.seed)
    tried = _grid(axes) if is_grid else tuple(Trial(f"trial{number}", {}) for number in range(trials or 0))
    plan = SweepPlan(choices, recipe, values, base, choices.out / "sweep" / name, axes, tried, num_seeds, search)
    for trial in tried if is_grid else ():
        plan.config(trial.settings, base.training.seed)
    return plan


def _is_grid(axes: Sequence[Axis], sampler: Sampler | None, trials: int | None) -> bool:
    """Whether all combinations are tried; ValueError where the sampler, the axes and the trials do not fit."""
    ranges = [axis for axis in axes if isinstance(axis.over, Range)]
    if sampler == "grid" and ranges:
        raise ValueError(f"--sampler grid takes lists of values, and {ranges[0]} is a range: give --sampler tpe")
    if sampler == "tpe" or (sampler is None and ranges):
        if trials is None:
            raise ValueError("--sampler tpe, which ranges need, tries as many settings as --trials says: give --trials")
        if not 1 <= trials <= MOST_TRIALS:
            raise ValueError(f"--trials must be 1 to {MOST_TRIALS}, got {trials}")
        return False
    if trials is not None:
        raise ValueError(f"--trials {trials} is for --sampler tpe: a grid tries all of its settings")
    if (number := math.prod(len(axis.samples) for axis in axes)) > MOST_TRIALS:
        raise ValueError(f"the grid has {number:,} settings, and {MOST_TRIALS} at most are tried: name fewer values")
    return True


def _checked(axis: Axis, values: Mapping[str, Any]) -> Axis:
    """The axis with its values as configurations have them; ValueError for one that a setting cannot have, or twice."""
    configs = [build(GraphRunConfig, merge(values, nest({axis.name: value}))) for value in axis.samples]
    if isinstance(axis.over, Range):
        return axis
    plain = [_plain(axis.name, config) for config in configs]
    texts = [json.dumps(value) for value in plain]
    if twice := next((text for text in texts if texts.count(text) > 1), None):
        raise ValueError(f"{shown(axis.name)} has the value {shown(twice)} twice: name it once")
    return replace(axis, over=tuple(plain))


def _plain(name: str, config: GraphRunConfig) -> Any:
    value: Any = to_dict(config)
    for part in name.split("."):
        value = value[part]
    return value


def _grid(axes: Sequence[Axis]) -> tuple[Trial, ...]:
    """All combinations of the axes' values, the last axis the fastest."""
    points = itertools.product(*(axis.samples for axis in axes))
    named = [dict(zip((axis.name for axis in axes), point, strict=True)) for point in points]
    return tuple(Trial(_label(settings), settings) for settings in named)


def _label(settings: Mapping[str, Any]) -> str:
    """A name for folders that tells settings apart: their last names and their values."""
    text = "_".join(f"{name.rpartition('.')[2]}{value_text(value)}" for name, value in settings.items())
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in text)
    whole = json.dumps([*settings.items()])
    return (
        plain
        if plain == text and len(plain) <= _MOST_LABEL
        else f"{plain[:_MOST_LABEL]}-{zlib.crc32(whole.encode()):08x}"
    )
