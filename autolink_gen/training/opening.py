"""Opening a run: its folder checked, locked, cleared up, and the save that it goes on from."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from autolink_gen.models.autolink import AutoLink
from autolink_gen.training.folders import (
    CHECKPOINTS_NAME,
    check_nothing_lost,
    check_place,
    check_run,
    clear_leftovers,
    holds_run,
    make_folder,
    move_aside,
    write_config,
)
from autolink_gen.training.graph_copy import check_graph, keep_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.locks import locked_run
from autolink_gen.training.saves import Save, find_newest, read_save, set_aside


@contextmanager
def opened_run(fabric: Fabric, launch: Launch, config: Any, *, graph: AutoLink | None = None) -> Iterator[Save | None]:
    """Hold the run's folder, made or taken up, while the run goes on; gives the save to go on from, None for a new run.

    ``graph`` is what the run stands on, of which it keeps a copy. Raises ValueError, and changes nothing, where the
    folder holds a run with other settings or another graph, where its saves cannot be read, and where another
    process trains in it; with ``launch.fresh`` an old run is moved aside, never deleted.
    """
    with ExitStack() as held:
        found: list[Save] = []  # of the first process
        name = _at_first(fabric, lambda: _look(launch, config, graph, held, found))
        saved = found[0] if found else None
        if not fabric.is_global_zero and name:
            saved = _read_too(fabric, launch, name)
        elif name:
            _agree(fabric, None)
        _at_first(fabric, lambda: _settle(launch, config, graph, saved))
        fabric.barrier()
        torch.manual_seed(config.training.seed)  # the first weights hang on nothing that was read until here
        yield saved


def _look(launch: Launch, config: Any, graph: AutoLink | None, held: ExitStack, found: list[Save]) -> str:
    """Check and lock the folder; the name of the save that is found, empty for a new run."""
    folder = launch.folder
    check_place(folder)
    if launch.fresh and holds_run(folder):
        move_aside(folder)
    make_folder(folder)
    held.enter_context(locked_run(folder))
    check_run(folder, config)
    if graph is not None:
        check_graph(folder, graph)
    save = find_newest(folder / CHECKPOINTS_NAME)
    if save is None:
        check_nothing_lost(folder)
        return ""
    found.append(save)
    return save.folder.name


def _settle(launch: Launch, config: Any, graph: AutoLink | None, saved: Save | None) -> str:
    """Write what a run begins with, now that nothing speaks against it."""
    if saved is not None:
        set_aside(saved.damaged)
    clear_leftovers(launch.folder)
    write_config(launch.folder, config)
    if graph is not None:
        keep_graph(launch.folder, graph)
    return ""


def _read_too(fabric: Fabric, launch: Launch, name: str) -> Save:
    """The save that the first process found, in another: all go on from the same."""
    folder = launch.folder / CHECKPOINTS_NAME / name
    try:
        saved = Save(folder, *read_save(folder))
    except (ValueError, OSError) as error:
        _agree(fabric, error)
        raise
    _agree(fabric, None)
    return saved


def _at_first(fabric: Fabric, do: Callable[[], str]) -> str:
    """What the first process does and gives; its ValueError or OSError is raised in all, so that none waits for it."""
    result, problem = "", None
    if fabric.is_global_zero:
        try:
            result = do()
        except (ValueError, OSError) as error:
            problem = error
    told: tuple[str, str | None] = fabric.broadcast((result, None if problem is None else str(problem)))
    if problem is not None:
        raise problem
    if told[1] is not None:
        raise ValueError(told[1])
    return told[0]


def _agree(fabric: Fabric, error: ValueError | OSError | None) -> None:
    """ValueError in every process where one of them has an error."""
    if fabric.world_size == 1:
        return
    total = fabric.all_reduce(torch.tensor(float(error is None)), reduce_op="sum")
    assert isinstance(total, Tensor)
    if error is None and float(total) < fabric.world_size:
        raise ValueError("another process cannot read the save that the first one goes on from")
