"""What every command shares: near misses of its name, options in sections, --quiet and --verbose."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from helpers.cli import run_cli
from helpers.messages import assert_mentions

from autolink_gen.cli.commands import Command, set_verbosity
from autolink_gen.cli.main import cli
from autolink_gen.common.progress import is_hidden


@pytest.fixture(autouse=True)
def usual_again() -> Iterator[None]:
    yield
    set_verbosity()


def every_command(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from every_command(command) if isinstance(command, click.Group) else (command,)


def test_every_command_is_one_of_the_house() -> None:
    assert all(isinstance(command, Command) for command in every_command(cli))


@pytest.mark.parametrize(
    ("words", "near"),
    [(["lern-graph"], "learn-graph"), (["data", "chek"], "check"), (["weights", "fech"], "fetch")],
)
def test_an_unknown_command_names_its_near_misses(words: list[str], near: str) -> None:
    assert_mentions(run_cli(*words, expect=2), words[-1], "did you mean", near)


def test_a_command_like_no_other_names_none() -> None:
    result = run_cli("xyzzy", expect=2)
    assert_mentions(result, "xyzzy")
    assert "did you mean" not in result.output.lower()


def test_help_has_each_option_once_and_under_a_title() -> None:
    text = run_cli("train-gan", "--help").output
    titles = re.findall(r"^(\w.*):$", text, re.M)
    assert titles[0] == "Options" and {"Data and recipe", "Machine"} <= set(titles)
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.M)
    assert len(options) == len(set(options)) and {"--graph", "--data", "--devices", "--quiet", "--help"} <= set(options)
    machine = text.split("\nMachine:\n")[1].split("\n\n")[0]
    assert "--devices" in machine and "--data" not in machine


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
def test_quiet_leaves_the_answers(before: bool, pictures: Path) -> None:
    words = ["data", "check", pictures, "--json", "report.json"]
    loud = run_cli(*words).output
    quiet = run_cli(*(["--quiet", *words] if before else [*words, "-q"]), "--overwrite").output
    assert "wrote report.json" in loud and "wrote" not in quiet
    assert quiet.strip() and quiet == "".join(
        line for line in loud.splitlines(keepends=True) if not line.startswith("wrote")
    )


def test_quiet_says_what_was_asked_for(pictures: Path) -> None:
    assert "training:" in run_cli("learn-graph", "--data", pictures, "--dry-run", "-q").output


def test_what_one_command_was_told_the_next_has_forgotten(pictures: Path) -> None:
    run_cli("data", "check", pictures, "-q")
    assert is_hidden()
    run_cli("data", "check", pictures)
    assert not is_hidden()


@pytest.mark.parametrize(("option", "level"), [("-v", logging.INFO), ("-vv", logging.DEBUG), ("-vvv", logging.DEBUG)])
def test_verbose_shows_more_of_our_log(option: str, level: int, pictures: Path) -> None:
    run_cli("data", "check", pictures)
    assert not logging.getLogger("autolink_gen.pretrained.features").isEnabledFor(logging.INFO)
    run_cli("data", "check", pictures, option)
    assert logging.getLogger("autolink_gen.pretrained.features").getEffectiveLevel() == level


def test_less_and_more_at_once_is_refused(pictures: Path) -> None:
    assert_mentions(run_cli("-q", "data", "check", pictures, "-v", expect=2), "--quiet", "--verbose")


def test_quiet_still_warns_and_fails_aloud(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["-q", "data", "check", str(tmp_path / "none")])
    assert result.exit_code != 0
    assert_mentions(result, tmp_path / "none")


def test_a_report_to_the_standard_output_is_alone_there(pictures: Path) -> None:
    result = run_cli("data", "check", pictures, "--json", "-")
    assert json.loads(result.stdout)["num_readable"] == 6
    assert result.stderr.strip(), "what is said to people goes elsewhere"
