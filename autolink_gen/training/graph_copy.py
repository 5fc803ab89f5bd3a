"""The copy that a run keeps of the graph model it stands on, so that it can go on whatever becomes of that run."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from autolink_gen.checkpoints import GRAPH_NAME, load_graph_model, save_model
from autolink_gen.common.files import aside_of
from autolink_gen.config import GanRunConfig, GraphChoice, TransferRunConfig
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.keypoints import linked_keypoints
from autolink_gen.training.folders import is_only_begun

log = logging.getLogger(__name__)
PaintingConfig = TypeVar("PaintingConfig", bound=GanRunConfig | TransferRunConfig)


def check_size(size: int, graph: AutoLink) -> None:
    """ValueError unless the graph was learned at the image size to paint, ``size`` pixels."""
    theirs = graph.config.image_size
    if size != theirs:
        raise ValueError(
            f"the graph was learned on images of {theirs} pixels and the run is to paint {size}: leave "
            f"--image-size out, or learn a graph at that size (autolink-gen learn-graph --image-size {size})"
        )


def with_graph(config: PaintingConfig, graph: AutoLink, choice: GraphChoice) -> PaintingConfig:
    """The configuration with the graph's choice, its number of keypoints and the dropped ones recorded."""
    count = graph.config.num_keypoints
    dropped = tuple(sorted(set(range(count)) - set(linked_keypoints(graph.edge_weights).tolist())))
    return replace(config, graph=replace(choice, num_keypoints=count, dropped=dropped))


def check_graph(folder: Path, graph: AutoLink) -> None:
    """ValueError where a run keeps a copy of another graph, unless it has no save yet."""
    if not is_only_begun(folder) and not _matches_copy(folder, graph):
        raise ValueError(
            f"the run in {folder} stands on another graph than the one named: leave --graph out to go on with its "
            f"own, give another --name for a new run, or --fresh to move the old one aside"
        )


def save_graph_copy(folder: Path, graph: AutoLink) -> None:
    """Write the copy unless it exists; a copy of another graph is renamed, for it may be the only one."""
    file = folder / GRAPH_NAME
    if not _matches_copy(folder, graph):
        aside = aside_of(file, keep_ending=True)
        file.rename(aside)
        log.warning("the graph that %s stood on is now %s", folder, aside)
    if not file.exists():
        save_model(file, graph)


def _matches_copy(folder: Path, graph: AutoLink) -> bool:
    """Whether a run's copy of a graph, if any, equals this graph."""
    copy = load_graph_copy(folder)
    return copy is None or (copy.config == graph.config and _equal(copy, graph))


def load_graph_copy(folder: Path) -> AutoLink | None:
    """The graph of the run in ``folder``; None where there is none yet."""
    file = folder / GRAPH_NAME
    return load_graph_model(file) if file.is_file() else None


def _equal(first: AutoLink, second: AutoLink) -> bool:
    state = second.state_dict()
    return all(torch.equal(value, state[name].to(value)) for name, value in first.state_dict().items())
