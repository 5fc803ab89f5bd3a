"""What the pages of the site take from the code, and the JSON files of results."""

import json
import re
from dataclasses import fields
from pathlib import Path

import command_pages
import paper_notes
import pytest
import python_pages
import result_tables
import settings_tables
import site_hook

import autolink_gen
from autolink_gen.cli.main import COMMANDS

_ROOT = Path(__file__).resolve().parents[2]
_RESULTS = sorted((_ROOT / "docs" / "results").glob("*.json"))
_CODE = '''"""Edges (AutoLink eq. 2-3), as others have them (Karras et al. 2018, eq. 7)."""


class Edge:
    """One edge.

    Differs: the paper has
    none.

    Drawn as it is.
    """

    def draw(self):
        """Draw it (AutoLink Appendix C.1)."""
        # Differs: the authors draw it
        # twice.
        return 1
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one file."""
    (tmp_path / "autolink_gen").mkdir()
    (tmp_path / "autolink_gen" / "edges.py").write_text(_CODE)
    return tmp_path


def test_every_command_and_option_is_listed() -> None:
    page = command_pages.commands_page()
    for name in COMMANDS:
        assert re.search(rf"^#+ {name}$", page, re.MULTILINE), name
    assert "#### data check" in page and "--num-keypoints" in page
    assert "\b" not in page and "\nautolink-gen learn-graph --data photos/" in page


def test_an_example_of_a_help_text_becomes_a_block() -> None:
    lines = "\n".join(command_pages.help_lines("Do it.\n\n\b\nExample:\n  autolink-gen do\n  autolink-gen do --more\n"))
    assert "Do it.\n" in lines
    assert "Example:\n\n```text\nautolink-gen do\nautolink-gen do --more\n```" in lines


@pytest.mark.parametrize("kind", settings_tables.CONFIGS)
def test_every_setting_is_listed_with_its_default(kind: str) -> None:
    page = settings_tables.settings_page(kind)
    config = settings_tables.CONFIGS[kind]()
    for group in fields(config):
        inner = getattr(config, group.name)
        for setting in fields(inner):
            default = settings_tables.written(getattr(inner, setting.name))
            assert re.search(
                rf"^\| `{group.name}\.{setting.name}` \|[^\n]* \| {re.escape(default)} \|", page, re.MULTILINE
            ), f"{group.name}.{setting.name} = {default}"
    assert "puppets" in page


def test_types_and_bounds_are_in_words() -> None:
    optional = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}
    assert settings_tables.type_of(optional, {}) == "number or `null`"
    assert settings_tables.bounds_of(optional) == "more than 0"
    assert settings_tables.type_of({"enum": ["crop", "pad"]}, {}) == "`crop`, `pad`"
    assert settings_tables.type_of({"type": "array", "items": {"type": "string"}}, {}) == "list of string"
    assert settings_tables.bounds_of({"minimum": 2, "maximum": 64}) == "at least 2, at most 64"
    assert [settings_tables.written(value) for value in (None, "crop", "", 5e-5)] == [
        "`null`", "`crop`", '`""`', "`5e-05`",
    ]  # fmt: skip


def test_places_of_the_paper_are_found_and_those_of_others_are_not(repository: Path) -> None:
    found = [(place, note.name) for place, note in paper_notes.equations(repository)]
    assert found == [("eq. 2-3", ""), ("Appendix C.1", "Edge.draw")]
    table = paper_notes.equations_table(repository)
    assert "| Appendix C.1 | Draw it. | `Edge.draw`<br>`edges.py` |" in table


def test_differences_are_collected_from_docstrings_and_comments(repository: Path) -> None:
    assert [(note.name, note.text.split()) for note in paper_notes.differences(repository)] == [
        ("Edge", ["the", "paper", "has", "none."]),
        ("Edge.draw", ["the", "authors", "draw", "it", "twice."]),
    ]
    assert "| `Edge.draw`<br>`edges.py` | the authors draw it twice. |" in paper_notes.differences_table(repository)


def test_every_difference_of_the_code_is_collected() -> None:
    written = sum(path.read_text(encoding="utf-8").count("Differs:") for path in paper_notes.sources(_ROOT))
    assert len(paper_notes.differences(_ROOT)) == written > 10


def test_public_names_are_shown() -> None:
    page = python_pages.python_page()
    for name in autolink_gen.__all__:
        assert f"::: autolink_gen.{name}\n" in page
    assert "'detect'" in page and "'animate'" in page
    assert "RunFolder" in page and page.count("DetectionReport") == 1


@pytest.mark.parametrize("file", _RESULTS, ids=lambda file: file.name)
def test_results_say_when_on_what_and_of_which_commit(file: Path) -> None:
    page = file.with_suffix(".md").read_text(encoding="utf-8")
    for name, values in json.loads(file.read_text(encoding="utf-8")).items():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", values["date"]), name
        assert values["machine"] and values["commit"], name
        assert {len(row) for row in values["rows"]} == {len(values["columns"])}, name
        assert f"<!-- generated: result {file.name} {name} -->" in page


def test_a_table_of_results_names_machine_and_commit(tmp_path: Path) -> None:
    values = {
        "date": "2026-11-29",
        "machine": "two cores",
        "commit": "abc",
        "columns": ["a", "b|c"],
        "rows": [["x", 1.5]],
    }
    (tmp_path / "some.json").write_text(json.dumps({"one": values}))
    text = result_tables.result_table(tmp_path, "some.json one")
    assert text.splitlines()[:3] == ["| a | b\\|c |", "| --- | --- |", "| x | 1.5 |"]
    assert "2026-11-29, two cores, commit abc" in text


def test_links_of_files_in_the_root_fit_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_hook, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(
        "![P](docs/images/p.png) [S](docs/guides/score.md#a) [L](LICENSE) [C](CHANGELOG.md) [W](https://w.org) [H](#h)"
    )
    assert site_hook.fill("<!-- generated: file README.md -->", page="index.md") == (
        "![P](images/p.png) [S](guides/score.md#a) L [C](changelog.md) [W](https://w.org) [H](#h)"
    )
    assert "](../guides/score.md#a)" in site_hook.fill("<!-- generated: file README.md -->", page="more/index.md")


def test_a_mark_that_nothing_generates_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"page\.md.*'nothing'.*commands"):
        site_hook.fill("<!-- generated: nothing -->", page="page.md")


def test_roles_of_docstrings_are_dropped() -> None:
    assert site_hook.on_page_content("see :func:<code>edge_map</code>") == "see <code>edge_map</code>"
