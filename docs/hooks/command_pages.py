"""The reference of the command line, from the tree of click commands."""

import inspect
import re
from collections.abc import Iterator

import click
from markdown_tables import table

from autolink_gen.cli.main import cli


def commands_page() -> str:
    """A section for each command, its subcommands below it."""
    return "\n".join(_sections(cli, click.Context(cli, info_name="autolink-gen"), depth=2))


def _sections(command: click.Command, context: click.Context, *, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path.removeprefix('autolink-gen ')}\n"
    yield from help_lines(command.help or "")
    yield f"\n```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    yield options_table(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (inner := command.get_command(context, name)) is not None:
                yield from _sections(inner, click.Context(inner, parent=context, info_name=name), depth=depth + 1)


def help_lines(text: str) -> Iterator[str]:
    r"""A help text as Markdown: what follows click's `\b` keeps its lines, examples become blocks."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = paragraph.splitlines()
        if not lines or lines[0].strip() != "\b":
            yield paragraph + "\n"
            continue
        heads = [line for line in lines[1:] if not line.startswith("  ")]
        shown = [line.strip() for line in lines[1:] if line.startswith("  ")]
        yield "\n".join([*heads, "", "```text", *shown, "```", ""]) if shown else "\n".join(heads) + "\n"


def options_table(command: click.Command, context: click.Context) -> str:
    """Options, what each does, and their defaults, as the command's own help has them."""
    rows = []
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            names, text = record
            rows.append([f"`{names}`", text.replace("[", "\\[")])
    return table(["option", ""], rows)
