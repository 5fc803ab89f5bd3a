"""What the studio opens for a run: a desk for each thing that can be done with its models."""

import os
from contextlib import suppress
from dataclasses import dataclass

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.devices import chosen_device, float64_array
from autolink_gen.inference.generate import load_gan
from autolink_gen.runs import RunFolder
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.painting import PaintingDesk


@dataclass(frozen=True)
class Desks:
    """The desks of a run; None for what it has no model for."""

    graph: GraphDesk
    painter: PaintingDesk | None = None


def open_desks(run: str | os.PathLike[str] | None, *, device: str | None = None) -> Desks:
    """The desks of a run: of a GAN both, of a graph the first alone; of two runs of one name, those of the GAN.

    None: the newest GAN, else the newest graph, else the run "puppets". Raises ValueError if there is no such run.
    """
    folder = _newest() if run is None else _named(run)
    place = chosen_device(device)
    if folder.kind == "gan":
        gan = load_gan(folder, device=place)
        pose = float64_array(gan.poses).mean(axis=0) if len(gan.poses) else None
        return Desks(GraphDesk(gan.graph, name=str(folder.path), pose=pose), PaintingDesk(gan, name=str(folder.path)))
    graph = load_graph_model(RunFolder.find(folder.folder if folder.kind == "transfer" else folder, kind="graph"))
    return Desks(GraphDesk(graph.to(place), name=str(folder.path)))


def _named(run: str | os.PathLike[str]) -> RunFolder:
    with suppress(ValueError):
        return RunFolder.find(run, kind="gan")
    return RunFolder.find(run)


def _newest() -> RunFolder:
    finished = RunFolder.finished("gan") or RunFolder.finished("graph")
    return finished[0] if finished else _named("puppets")
