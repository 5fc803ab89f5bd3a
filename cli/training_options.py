"""What the training commands share: their options, the name of a run, what is said of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autolink_gen.cli.options import RunName, Seed, echo, train_and_report

if TYPE_CHECKING:
    from autolink_gen.training.engine import Run
    from autolink_gen.training.launch import Launch
    from autolink_gen.training.plans import Choices

Command = TypeVar("Command", bound=Callable[..., Any])

_DATA = click.option(
    "--data",
    help="A named data set, a folder of pictures or videos, shards (.tar), or several: A+B. "
    "[default: the recipe's; puppets]",
)
_OPTIONS = (
    click.option("--data-root", type=click.Path(path_type=Path), help="The folder where named data sets lie."),
    click.option("--recipe", help="A recipe by name, or a YAML file. [default: the cheapest that suits the machine]"),
    click.option("--name", type=RunName(), help="Name of the run. [default: made from the data and the model]"),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Folder of all runs.",
    ),
    click.option(
        "--mirror/--no-mirror",
        default=None,
        help="Mirror every second picture; not where left and right differ. [default: the recipe's]",
    ),
    click.option("--seed", type=Seed(), help="Seed of weights, masks and the order of pictures."),
    click.option("--steps", type=int, help="Training steps."),
    click.option("--max-minutes", type=float, help="Save and stop after so many minutes; repeat to go on."),
    click.option(
        "--devices",
        default="auto",
        show_default=True,
        help="Number of devices, cpu, cuda or mps, or auto: all CUDA devices, else the CPU.",
    ),
    click.option("--nodes", type=int, default=1, show_default=True, help="Number of machines."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "32-true", "bf16-mixed", "16-mixed"]),
        default=None,
        help="Floating-point precision; auto: bf16-mixed where the processor has it. [default: the recipe's]",
    ),
    click.option(
        "--resume/--fresh",
        default=True,
        show_default=True,
        help="Go on with the run of that name if there is one, or move it aside and start anew.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change one setting, as in optimiser.lr=1e-3.",
    ),
    click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop."),
)


def training_options(command: Command) -> Command:
    """Add the common options to a command."""
    return _DATA(run_options(command))


def run_options(command: Command) -> Command:
    """Add the common options but ``--data`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choices_of(options: dict[str, Any]) -> "Choices":
    """What the common options choose; BadParameter for pictures whose folder's name is no UTF-8."""
    from autolink_gen.recipes import parse_overrides
    from autolink_gen.training.plans import Choices

    for name in ("data", "data_root"):
        try:
            str(options[name]).encode()
        except UnicodeEncodeError as error:
            hint = f"--{name.replace('_', '-')}"
            raise click.BadParameter(f"{options[name]} is no UTF-8; rename that folder", param_hint=hint) from error
    names = ("data", "data_root", "recipe", "name", "out", "mirror", "seed", "steps", "batch_size")
    return Choices(**{name: options[name] for name in names}, settings=parse_overrides(options["settings"]))


def launch_of(options: dict[str, Any], folder: Path) -> "Launch":
    """Where and on what to run, as the options say."""
    from autolink_gen.training.launch import Launch

    return Launch(
        folder=folder,
        devices=options["devices"],
        nodes=options["nodes"],
        precision=options["precision"],
        max_minutes=options["max_minutes"],
        fresh=not options["resume"],
    )


def run_and_report(
    train: Callable[["Launch"], "Run"],
    folder: Path,
    options: dict[str, Any],
    *,
    steps: int,
    files: dict[str, str],
    then: str,
    score: Callable[["Run"], None] = lambda run: None,
) -> None:
    """As `train_and_report`, where the options are still a dict."""
    train_and_report(train, launch_of(options, folder), steps=steps, files=files, then=then, score=score)


def report_end(run: "Run") -> None:
    """Say why a run stopped before its end, and what it skipped."""
    from autolink_gen.training.report import ending

    for line in ending(run):
        echo(line)
