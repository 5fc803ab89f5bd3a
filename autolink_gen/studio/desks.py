"""What the studio opens for a run: a desk for each thing that can be done with its models."""

import os
from contextlib import suppress
from dataclasses import dataclass

from autolink_gen.checkpoints import WEIGHTS_NAME, load_graph_model
from autolink_gen.common.devices import chosen_device, float64_array
from autolink_gen.inference.generate import Gan, load_gan
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.runs import RunFolder
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.painting import PaintingDesk
from autolink_gen.studio.transferring import TransferDesk


@dataclass(frozen=True)
class Desks:
    """The desks of a run; None for what it has no model for."""

    graph: GraphDesk
    painter: PaintingDesk | None = None
    transfer: TransferDesk | None = None


def open_desks(run: str | os.PathLike[str] | None, *, device: str | None = None) -> Desks:
    """The desks of a run: of a GAN graph and painter, of a transfer network graph and transfer, else the graph alone.

    Of runs of one name that of the GAN is opened, else that of the graph, and the transfer network of this name with
    it. None: the newest GAN, else the newest graph, else the package's "puppets". Raises ValueError if there is no such
    run.
    """
    folder = _newest() if run is None else _named(run)
    place = chosen_device(device)
    transfer = _open_transfer(folder, place)
    name = str(folder.path)
    if folder.kind == "gan":
        gan = load_gan(folder, device=place)
        return Desks(_graph_desk(gan, name), PaintingDesk(gan, name=name), transfer)
    if folder.kind == "transfer" and transfer is not None:
        return Desks(_graph_desk(transfer.network, name), transfer=transfer)
    return Desks(GraphDesk(load_graph_model(folder).to(place), name=name), transfer=transfer)


def _graph_desk(model: Gan | Transfer, name: str) -> GraphDesk:
    """The desk of the graph in a model, which is shown on the mean of the model's poses."""
    return GraphDesk(model.graph, name=name, pose=float64_array(model.poses).mean(axis=0) if len(model.poses) else None)


def _open_transfer(folder: RunFolder, device: str) -> TransferDesk | None:
    """The desk of a transfer network's run, or of the network that is called as another run is; None without one."""
    found: RunFolder | None = folder
    if folder.is_shipped:
        found = RunFolder.find(folder.path, kind="transfer")
    elif folder.kind != "transfer":
        place = folder.folder.parent.parent / "transfer" / folder.folder.name
        is_there = folder.folder.parent.name == folder.kind and (place / WEIGHTS_NAME).is_file()
        found = RunFolder.find(place, kind="transfer") if is_there else None
    return None if found is None else TransferDesk(load_transfer(found, device=device), name=str(found.path))


def _named(run: str | os.PathLike[str]) -> RunFolder:
    with suppress(ValueError):
        return RunFolder.find(run, kind="gan")
    return RunFolder.find(run)


def _newest() -> RunFolder:
    finished = RunFolder.finished("gan") or RunFolder.finished("graph")
    return finished[0] if finished else _named("puppets")
