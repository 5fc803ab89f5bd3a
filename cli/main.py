"""The ``autolink-gen`` command: a group that imports a command only when it is called."""

import importlib
import logging
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import TYPED, Group, set_verbosity, verbosity_options
from autolink_gen.cli.options import echo
from autolink_gen.common.lines import LinesError
from autolink_gen.common.memory import keep_freed_memory
from autolink_gen.common.progress import write_above_bars
from autolink_gen.common.stopping import signal_of, stopping
from autolink_gen.common.text import printable
from autolink_gen.data.identity import public_text

COMMANDS = {
    "learn-graph": "Learn keypoints and the graph that links them from unlabelled images.",
    "detect": "Find the keypoints in images and videos.",
    "evaluate": "Score a graph against landmarks, a GAN, or a transfer network.",
    "view-graph": "Show a learned graph: its edge matrix, its mean pose, its clusters.",
    "ablate": "Run the paper's ablations, by one process or by many.",
    "sweep": "Try several values of settings, and say which is best.",
    "benchmark": "Train and score over several seeds, beside the paper's figures.",
    "figure": "Draw figures as the paper has them.",
    "train-gan": "Train a GAN that paints on a learned graph.",
    "generate": "Paint with a trained GAN: move the skeleton, keep the style, or the other way round.",
    "studio": "Look at a graph, drag its points to paint, move pictures, name landmarks, in the browser.",
    "train-transfer": "Train a network that moves one person's video with another's.",
    "transfer": "Make one person's video do what another's does.",
    "export": "Write a run's networks as ONNX files for other programs.",
    "import-official": "Turn a checkpoint of the AutoLink authors into a run.",
    "data": "Look at data sets and folders of images, prepare them, pack them.",
    "weights": "List and fetch the weights that perceptual losses need.",
}


class _AboveBars(logging.Handler):
    """Writes to the standard error, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or several where there is a traceback."""
        has_traceback = record.exc_info or record.name == "py.warnings"
        text = record.getMessage() if record.levelno == logging.INFO else self.format(record)
        write_above_bars(printable(public_text(text), keep="\n" if has_traceback else ""))


class LazyGroup(Group):
    """A group that knows its commands' names and help, so that ``--help`` imports none."""

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

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Read the group's options, after what an earlier command of this process had asked for is forgotten."""
        set_verbosity()
        words = shlex.join(["autolink-gen", *args])
        context = super().make_context(info_name, args, *rest, **extra)
        context.meta[TYPED] = words
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors become one printable line instead of a traceback."""
        try:
            with stopping(), _printable_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            number = signal_of(stopped)
            echo(f"stopped by {number.name}; what was written whole is kept, the rest removed", err=True)
            ctx.exit(128 + number)  # as a shell has it, so that a script does not go on
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):  # click's own to end on
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(public_text(_in_words(error))) from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options, with control characters in errors escaped."""
        with _printable_errors():
            return super().parse_args(ctx, args)


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Escape control characters in click's messages, which quote untrusted text."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # whose message is the help
        raise
    except click.ClickException as error:
        message = error.format_message()
        if (safe_message := printable(public_text(message))) == message:
            raise
        if isinstance(error, click.UsageError):
            raise click.UsageError(safe_message, ctx=error.ctx) from error
        raise click.ClickException(safe_message) from error


def _in_words(error: Exception) -> str:
    """An error as printable text; an unexpected one says how to see its traceback."""
    if isinstance(error, LinesError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{error.filename}: {error.strerror}; see that the path is right, or choose another")
    if isinstance(error, ValueError | OSError):
        return printable(str(error))
    if isinstance(error, MemoryError):
        return "this asks for more memory than there is; try smaller or fewer images, or a smaller --batch-size"

    return f"{type(error).__name__}: {verbs.reason_of(error)}; run again with --debug to see where"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="autolink-gen")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Learn keypoints and the graph that links them from images without labels.

    \b
    Example: learn the skeleton of the embedded puppets, then look at the run.
      autolink-gen learn-graph
      autolink-gen view-graph
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", handlers=[_AboveBars()])
    logging.captureWarnings(True)
    if not debug:
        warnings.simplefilter("ignore")  # libraries' notes to programmers


cli.params += verbosity_options()


def main() -> None:
    """Entry point of the console script."""
    keep_freed_memory()
    cli(prog_name="autolink-gen")  # also where Python was told the module


if __name__ == "__main__":
    main()
