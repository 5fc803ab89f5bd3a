"""Commands of the house: options in sections, how much is said, near misses of an unknown command."""

import logging
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

import click

from autolink_gen.common.progress import hide_progress

TYPED = "autolink_gen.typed"  # the key of the context's meta under which the whole command line is kept
_LAST = "What is said"
# What is used, and what is kept, is said without being asked for.
_NOTING = ("data.listing", "data.held_out", "inference.detect_files", "training.run_log")


class SectionOption(click.Option):
    """An option that ``--help`` lists under a title of its own."""

    def __init__(self, *args: Any, section: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class FlagOrValue(SectionOption):
    """An option that may stand alone: what follows it is its value only where ``is_value`` says so.

    So it may stand before an argument. ``alone`` is its value where it has none.
    """

    def __init__(self, *args: Any, alone: str, is_value: Callable[[str], bool], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.alone, self.is_value = alone, is_value

    def complete(self, args: list[str]) -> list[str]:
        """The words of a command line, with a value for the option wherever it stands alone."""
        end = args.index("--") if "--" in args else len(args)
        words = [*args]
        for place in reversed(range(end)):
            follows = args[place + 1] if place + 1 < end else ""
            if args[place] in self.opts and not self.is_value(follows):
                words[place : place + 1] = [args[place], self.alone]
        return words


def section(title: str) -> Callable[..., Callable[[Any], Any]]:
    """``click.option`` for the options under a title: ``option = section("Video")``."""
    return partial(click.option, cls=SectionOption, section=title)


def set_verbosity(*, quiet: bool = False, verbose: int = 0) -> None:
    """Say as much as usual, or only answers, warnings and errors, or more: 1 for notes, 2 for programmers' too."""
    hide_progress(quiet)
    for module in _NOTING:
        logging.getLogger(f"autolink_gen.{module}").setLevel(logging.WARNING if quiet else logging.INFO)
    levels = (logging.NOTSET, logging.INFO, logging.DEBUG)
    logging.getLogger("autolink_gen").setLevel(levels[min(verbose, 2)])


def _choose(ctx: click.Context, param: click.Parameter, value: int) -> None:
    """Heed --quiet or --verbose, before the command or after it; UsageError for both."""
    if not value or ctx.resilient_parsing:
        return
    chosen = ctx.meta.setdefault("autolink_gen.verbosity", {})
    chosen[str(param.name)] = value
    if len(chosen) > 1:
        raise click.UsageError("--quiet and --verbose ask for less and for more: give one of them", ctx=ctx)
    set_verbosity(quiet="quiet" in chosen, verbose=chosen.get("verbose", 0))


def verbosity_options() -> list[click.Parameter]:
    """``--quiet`` and ``--verbose``, which every command has."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True, "callback": _choose, "section": _LAST}
    return [
        SectionOption(["-q", "--quiet"], is_flag=True, help="Only answers, warnings and errors.", **shared),
        SectionOption(["-v", "--verbose"], count=True, help="More of what is done; twice for still more.", **shared),
    ]


class Command(click.Command):
    """A command whose help has sections, and which takes ``--quiet`` and ``--verbose``."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params += verbosity_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        for parameter in self.params:
            if isinstance(parameter, FlagOrValue):
                args = parameter.complete(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under the title of its section, ``--help`` last."""
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or isinstance(parameter, click.Argument):
                continue
            title = _LAST if "--help" in parameter.opts else getattr(parameter, "section", "")
            sections.setdefault(title, []).append(record)
        last = sections.pop(_LAST, [])
        for title, records in [*sections.items(), (_LAST, last)]:
            if records:
                with formatter.section(title or "Options"):
                    formatter.write_dl(records)


command = partial(click.command, cls=Command)


class Group(click.Group):
    """A group of such commands, which names near misses of one that it lacks."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command; UsageError with those of nearly that name for one that there is not."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx)) if "No such command" in error.message else []
            if not near:
                raise
            names = " or ".join(repr(name) for name in near)
            raise click.UsageError(f"{error.message} Did you mean {names}?", ctx=ctx) from None
