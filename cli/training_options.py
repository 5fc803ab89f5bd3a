"""What the training commands share: their options, the name of a run, what is said of it."""

import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autolink_gen.cli.shared import RunName, Seed, echo

if TYPE_CHECKING:
    from torch import nn

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


def say(*lines: str) -> None:
    """Print lines once, however many processes train."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank_zero_only(echo)(*lines)


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


def print_parameters(networks: dict[str, "nn.Module"]) -> None:
    """A table of the parameters of each network by block, in comments."""
    for name, network in networks.items():
        echo(f"# {name}")
        for block, count in _parameters_by_block(network):
            echo(f"#   {block:<18} {count:>12,}")
        echo(f"#   {'in all':<18} {sum(p.numel() for p in network.parameters()):>12,}")


def _parameters_by_block(network: "nn.Module") -> list[tuple[str, int]]:
    rows = [(name, parameter.numel()) for name, parameter in network.named_parameters(recurse=False)]
    for name, child in network.named_children():
        inner = list(child.named_children()) if name == "blocks" else [("", child)]
        for index, module in inner:
            rows.append((f"{name}.{index}".rstrip("."), sum(p.numel() for p in module.parameters())))
    return rows


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


def _announce_resume(step: int, *, steps: int) -> None:
    """Say what a repeated command finds: a run of so many steps at this one."""
    if step > steps:
        say(f"the run is at step {step}, past {steps}: without --steps it goes on to its end, --fresh starts anew")
    elif step == steps:
        say(f"finished already, at step {step}: more --steps go on, --fresh starts anew")
    elif step:
        say(f"going on from step {step} of {steps}")


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
    """Train, then say how it ended, which ``files`` of the run's folder hold what, and the command to type next."""
    run = train(replace(launch_of(options, folder), announce=partial(_announce_resume, steps=steps)))
    if not run.fabric.is_global_zero:
        return
    report_end(run)
    number = signal.Signals.__members__.get(run.stopped_by or "")
    if number is None:  # whoever sends a signal does not wait for long
        score(run)
    verb = "wrote" if run.progress.step > run.first_step else "kept"
    for name, text in files.items():
        if (folder / name).is_file():
            echo(f"{verb} {folder / name}: {text}")
    if then:
        echo(f"next: {then}")
    if number is not None:  # as a shell has it, so that a script does not go on
        click.get_current_context().exit(128 + number)


def report_end(run: "Run") -> None:
    """Say why a run stopped before its end, and what it skipped."""
    if run.stopped_by:
        done, steps = run.progress.step, run.length.steps
        echo(f"stopped by {run.stopped_by} at step {done} of {steps}; repeat the command to go on")
    if run.progress.skipped_steps:
        counted = "1 step was" if run.progress.skipped_steps == 1 else f"{run.progress.skipped_steps} steps were"
        echo(f"{counted} skipped: a loss, or its gradient, was not finite")
