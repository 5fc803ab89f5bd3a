"""What several commands need: lines for the terminal, the device that is named, numbers of things."""

from pathlib import Path
from typing import Any

import click

from autolink_gen.common.text import printable, shown, why_no_run_name
from autolink_gen.data.identity import public_text

_LARGEST_SEED = 2**63 - 1  # what generators take
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there already.")


class RunName(click.ParamType):
    """The name of a run: that of one folder, on any system."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; BadParameter, which says why, where no folder should be called so."""
        text = str(value)
        if wrong := why_no_run_name(text):
            self.fail(wrong, param, ctx)
        return text


class Seed(click.ParamType):
    """A seed of random numbers: a whole number that generators take, 0 or more where it is not ``signed``."""

    name = "integer"

    def __init__(self, *, signed: bool = True) -> None:
        self.least = -_LARGEST_SEED if signed else 0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; BadParameter for what is none, or is too large."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{shown(str(value), most=40)!r} is no whole number that a seed can be", param, ctx)
        if not self.least <= number <= _LARGEST_SEED:
            self.fail(f"{shown(number, most=40)} is no seed: give one from {self.least} to {_LARGEST_SEED}", param, ctx)
        return number


def echo(*lines: str, err: bool = False) -> None:
    """Print lines; whatever controls a terminal, as strangers' file names may, is escaped, newlines in a line too.

    Addresses are shown without what opens them.

    To the standard error with ``err``, and where an option has a file written to the standard output.
    """
    click.echo("\n".join(printable(public_text(line)) for line in lines), err=err or _output_is_a_file())


def _output_is_a_file() -> bool:
    """Whether an option of the command that runs names the standard output ("-") as the file to write."""
    context = click.get_current_context(silent=True)
    for option in context.command.params if context else ():
        if isinstance(option, click.Option) and isinstance(option.type, click.Path) and option.name:
            value = context.params.get(option.name) if context else None
            if isinstance(value, Path) and _is_output(value):
                return True
    return False


def _is_output(path: Path) -> bool:
    from autolink_gen.common.streams import standard_output

    return standard_output(path)


def pick_device(name: str | None) -> str:
    """The device to run on: the one named, else CUDA where there is one; BadParameter where it cannot be used."""
    from autolink_gen.common.devices import best_device

    if name is None:
        return best_device()
    import torch

    try:
        torch.zeros(1, device=name).cpu()  # there are devices from which nothing comes back
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # followed by every kind of device there is
            reason = "PyTorch knows no such kind of device"
        raise click.BadParameter(f"{name} cannot be used here ({reason}); try cpu", param_hint="--device") from None
    return name


def evaluated_data(run: Path, options: dict[str, Any]) -> tuple[str, Path | None, dict[str, Any]]:
    """The name of the data to evaluate a run on, its root, and the run's settings of data where they are its own.

    UsageError where neither --data nor the run says what it is, and where the run's own is not there any more.
    """
    settings = run_settings(run, "data") if options["data"] is None else {}
    data = options["data"] or settings.get("name")
    if data is None:
        raise click.UsageError("the weights alone do not say what they were trained on; give --data")
    if not options["data"]:
        check_own_data(data, run)
    return data, options["data_root"] or (Path(settings["root"]) if settings.get("root") else None), settings


def check_own_data(data: str, run: Path) -> None:
    """UsageError where a run's own data are a path that is not there: the run, or they, have been moved."""
    from autolink_gen.data.shards.names import is_there
    from autolink_gen.data.source import parts_of

    gone = next((part for part in map(str, parts_of(data)) if Path(part).is_absolute() and not is_there(part)), None)
    if gone is not None:
        raise click.UsageError(
            f"the run {run} was trained on {gone}, which is not there any more: give --data with its place now, or "
            f"with other data"
        )


def run_settings(run: Path, group: str) -> dict[str, Any]:
    """One group of a run's settings, as its config.yaml has them; empty where there is no such file."""
    from autolink_gen.recipes import read_settings

    file = run / "config.yaml"
    settings: dict[str, Any] = read_settings(file).get(group, {}) if file.is_file() else {}
    return settings
