"""Opens a run: checks, locks and cleans its folder, and finds the save to resume from."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolink_gen.common.fabric import Fabric
from autolink_gen.data.contents import Contents
from autolink_gen.data.sources.base import Source
from autolink_gen.models.autolink import AutoLink
from autolink_gen.runs import CONFIG_NAME
from autolink_gen.training.folders import (
    CHECKPOINTS_NAME,
    check_nothing_lost,
    check_place,
    check_run,
    clear_leftovers,
    holds_run,
    make_folder,
    move_aside,
    read_config,
    write_config,
)
from autolink_gen.training.graph_copy import check_graph, save_graph_copy
from autolink_gen.training.launch import Launch
from autolink_gen.training.locks import locked_run
from autolink_gen.training.provenance import earlier_lines, provenance
from autolink_gen.training.run_data import keep_record, say_changes
from autolink_gen.training.run_length import say_length
from autolink_gen.training.saves import Save, find_newest, read_save, set_aside


@contextmanager
def open_run(
    fabric: Fabric, launch: Launch, *, config: Any, source: Source, graph: AutoLink | None = None
) -> Iterator[Save | None]:
    """Hold the folder of a new or resumed run; yields the save to resume from, None for a new run.

    ``source`` are the run's data. ``graph`` is what the run stands on, of which it keeps a copy. Raises ValueError, and
    changes nothing, where the folder holds a run with other settings or another graph, where its saves cannot be read,
    and where another process trains in it; with ``launch.fresh`` an old run is moved aside, never deleted.
    """
    with ExitStack() as held:
        first = _FirstProcess(fabric, launch, config, source, graph, held)
        name = _on_first_process(fabric, first.look)
        saved = first.saved
        if not fabric.is_global_zero and name:
            saved = _read_same_save(fabric, launch, name)
        elif name:
            _agree(fabric, None)
        _on_first_process(fabric, first.settle)
        fabric.barrier()
        torch.manual_seed(config.training.seed)  # the first weights hang on nothing that was read until here
        yield saved


@dataclass
class _FirstProcess:
    """The work of the first process for all: checks the folder, then writes the run's first files."""

    fabric: Fabric
    launch: Launch
    config: Any
    source: Source
    graph: AutoLink | None
    held: ExitStack
    saved: Save | None = None
    contents: Contents | None = None

    def look(self) -> str:
        """Check and lock the folder; returns the name of the newest save, empty for a new run."""
        folder = self.launch.folder
        self.contents = self.source.contents()
        check_place(folder)
        if self.launch.fresh and holds_run(folder):
            move_aside(folder)
        make_folder(folder)
        self.held.enter_context(locked_run(folder))
        check_run(folder, self.config, self.contents)
        if self.graph is not None:
            check_graph(folder, self.graph)
        self.saved = find_newest(folder / CHECKPOINTS_NAME)
        if self.saved is None:
            check_nothing_lost(folder)
            return ""
        return self.saved.folder.name

    def settle(self) -> str:
        """Write the run's first files, once all checks have passed."""
        folder = self.launch.folder
        if self.saved is not None:
            set_aside(self.saved.damaged)
        clear_leftovers(folder)
        if self.saved is not None and (folder / CONFIG_NAME).exists():
            say_length(read_config(folder, type(self.config)), self.config, step=self.saved.step)
        step = self.saved.step if self.saved is not None else 0
        if step <= self.config.training.steps:  # else nothing will be done with it
            write_config(folder, self.config, comments=self._comments(step))
        if self.contents is not None:
            if self.saved is not None:
                say_changes(folder, self.config.data, self.contents)
            keep_record(folder, self.contents)
        if self.graph is not None:
            save_graph_copy(folder, self.graph)
        return ""

    def _comments(self, step: int) -> list[str]:
        """Where the run comes from; of a finished one, what its settings say already."""
        path, command = self.launch.folder / CONFIG_NAME, self.launch.command
        if step and step == self.config.training.steps:
            return earlier_lines(path)
        return provenance(path, self.fabric, step=step, command=command)


def _read_same_save(fabric: Fabric, launch: Launch, name: str) -> Save:
    """Read, in another process, the save that the first one found, so that all resume from the same."""
    folder = launch.folder / CHECKPOINTS_NAME / name
    try:
        saved = Save(folder, *read_save(folder))
    except (ValueError, OSError) as error:
        _agree(fabric, error)
        raise
    _agree(fabric, None)
    return saved


def _on_first_process(fabric: Fabric, do: Callable[[], str]) -> str:
    """The first process's result of `do`, for all; its ValueError or OSError is raised in all, so that none waits."""
    result, problem = "", None
    if fabric.is_global_zero:
        try:
            result = do()
        except (ValueError, OSError) as error:
            problem = error
    answer: tuple[str, str | None] = fabric.broadcast((result, None if problem is None else str(problem)))
    if problem is not None:
        raise problem
    if answer[1] is not None:
        raise ValueError(answer[1])
    return answer[0]


def _agree(fabric: Fabric, error: ValueError | OSError | None) -> None:
    """Raise ValueError in every process where one of them has an error."""
    if fabric.world_size == 1:
        return
    total = fabric.all_reduce(torch.tensor(float(error is None)), reduce_op="sum")
    assert isinstance(total, Tensor)
    if error is None and float(total) < fabric.world_size:
        raise ValueError("another process cannot read the save that the first one goes on from")
