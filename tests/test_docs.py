"""The README and the pages of docs: their links lead somewhere, and the program knows the commands that they show."""

import re
import shlex
from pathlib import Path

import click
import pytest

from autolink_gen.cli.main import cli

_ROOT = Path(__file__).resolve().parents[1]
PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_RESULTS = sorted((_ROOT / "docs" / "results").glob("*.json"))
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[list[str]]:
    """The words of each `autolink-gen` command on a page, in blocks and in the text, without the program's name."""
    text = page.read_text(encoding="utf-8")
    shown = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
    shown += re.findall(r"`([^`]+)`", _BLOCK.sub("", text).replace("\n", " "))
    parts = [part.strip().removeprefix("$ ") for line in shown for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("autolink-gen ")]


def unknown(words: list[str]) -> str | None:
    """What the program does not know of a command; None where it knows all."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        if not words or words[0].startswith("-"):
            break
        name, *words = words
        if (found := command.get_command(context, name)) is None:
            return f"no command {name}"
        command, context = found, click.Context(found, parent=context)
    try:
        command.make_parser(context).parse_args([word for word in words if word != "..."])
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(_ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}#{anchor}, a heading that is not there"


@pytest.mark.parametrize("page", [*PAGES, *_RESULTS], ids=lambda page: page.relative_to(_ROOT).as_posix())
def test_the_program_knows_the_commands_shown(page: Path) -> None:
    wrong = {shlex.join(words): why for words in commands(page) if (why := unknown(words)) is not None}
    assert wrong == {}


def test_what_is_wrong_is_seen() -> None:
    assert unknown(["learn-graph", "--no-such-option"]) is not None
    assert unknown(["data", "no-such-command"]) == "no command no-such-command"
    assert sum(len(commands(page)) for page in [*PAGES, *_RESULTS]) > 70
    assert {"results", "your-own-images"} <= anchors(_ROOT / "README.md")
    assert "pip-install" not in anchors(_ROOT / "README.md")
