"""What the tabs of a studio share: the files that pages sent, those made for them, and the queue of long jobs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autolink_gen.studio.jobs import Jobs
from autolink_gen.studio.shelf import Shelf


@dataclass(frozen=True)
class Workshop:
    """``uploads`` are files that pages sent, ``results`` those that they may fetch, ``jobs`` the work under way."""

    uploads: Shelf
    results: Shelf
    jobs: Jobs


@contextmanager
def open_workshop() -> Iterator[Workshop]:
    """A workshop whose jobs are stopped, and whose files are removed, at the end of the block."""
    with (
        tempfile.TemporaryDirectory(prefix="autolink-gen-studio-", ignore_cleanup_errors=True) as folder,
        Jobs() as jobs,
    ):
        yield Workshop(Shelf(Path(folder, "uploads")), Shelf(Path(folder, "results")), jobs)
