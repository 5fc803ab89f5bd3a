"""The ``autolink-gen`` command: a group that imports a command only when it is called."""

import importlib
import logging
import sys
import warnings
from typing import Any

import click

from autolink_gen.cli.memory import keep_freed_memory

COMMANDS = {
    "learn-graph": "Learn keypoints and the graph that links them from unlabelled pictures.",
    "detect": "Find the keypoints in pictures and videos.",
    "evaluate": "Score a graph against landmarks, a GAN, or a transfer network.",
    "view-graph": "Show a learned graph: its edge matrix, its mean pose, its clusters.",
    "ablate": "Run the paper's ablations, by one process or by many.",
    "benchmark": "Train and score over several seeds, beside the paper's figures.",
    "figure": "Draw figures as the paper has them.",
    "train-gan": "Train a GAN that paints on a learned graph.",
    "generate": "Paint with a trained GAN: move the skeleton, keep the style, or the other way round.",
    "train-transfer": "Train a network that moves one person's video with another's.",
    "transfer": "Make one person's video do what another's does.",
    "import-official": "Turn a checkpoint of the AutoLink authors into a run.",
    "data": "Look at data sets and folders of pictures, prepare them, pack them.",
    "weights": "List and fetch the weights that perceptual losses need.",
}


class _AboveBars(logging.Handler):
    """Writes to the standard error, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


class LazyGroup(click.Group):
    """Knows its commands by name and help alone, so that ``--help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command's module; it holds a click command of the same name."""
        if name not in COMMANDS:
            return None
        identifier = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"autolink_gen.cli.{identifier}"), identifier)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the user can mend is one line, not a traceback."""
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):  # click ends quietly on the second
                raise
            raise click.ClickException(_in_words(error)) from error


def _in_words(error: Exception) -> str:
    """What the system says of a file without its number and with a remedy; any other message as it is."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}; see that the path is right, or choose another"
    return str(error)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="autolink-gen")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Learn keypoints and the graph that links them from pictures without labels.

    \b
    Example: learn the skeleton of the embedded puppets, then look at the run.
      autolink-gen learn-graph
      autolink-gen view-graph
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", handlers=[_AboveBars()])
    logging.captureWarnings(True)
    if not debug:
        warnings.simplefilter("ignore")  # libraries' notes to programmers


def main() -> None:
    """Entry point of the console script."""
    keep_freed_memory()
    cli()
