"""The copy that a run keeps of the graph model it stands on, so that it can go on whatever becomes of that run."""

from pathlib import Path

import torch

from autolink_gen.checkpoints import GRAPH_NAME, load_graph_model, save_model
from autolink_gen.models.autolink import AutoLink


def keep_graph(folder: Path, graph: AutoLink) -> None:
    """Write the copy, or see that the one that is there is the same; ValueError where it is not."""
    file = folder / GRAPH_NAME
    if not file.exists():
        save_model(file, graph)
        return
    kept = load_graph_model(file)
    if kept.config != graph.config or not _equal(kept, graph):
        raise ValueError(
            f"the run in {folder} stands on another graph than the one named: leave --graph out to go on with its "
            f"own, give another --name for a new run, or --fresh to move the old one aside"
        )


def kept_graph(folder: Path) -> AutoLink | None:
    """The graph of the run in ``folder``; None where there is none yet."""
    file = folder / GRAPH_NAME
    return load_graph_model(file) if file.is_file() else None


def _equal(one: AutoLink, other: AutoLink) -> bool:
    state = other.state_dict()
    return all(torch.equal(value, state[name].to(value)) for name, value in one.state_dict().items())
