"""Types of options: what is typed becomes an object, or is refused with what is wrong."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from autolink_gen import verbs
from autolink_gen.common.text import shown, why_no_run_name

if TYPE_CHECKING:
    from autolink_gen.inference.smoothing import Smoothing

_FORMATS = ("csv", "json", "coco", "dlc", "sleap", "nwb")
_SMOOTHINGS = ("one-euro", "median")
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

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """After what is typed of a list, the formats that begin so and are not in it yet."""
        before, comma, last = incomplete.rpartition(",")
        others = [name for name in _FORMATS if name not in before.split(",")]
        return [CompletionItem(f"{before}{comma}{name}") for name in others if name.startswith(last)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names; BadParameter where there is none."""
        names = tuple(dict.fromkeys(part.strip().lower() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail("it names no format", param, ctx)
        return names


class SmoothingName(click.ParamType):
    """A way to smooth poses: one-euro, median, or median:9, over so many frames."""

    name = "smoothing"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The ways to smooth that begin so."""
        return [CompletionItem(name) for name in _SMOOTHINGS if name.startswith(incomplete)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Smoothing":
        """The smoothing; BadParameter for one that there is not."""
        if not isinstance(value, str):
            return value
        try:
            smoothing = verbs.Smoothing.parse(value.strip().lower())
        except ValueError as error:
            name, colon, window = value.strip().lower().partition(":")
            near = [] if name in _SMOOTHINGS else get_close_matches(name, _SMOOTHINGS, n=1)
            guess = f" (did you mean {near[0]}{colon}{window}?)" if near else ""
            self.fail(f"{error}{guess}", param, ctx)
        assert smoothing is not None
        return smoothing

    def is_one(self, word: str) -> bool:
        """Whether a word of the command line means one, right or wrong: no file, and nearly one's name."""
        name = word.partition(":")[0].lower()
        return name in _SMOOTHINGS or bool(
            get_close_matches(name, _SMOOTHINGS, cutoff=0.75) and not Path(word).exists()
        )


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
