"""The options that every training command takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--data", help="A named data set or a folder of pictures. [default: the recipe's; puppets]"),
    click.option("--data-root", type=click.Path(path_type=Path), help="The folder where named data sets lie."),
    click.option("--recipe", help="A recipe by name, or a YAML file. [default: the cheapest that suits the machine]"),
    click.option("--name", help="Name of the run. [default: made from the data and the model]"),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Folder of all runs.",
    ),
    click.option("--seed", type=int, help="Seed of weights, masks and the order of pictures."),
    click.option("--steps", type=int, help="Training steps."),
    click.option("--max-minutes", type=float, help="Save and stop after so many minutes; repeat to go on."),
    click.option("--devices", default="auto", show_default=True, help="Number of devices, or auto."),
    click.option("--nodes", type=int, default=1, show_default=True, help="Number of machines."),
    click.option(
        "--precision",
        type=click.Choice(["32-true", "bf16-mixed", "16-mixed"]),
        default="32-true",
        show_default=True,
        help="Floating-point precision.",
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
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
