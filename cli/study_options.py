"""What the commands that train several graphs share: their options, and how they end when they are stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from autolink_gen.cli.options import Command


def study_options(command: Command) -> Command:
    """Add ``--seeds`` and ``--storage`` to a command."""
    seeds = click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True,
                         help="Runs of each kind, each with its seed.")  # fmt: skip
    storage = click.option("--storage", metavar="URL", help="Database by which processes share the work, as Optuna "
                           "takes it. [default: a file of SQLite in the folder]")  # fmt: skip
    return seeds(storage(command))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the command as a shell has it where a signal stopped the work, so that a script does not go on."""
    from autolink_gen.studies.jobs import WorkStoppedError

    try:
        yield
    except WorkStoppedError as stopped:
        click.get_current_context().exit(128 + signal.Signals[str(stopped)])
