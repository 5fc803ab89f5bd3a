"""The graph that a generator is trained on: as named, the run's copy, or the newest fitting one."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.clusters import ClusterChoice, ClusterError, without_clusters, without_text
from autolink_gen.config import GraphChoice, build
from autolink_gen.data.sources.base import Source
from autolink_gen.models.autolink import AutoLink
from autolink_gen.recipes import read_settings
from autolink_gen.runs import CONFIG_NAME, RunFolder
from autolink_gen.training.folders import is_only_begun
from autolink_gen.training.graph_copy import GRAPH_NAME, load_graph_copy
from autolink_gen.training.run_data import source_of


@dataclass(frozen=True)
class ChosenGraph:
    """A graph to train on, its record in a run's settings, and notes for the user."""

    graph: AutoLink
    choice: GraphChoice
    notes: tuple[str, ...]


def choose_graph(
    folder: Path,
    source: Source,
    *,
    run: str | os.PathLike[str] | None,
    dropped: ClusterChoice | None,
    resume: bool,
    called: str,
) -> ChosenGraph:
    """The graph for the run in ``folder``, trained on ``source``; notes call the run ``called``, as "the GAN".

    That is the one of ``run``; else the copy that a run which goes on keeps; else the newest that was learned on these
    data; else the newest. ``dropped`` clusters are left out. Raises ValueError where there is none, and ClusterError
    where the clusters do not exist, or are not those that the run which goes on leaves out.
    """
    dropped = _clusters_to_drop(folder, dropped) if resume else dropped
    own_copy = _graph_of_same_run(folder, dropped) if resume and run is None else None
    return own_copy or _graph_of_other_run(folder.parents[1], source, run=run, dropped=dropped, called=called)


def _clusters_to_drop(folder: Path, requested: ClusterChoice | None) -> ClusterChoice | None:
    """The clusters to drop: those requested, else those recorded in the run being resumed.

    A run's copy of its graph has lost what was left out of it, so that choices are compared by the clusters' numbers.
    """
    recorded = _recorded_choice(folder)
    if recorded is None:
        return requested
    before = ClusterChoice(recorded.clusters, recorded.dropped_clusters) if recorded.dropped_clusters else None
    if requested in (None, before):
        return before
    if is_only_begun(folder):
        return requested
    has = f"leaves {before} of its graph out" if before else "leaves no cluster of its graph out"
    raise ClusterError(
        f"the run in {folder} {has}, and --drop-cluster now names {requested}: give "
        f"{before.options if before else 'no --drop-cluster'} to go on, another --name for a new run, or "
        f"--fresh to move the old one aside"
    )


def _recorded_choice(folder: Path) -> GraphChoice | None:
    """The graph recorded in the settings of a folder's run; None where there is no run."""
    file = folder / CONFIG_NAME
    settings = read_settings(file).get("graph") if file.is_file() else None
    return build(GraphChoice, settings) if settings else None


def _graph_of_same_run(folder: Path, dropped: ClusterChoice | None) -> ChosenGraph | None:
    """The copy of the graph in the run being resumed; None where there is no such run."""
    graph, choice = load_graph_copy(folder), _recorded_choice(folder)
    if graph is None or choice is None:
        return None
    if dropped is not None and dropped.dropped != choice.dropped_clusters:  # of a run that came to no save
        return None
    note = f"graph: {folder / GRAPH_NAME}, the run's own{without_text(graph, dropped)}"
    return ChosenGraph(graph, choice, (note,))


def _graph_of_other_run(
    runs: Path, source: Source, *, run: str | os.PathLike[str] | None, dropped: ClusterChoice | None, called: str
) -> ChosenGraph:
    graph_run, why = RunFolder.find(run, kind="graph", runs=runs), ""
    if run is None:
        same_data = next(
            (finished for finished in RunFolder.finished("graph", runs=runs) if _has_seen(finished, source)), None
        )
        graph_run, why = (same_data, ", the newest run on this data") if same_data else (graph_run, ", the newest run")
    graph = without_clusters(load_graph_model(graph_run), dropped)
    notes = [f"graph: {graph_run.path} ({graph.config.num_keypoints} keypoints{why}){without_text(graph, dropped)}"]
    learned_on = _learned_on(graph_run)
    if learned_on and not learned_on.covers(source):
        notes.append(
            f"note: that graph was learned on {learned_on.public_name}, and {called} is trained on {source.public_name}"
        )
    choice = GraphChoice(run=str(graph_run.path))
    if dropped is not None:
        choice = GraphChoice(run=str(graph_run.path), clusters=dropped.clusters, dropped_clusters=dropped.dropped)
    return ChosenGraph(graph, choice, tuple(notes))


def _has_seen(run: RunFolder, source: Source) -> bool:
    learned_on = _learned_on(run)
    return learned_on is not None and learned_on.covers(source)


def _learned_on(run: RunFolder) -> Source | None:
    """The data that a graph was learned on; None where unknown."""
    with suppress(ValueError):  # settings of a later version, say
        if (config := run.config()) is not None and config.data.name:
            return source_of(config.data)
    return None
