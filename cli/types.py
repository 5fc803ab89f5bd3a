"""Types of options: what is typed becomes an object, or is refused with what is wrong."""

from typing import TYPE_CHECKING, Any

import click

from autolink_gen import verbs
from autolink_gen.common.text import shown, why_no_run_name

if TYPE_CHECKING:
    from autolink_gen.inference.smoothing import Smoothing

_LARGEST_SEED = 2**63 - 1  # what generators take


class RunName(click.ParamType):
    """The name of a run: that of one folder, on any system."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is; BadParameter, which says why, where no folder should be called so."""
        text = str(value)
        if problem := why_no_run_name(text):
            self.fail(problem, param, ctx)
        return text


class Seed(click.ParamType):
    """A random seed: a whole number that generators take, 0 or more unless ``signed``."""

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


class FormatNames(click.ParamType):
    """Names separated by commas, each once."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names; BadParameter where there is none."""
        names = tuple(dict.fromkeys(part.strip().lower() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail("it names no format", param, ctx)
        return names


class SmoothingName(click.ParamType):
    """A way to smooth poses: one-euro, median, or median:9, over so many frames."""

    name = "smoothing"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Smoothing":
        """The smoothing; BadParameter for one that there is not."""
        if not isinstance(value, str):
            return value
        try:
            smoothing = verbs.Smoothing.parse(value.strip().lower())
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert smoothing is not None
        return smoothing

    def is_one(self, word: str) -> bool:
        """Whether a word of the command line means one, right or wrong."""
        return word.partition(":")[0].lower() in ("one-euro", "median")


class LoggerNames(click.ParamType):
    """Names of services, separated by commas, or none."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, each once; BadParameter for one that there is not."""
        if isinstance(value, tuple) or value == "none":
            return value if isinstance(value, tuple) else ()
        names = tuple(dict.fromkeys(name.strip() for name in str(value).split(",")))
        for name in names:
            if name not in verbs.LOGGER_NAMES:
                known = ", ".join(verbs.LOGGER_NAMES)
                self.fail(f"{shown(name)!r} is no service that a run is sent to: take of {known}, or none", param, ctx)
        return names
