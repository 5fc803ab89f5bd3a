"""What the commands that train on a graph share: which graph it is, and a dry run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from autolink_gen.cli.cluster_choice import ClusterChoice, cluster_choice, without_clusters, without_text
from autolink_gen.cli.shared import echo, run_settings
from autolink_gen.cli.training_options import print_parameters, run_and_report, say

if TYPE_CHECKING:
    from torch import nn

    from autolink_gen.config import GanRunConfig, GraphChoice, TransferRunConfig
    from autolink_gen.models.autolink import AutoLink
    from autolink_gen.training.engine import Run
    from autolink_gen.training.launch import Launch

Config = TypeVar("Config", "GanRunConfig", "TransferRunConfig")


@dataclass(frozen=True)
class Painter(Generic[Config]):
    """Something that is trained to paint on a graph.

    ``recipes`` is the kind of its recipes, ``called`` what a note calls it, as "the GAN"; ``configure`` makes its
    configuration of a recipe, the options and the graph, None where there is none yet; ``folder_of`` gives the run's
    folder for the options and the data; ``networks`` are those whose parameters a dry run counts.
    """

    recipes: str
    called: str
    configure: Callable[[str, dict[str, Any], "AutoLink | None"], Config]
    folder_of: Callable[[dict[str, Any], str], Path]
    networks: Callable[[Config], dict[str, "nn.Module"]]

    def run(
        self,
        options: dict[str, Any],
        train: Callable[[Config, "AutoLink", "Launch"], "Run"],
        *,
        files: dict[str, str],
        then: Callable[[Path], str],
    ) -> None:
        """Train with the recipe and options, or print what that would be; ``then`` is the command to type next."""
        from autolink_gen.training.plans import default_recipe

        recipe = options["recipe"] or default_recipe(self.recipes, options["data"])
        if options["dry_run"]:
            self.dry_run(recipe, options)
            return
        config, graph, folder = self.prepare(recipe, options)
        say(f"recipe: {recipe}", f"run: {folder}")
        run_and_report(
            lambda launch: train(config, graph, launch),
            folder,
            options,
            steps=config.training.steps,
            files={"model.safetensors": "the weights to use, the graph's among them", **files},
            then=then(folder),
        )

    def prepare(self, recipe: str, options: dict[str, Any]) -> tuple[Config, "AutoLink", Path]:
        """The configuration, the graph, and the run's folder; says which graph. ValueError where there is none."""
        from autolink_gen.training.graph_copy import with_graph
        from autolink_gen.training.naming import whole_path

        data = whole_path(options["data"]) if options["data"] else "puppets"
        folder = self.folder_of(options, data)
        dropped = _settled_choice(options, folder)
        graph, chosen = _own_graph(options, folder, dropped) or _named_graph(options, data, self.called, dropped)
        config = with_graph(self.configure(recipe, options, graph), graph, chosen)
        return config, graph, self.folder_of(options, config.data.name)

    def dry_run(self, recipe: str, options: dict[str, Any]) -> None:
        """Print the configuration, itself a recipe, and the parameters by block."""
        from autolink_gen.checkpoints import find_run
        from autolink_gen.config import to_yaml

        try:
            find_run("graph", options["graph_run"], runs=options["out"])
        except ValueError:
            if options["graph_run"] is not None:
                raise
            say("# no graph yet: autolink-gen learn-graph makes one")
            if choice := cluster_choice(options["clusters"], options["dropped_clusters"]):
                say(f"# {choice} of its keypoints will be left out")
            config = self.configure(recipe, options, None)
            folder = self.folder_of(options, config.data.name)
        else:
            config, _, folder = self.prepare(recipe, options)
        echo(f"# recipe: {recipe}", f"# {folder}", *to_yaml(config).splitlines())
        print_parameters(self.networks(config))


def painter_settings(
    kind: str, recipe: str, options: dict[str, Any], graph: "AutoLink | None", given: dict[str, Any]
) -> dict[str, Any]:
    """A recipe's values with the graph's picture size, the options ``given`` and --set over them, in that order."""
    from autolink_gen.recipes import merge, parse_overrides, read_recipe

    size = {"image_size": graph.config.image_size} if graph is not None else {}
    values = merge(merge({"model": size}, read_recipe(kind, recipe)), given)
    return merge(values, parse_overrides(options["settings"]))


def _settled_choice(options: dict[str, Any], folder: Path) -> ClusterChoice | None:
    """The clusters to leave out: those named, else those that the run that is gone on with leaves out.

    A run's copy of its graph has lost what was left out of it, so that choices are compared by the clusters' numbers.
    BadParameter where both are there and differ.
    """
    named = cluster_choice(options["clusters"], options["dropped_clusters"])
    from autolink_gen.training.folders import is_only_begun

    chosen = _recorded_choice(folder) if options["resume"] else None
    if chosen is None:
        return named
    before = ClusterChoice(chosen.clusters, chosen.dropped_clusters) if chosen.dropped_clusters else None
    if named not in (None, before) and is_only_begun(folder):
        return named
    if named not in (None, before):
        has = f"leaves {before} of its graph out" if before else "leaves no cluster of its graph out"
        raise click.BadParameter(
            f"the run in {folder} {has}, and --drop-cluster now names {named}: give "
            f"{before.options if before else 'no --drop-cluster'} to go on, another --name for a new run, or "
            f"--fresh to move the old one aside",
            param_hint="--drop-cluster",
        )
    return before


def _recorded_choice(folder: Path) -> "GraphChoice | None":
    """The graph that the run in a folder stands on; None where there is no run."""
    from autolink_gen.config import GraphChoice, build

    settings = run_settings(folder, "graph")
    return build(GraphChoice, settings) if settings else None


def _own_graph(
    options: dict[str, Any], folder: Path, dropped: ClusterChoice | None
) -> tuple["AutoLink", "GraphChoice"] | None:
    """The graph of the run that is gone on with, where no graph is named; None where there is no such run."""
    from autolink_gen.training.graph_copy import GRAPH_NAME, kept_graph

    graph = kept_graph(folder) if options["resume"] and options["graph_run"] is None else None
    chosen = _recorded_choice(folder)
    if graph is None or chosen is None:
        return None
    if dropped is not None and dropped.dropped != chosen.dropped_clusters:  # of a run that came to no save
        return None
    say(f"graph: {folder / GRAPH_NAME}, the run's own{without_text(graph, dropped)}")
    return graph, chosen


def _named_graph(
    options: dict[str, Any], data: str, called: str, dropped: ClusterChoice | None
) -> tuple["AutoLink", "GraphChoice"]:
    from autolink_gen.checkpoints import find_run, finished_runs, load_graph_model
    from autolink_gen.config import GraphChoice
    from autolink_gen.data.identity import public_data

    found, why = find_run("graph", options["graph_run"], runs=options["out"]), ""
    if options["graph_run"] is None:
        runs = finished_runs("graph", runs=options["out"])
        fitting = next((run for run in runs if (name := _learned_on(run)) and not _is_new(data, name)), None)
        found, why = (fitting, ", the newest run on this data") if fitting else (found, ", the newest run")
    graph = without_clusters(load_graph_model(found), dropped)
    say(f"graph: {found} ({graph.config.num_keypoints} keypoints{why}){without_text(graph, dropped)}")
    learned_on = _learned_on(found)
    if learned_on and _is_new(data, learned_on):
        say(f"note: that graph was learned on {learned_on}, and {called} is trained on {public_data(data)}")
    if dropped is None:
        return graph, GraphChoice(run=str(found))
    return graph, GraphChoice(run=str(found), clusters=dropped.clusters, dropped_clusters=dropped.dropped)


def _learned_on(run: Path) -> str:
    """The data that a graph was learned on, as they may be shown; nothing where that is not known."""
    from autolink_gen.data.identity import public_data

    return public_data(str(run_settings(run, "data").get("name") or ""))


def _is_new(data: str, learned_on: str) -> bool:
    """Whether a graph learned on ``learned_on`` has not seen ``data`` or a part of it."""
    from autolink_gen.data.catalog import parts_of
    from autolink_gen.data.identity import public_data

    data = public_data(data)
    known = [_way_to(str(part)) for part in parts_of(learned_on)]
    return not all(any(_is_same(_way_to(str(part)), other) for other in known) for part in parts_of(data))


def _is_same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one way ends as the other does: a folder may be that of a named set."""
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


def _way_to(data: str) -> tuple[str, ...]:
    """The folders that lead to the pictures, or the name of a set, without its split or class."""
    from autolink_gen.data.shard_names import is_shards, whole_name

    folder = Path(data)
    if is_shards(data):
        return (whole_name(data),)
    if not folder.is_dir():
        return (data.partition("/")[0],)
    parts = folder.resolve().parts
    return parts[:-1] if parts[-1] == "train" else parts
