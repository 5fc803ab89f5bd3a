"""CITATION.cff says what pyproject.toml and the README say."""

import re
from pathlib import Path

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((_ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_version_name_and_licence_are_those_of_the_package(citation):
    tables = (_ROOT / "pyproject.toml").read_text().split("\n[")
    (project,) = (dict(re.findall(r'^(\w+) = "(.*)"$', t, re.MULTILINE)) for t in tables if t.startswith("project]"))
    found = (citation["title"], citation["version"], citation["license"])
    assert found == (project["name"], project["version"], project["license"])
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]


def test_the_paper_is_that_of_the_readme(citation):
    bibtex = dict(re.findall(r"^  (\w+) = \{(.*)\}", (_ROOT / "README.md").read_text(), re.MULTILINE))
    paper = citation["preferred-citation"]
    authors = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert (paper["title"], " and ".join(authors)) == (bibtex["title"], bibtex["author"])
    assert (str(paper["year"]), paper["collection-title"]) == (bibtex["year"], bibtex["booktitle"])
    assert "2205.10636" in paper["url"]
