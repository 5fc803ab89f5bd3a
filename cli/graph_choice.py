"""Which graph a generator is trained on: the run's own, the one named, or the newest."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolink_gen.cli.shared import run_settings
from autolink_gen.cli.training_options import say

if TYPE_CHECKING:
    from autolink_gen.models.autolink import AutoLink


def choose_graph(options: dict[str, Any], *, folder: Path, data: str, kind: str) -> tuple["AutoLink", str]:
    """The graph for the run in ``folder``, trained on ``data``, and what to call it; says which it is.

    ``kind`` is what the run is called in a note, as "the GAN". Raises ValueError where there is none.
    """
    return _own_graph(options, folder) or _named_graph(options, data, kind)


def _own_graph(options: dict[str, Any], folder: Path) -> tuple["AutoLink", str] | None:
    """The graph of the run that is gone on with, where no graph is named; None where there is no such run."""
    from autolink_gen.training.graph_copy import GRAPH_NAME, kept_graph

    graph = kept_graph(folder) if options["resume"] and options["graph_run"] is None else None
    if graph is None:
        return None
    say(f"graph: {folder / GRAPH_NAME}, the run's own")
    return graph, str(run_settings(folder, "graph").get("run", ""))


def _named_graph(options: dict[str, Any], data: str, kind: str) -> tuple["AutoLink", str]:
    from autolink_gen.checkpoints import find_run, load_graph_model

    found = find_run("graph", options["graph_run"], runs=options["out"])
    graph = load_graph_model(found)
    count, newest = graph.config.num_keypoints, "" if options["graph_run"] else ", the newest run"
    say(f"graph: {found} ({count} keypoints{newest})")
    learned_on = run_settings(found, "data").get("name")
    if learned_on and _set_of(learned_on) != _set_of(data):
        say(f"note: that graph was learned on {learned_on}, and {kind} is trained on {data}")
    return graph, str(found)


def _set_of(data: str) -> str:
    """A folder in full, or the name of a set without the class."""
    folder = Path(data)
    return str(folder.resolve()) if folder.is_dir() else data.partition("/")[0]
