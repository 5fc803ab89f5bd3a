"""The helper that reads messages fails where a name, a value or a remedy is missing or another stands there."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from helpers.messages import assert_line_mentions, assert_mentions, one_line, raises_mentioning

MESSAGE = (
    "cannot read 12 of 1,000 images of runs/graph/birds, such as a.png; repeat with --fresh or set loss.gamma=0.5."
)


@pytest.mark.parametrize(
    "thing",
    [
        "a.png", "runs/graph/birds", "graph/birds", Path("runs/graph/birds"), "birds", "--fresh", "loss.gamma=0.5",
        "loss.gamma", 0.5, 12, 1000, "1,000", "CANNOT", "Repeat", "imag*", "read 12", ("pictures", "images"),
    ],
)  # fmt: skip
def test_names_values_and_words_are_found_in_any_order(thing) -> None:
    assert_mentions(MESSAGE, "--fresh", thing, "cannot")


@pytest.mark.parametrize(
    ("message", "thing"),
    [
        ("120 images", 12), ("112 images", 12), ("12.5 images", 12), ("0.12 images", 12), ("12,000 images", 12),
        ("1,012 images", "012"), ("12px", 12), ("step-12", 12), ("1000", 100), ("aa.png", "a.png"),
        ("b-a.png", "a.png"), ("a.png.tmp", "a.png"), ("A.png", "a.png"), ("runs/birds/model", "runs/birds"),
        ("runs/birds-k3", "runs/birds"), ("old_birds", "birds"), ("--fresh-start", "--fresh"), ("fresh", "--fresh"),
        ("--fresh", "fresh"), ("--no-fresh", "--fresh"), ("training.loss.gamma", "loss.gamma"), ("unreadable", "read"),
        ("reading", "read"), ("unreadable", "read*"), ("neither", ("one", "other")), ("", "birds"),
    ],
)  # fmt: skip
def test_another_name_value_or_word_is_not_a_mention(message: str, thing) -> None:
    with pytest.raises(AssertionError):
        assert_mentions(message, thing)


def test_failure_names_what_is_missing_and_shows_the_message() -> None:
    with pytest.raises(AssertionError) as failed:
        assert_mentions("birds has 120 images", "birds", 12, ("--data", "--root"))
    lines = str(failed.value).splitlines()
    assert lines[1:3] == ["  '12'", "  '--data' or '--root'"]
    assert lines[-1] == "birds has 120 images"
    assert "'birds'" not in str(failed.value)


def test_nothing_to_look_for_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="things"):
        assert_mentions("birds")
    for thing in ("", " ", "*"):
        with pytest.raises(ValueError, match="every message"):
            assert_mentions("birds", thing)


def test_one_line_of_an_output_mentions_all() -> None:
    output = "birds has 12 images\ncats has 10 images"
    assert_line_mentions(output, "birds", 12)
    assert_line_mentions(output.splitlines(), "cats", 10)
    for lines in (output, output.splitlines(), "", []):
        with pytest.raises(AssertionError, match="no line"):
            assert_line_mentions(lines, "birds", 10)
    with pytest.raises(ValueError, match="things"):
        assert_line_mentions(output)


def test_errors_are_read_by_their_message() -> None:
    with raises_mentioning(ValueError, "birds", 12) as raised:
        raise ValueError("birds has 12 images")
    assert_mentions(raised, "images")
    assert_mentions(raised.value, "images")
    with pytest.raises(AssertionError), raises_mentioning(ValueError, "birds"):
        raise ValueError("cats has 12 images")
    with pytest.raises(KeyError), raises_mentioning(ValueError, "birds"):
        raise KeyError("birds")
    with pytest.raises(pytest.fail.Exception), raises_mentioning(ValueError, "birds"):
        pass


def _ended(*lines: str, error: Exception | None = None) -> Result:
    @click.command()
    def command() -> None:
        for line in lines:
            click.echo(line)
        if error:
            raise error

    return CliRunner().invoke(command)


def test_one_line_is_the_message_of_the_error() -> None:
    assert one_line(_ended("reading", error=click.ClickException("no birds"))) == "no birds"
    assert one_line(_ended(error=click.UsageError("no birds")), exit_code=2) == "no birds"
    assert_mentions(_ended("reading", error=click.ClickException("no birds")), "reading", "birds")


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((), None),
        (("Error: no birds",), None),
        (("Error: no cats",), click.ClickException("no birds")),
        (("Traceback (most recent call last)",), click.ClickException("no birds")),
        ((), click.ClickException("no birds\nand no cats")),
        ((), click.UsageError("no birds")),
        ((), ValueError("no birds")),
    ],
)
def test_one_line_fails_on_any_other_end(lines, error) -> None:
    with pytest.raises(AssertionError):
        one_line(_ended(*lines, error=error))
