"""The mkdocs hook of this site: fills in what pages leave to the code.

A page marks a place with `<!-- generated: NAME ARGUMENT -->`. The mark is replaced by what `GENERATORS[NAME]` makes of
the argument, so that reference pages cannot fall behind the code.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_pages import commands_page
from paper_notes import differences_table, equations_table
from python_pages import python_page
from result_tables import result_table
from settings_tables import settings_page

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"^<!-- generated: (?P<name>\w+) ?(?P<argument>.*?) -->$", re.MULTILINE)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?:|#)(?P<target>[^)\s]+)\)")
_ROLE = re.compile(r":(?:func|class|mod|meth|attr):(?=<code>|`)")
_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def root_file(name: str, *, page: str) -> str:
    """A file of the repository's root, with its links as the page at `page` must have them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return _LINK.sub(lambda link: _link_from(page, link), text)


def _link_from(page: str, link: re.Match[str]) -> str:
    """One link of a file in the root; a link to what the site does not hold becomes its text."""
    target, hash_sign, anchor = link["target"].partition("#")
    on_site = _PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
    if on_site is None:
        return link["text"]
    path = posixpath.relpath(on_site, posixpath.dirname(page) or ".")
    return f"{link['image']}[{link['text']}]({path}{hash_sign}{anchor})"


GENERATORS: dict[str, Callable[..., str]] = {
    "commands": lambda argument, page: commands_page(),
    "differences": lambda argument, page: differences_table(ROOT),
    "equations": lambda argument, page: equations_table(ROOT),
    "file": lambda argument, page: root_file(argument, page=page),
    "python": lambda argument, page: python_page(),
    "result": lambda argument, page: result_table(ROOT / "docs" / "results", argument),
    "settings": lambda argument, page: settings_page(argument),
}


def fill(markdown: str, *, page: str) -> str:
    """The page with its marks replaced; ValueError names a mark that nothing generates."""

    def replacement(mark: re.Match[str]) -> str:
        if mark["name"] not in GENERATORS:
            raise ValueError(f"{page}: nothing generates {mark['name']!r}; there are {', '.join(sorted(GENERATORS))}")
        return GENERATORS[mark["name"]](mark["argument"], page)

    return MARK.sub(replacement, markdown)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with the source of each page."""
    return fill(markdown, page=page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Called by mkdocs with each page's HTML: drops the roles that docstrings put before names of the code."""
    return _ROLE.sub("", html)
