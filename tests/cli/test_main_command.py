"""The group: help that is quick and ends with an example, errors of one line, tracebacks on demand."""

import logging
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result
from helpers.messages import assert_mentions, one_line
from safetensors.torch import save_file

from autolink_gen.checkpoints import FORMAT
from autolink_gen.cli.main import COMMANDS, _AboveBars, cli
from autolink_gen.cli.options import echo
from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import printable


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = list(leaves(cli))


def test_the_table_and_the_commands_agree():
    assert {words[0] for words, _ in LEAVES} == set(COMMANDS)
    result = CliRunner().invoke(cli, ["--help"])
    assert all(re.search(rf"^  {name} +{COMMANDS[name][:20]}", result.output, re.M) for name in COMMANDS)


@pytest.mark.parametrize(("words", "command"), [((), cli), *LEAVES], ids=str)
def test_help_ends_with_an_example(words, command):
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    last = click.unstyle(command.help or "").replace("\b", "").strip().split("\n\n")[-1].strip()
    assert last.startswith("Example")
    call = " ".join(["autolink-gen", *words])
    examples = [line.strip() for line in last.splitlines()[1:]]
    assert any(line.startswith(call) for line in examples)
    assert all(line in result.output for line in examples)


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from click.testing import CliRunner, Result
from autolink_gen.cli.main import cli
for words in {[[], *[list(words) for words, _ in LEAVES]]}:
    assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0
heavy = {{"torch", "numpy", "PIL", "av", "yaml", "pydantic", "sklearn", "matplotlib", "lightning_fabric", "kornia"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["autolink_gen", "autolink_gen.cli.main"])
def test_the_module_is_the_program(module):
    done = subprocess.run([sys.executable, "-m", module, "detect"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: autolink-gen detect") and "PATH" in done.stderr


def test_the_version_is_the_packages():
    result = CliRunner().invoke(cli, ["--version"])
    assert version("autolink-gen") in result.output


def test_an_unknown_command_is_a_usage_error():
    result = CliRunner().invoke(cli, ["learn-grap"])
    assert result.exit_code == 2
    assert "No such command 'learn-grap'" in result.output


@pytest.fixture
def gan(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(1)}, file, metadata={"format": FORMAT, "kind": "gan", "config": "{}"})
    return file


def test_a_checkpoint_of_another_kind_is_one_line(gan):
    result = CliRunner().invoke(cli, ["view-graph", str(gan)])
    assert result.exit_code == 1
    assert_mentions(one_line(result), gan, "gan model", "graph model", "autolink-gen learn-graph")


def test_debug_shows_the_traceback(gan):
    result = CliRunner().invoke(cli, ["--debug", "view-graph", str(gan)])
    assert result.exit_code == 1
    assert isinstance(result.exception, ValueError)
    assert result.exc_info is not None


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command that fails with an error."""

    def fail(error: BaseException, *options: str) -> Result:
        def command(*args: object, **kwargs: object) -> None:
            raise error

        monkeypatch.setattr("autolink_gen.cli.weights.weights", click.Command("weights", callback=command))
        return CliRunner().invoke(cli, [*options, "weights"])

    return fail


def test_errors_of_the_system_are_one_line(call: Callable[..., Result]) -> None:
    result = call(OSError(28, "No space left on device"))
    assert (result.exit_code, result.output) == (1, "Error: [Errno 28] No space left on device\n")
    closed = call(BrokenPipeError(32, "Broken pipe"))
    assert (closed.exit_code, closed.output) == (1, ""), "what reads the output, such as head, has seen enough"


@pytest.mark.parametrize(
    ("error", "things"),
    [
        (KeyError("a bug"), ("KeyError", "'a bug'", "--debug")),
        (AssertionError(), ("AssertionError", "--debug")),
        (RuntimeError("one\ntwo\nthree"), ("RuntimeError: one", "--debug")),
        (struct.error("unpack requires 4 bytes"), ("unpack requires 4 bytes", "--debug")),
        (MemoryError(), ("memory",)),
        (RecursionError("maximum recursion depth exceeded"), ("nested",)),
    ],
)
def test_no_error_is_a_traceback_unless_asked_for(
    error: Exception, things: tuple[str, ...], call: Callable[..., Result]
) -> None:
    result = call(error)
    assert_mentions(one_line(result), *things)
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert call(error, "--debug").exception is error


def test_an_interrupt_is_no_error(call: Callable[..., Result]) -> None:
    result = call(KeyboardInterrupt())
    assert result.exit_code == 130 and result.output.startswith("stopped by SIGINT;") and result.output.count("\n") == 1
    assert call(click.exceptions.Exit(7)).exit_code == 7


WICKED = "a\x1b[31m\nWARNING\rb\x08\x07\u202e\udcff.jpg"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"cannot read {WICKED}: torn"),
        OSError(2, "No such file or directory", WICKED),
        OSError(f"could not write {WICKED}"),
        KeyError(WICKED),
        click.ClickException(WICKED),
        click.UsageError(WICKED),
        click.BadParameter(WICKED, param_hint="--out"),
        click.FileError(WICKED, WICKED),
        LinesError(f"{WICKED} is not there"),
    ],
)
def test_no_error_controls_the_terminal(error: Exception, call: Callable[..., Result]) -> None:
    result = call(error)
    last = result.output.splitlines()[-1]
    assert result.exit_code == (2 if isinstance(error, click.UsageError) else 1)
    assert last.startswith("Error: ") and last.isprintable() and "WARNING" in last and "x1b[31m" in last


@pytest.mark.parametrize("words", [[WICKED], ["--" + WICKED], ["data", WICKED], ["data", "check", WICKED, WICKED]])
def test_what_is_typed_does_not_control_the_terminal(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2 and result.output.startswith("Usage: ")
    assert all(line.isprintable() for line in result.output.splitlines()) and "x1b[31m" in result.output


def test_our_own_lines_stay_lines(call: Callable[..., Result]) -> None:
    assert call(LinesError("first:", f"  {WICKED}", "last")).output.count("\n") == 3


def test_lines_are_escaped_one_by_one(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    echo("first", f"  {WICKED}", "")
    echo(WICKED, err=True)
    found = capfdbinary.readouterr()
    assert found.out.decode("ascii").splitlines() == ["first", "  " + printable(WICKED), ""]
    assert found.err.decode("ascii") == printable(WICKED) + "\n"


def test_warnings_stand_above_progress_bars(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    handler = _AboveBars()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with tqdm(total=2, desc="steps"):
        handler.handle(logging.makeLogRecord({"levelname": "WARNING", "msg": "cannot read a.jpg"}))
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert "WARNING: cannot read a.jpg" in lines


def test_warnings_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    handler = _AboveBars()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.handle(logging.makeLogRecord({"levelname": "WARNING", "msg": f"cannot read {WICKED}"}))
    assert capsys.readouterr().err == f"WARNING: cannot read {printable(WICKED)}\n"


@pytest.mark.parametrize("option", ["--data", "--data-root"])
def test_a_folder_that_no_configuration_can_name_is_refused(option: str, tmp_path: Path) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    result = CliRunner().invoke(cli, ["learn-graph", "--dry-run", option, str(folder)])
    assert result.exit_code == 2 and option in result.output and r"\udcff is no UTF-8; rename" in result.output
