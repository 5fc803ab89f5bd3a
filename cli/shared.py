"""What several commands need: lines for the terminal, the device that is named, a progress bar, numbers of things."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from autolink_gen.text import printable

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there already.")


def echo(*lines: str, err: bool = False) -> None:
    """Print lines; whatever controls a terminal, as strangers' file names may, is escaped, newlines in a line too.

    To the standard error with ``err``, and where an option has a file written to the standard output.
    """
    click.echo("\n".join(map(printable, lines)), err=err or _output_is_a_file())


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
    from autolink_gen.files import standard_output

    return standard_output(path)


def pick_device(name: str | None) -> str:
    """The device to run on: the one named, else CUDA where there is one; BadParameter where it cannot be used."""
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()  # there are devices from which nothing comes back
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # followed by every kind of device there is
            reason = "PyTorch knows no such kind of device"
        raise click.BadParameter(f"{name} cannot be used here ({reason}); try cpu", param_hint="--device") from None
    return name


def progress_bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The items, under a bar with the time left where they take more than a second."""
    from tqdm import tqdm

    return tqdm(items, total=total, desc=printable(label), leave=False, delay=1)


def counted(number: int, thing: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def evaluated_data(run: Path, options: dict[str, Any]) -> tuple[str, Path | None, dict[str, Any]]:
    """The name of the data to evaluate a run on, its root, and the run's settings of data where they are its own.

    UsageError where neither --data nor the run says what it is.
    """
    settings = run_settings(run, "data") if options["data"] is None else {}
    data = options["data"] or settings.get("name")
    if data is None:
        raise click.UsageError("the weights alone do not say what they were trained on; give --data")
    return data, options["data_root"] or (Path(settings["root"]) if settings.get("root") else None), settings


def run_settings(run: Path, group: str) -> dict[str, Any]:
    """One group of a run's settings, as its config.yaml has them; empty where there is no such file."""
    from autolink_gen.recipes import read_yaml

    file = run / "config.yaml"
    values = read_yaml(file.read_text(encoding="utf-8"), source=str(file)) if file.is_file() else {}
    found: dict[str, Any] = values.get(group, {})
    return found
