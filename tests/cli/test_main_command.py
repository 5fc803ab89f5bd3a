"""The group: help that is quick and ends with an example, errors of one line, tracebacks on demand."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from autolink_gen.checkpoints import FORMAT
from autolink_gen.cli.main import COMMANDS, _AboveBars, cli


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
from click.testing import CliRunner
from autolink_gen.cli.main import cli
for words in {[[], *[list(words) for words, _ in LEAVES]]}:
    assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0
heavy = {{"torch", "numpy", "PIL", "av", "yaml", "pydantic", "sklearn", "matplotlib", "lightning_fabric", "kornia"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
    save_file({"x": torch.zeros(1)}, file, metadata={"format": FORMAT, "kind": "gan"})
    return file


def test_a_checkpoint_of_another_kind_is_one_line(gan):
    result = CliRunner().invoke(cli, ["view-graph", str(gan)])
    assert result.exit_code == 1
    assert result.output == (f"Error: {gan} holds a gan model, not a graph model; autolink-gen learn-graph makes one\n")


def test_debug_shows_the_traceback(gan):
    result = CliRunner().invoke(cli, ["--debug", "view-graph", str(gan)])
    assert result.exit_code == 1
    assert isinstance(result.exception, ValueError)
    assert result.exc_info is not None


def test_errors_of_the_system_are_one_line_and_bugs_are_not(monkeypatch):
    def fail_with(error: Exception):
        def command(*args: object, **kwargs: object) -> None:
            raise error

        return click.Command("weights", callback=command)

    monkeypatch.setattr("autolink_gen.cli.weights.weights", fail_with(OSError(28, "No space left on device")))
    result = CliRunner().invoke(cli, ["weights"])
    assert (result.exit_code, result.output) == (1, "Error: [Errno 28] No space left on device\n")
    monkeypatch.setattr("autolink_gen.cli.weights.weights", fail_with(KeyError("a bug")))
    assert isinstance(CliRunner().invoke(cli, ["weights"]).exception, KeyError)
    monkeypatch.setattr("autolink_gen.cli.weights.weights", fail_with(BrokenPipeError(32, "Broken pipe")))
    closed = CliRunner().invoke(cli, ["weights"])
    assert (closed.exit_code, closed.output) == (1, ""), "what reads the output, such as head, has seen enough"


def test_warnings_stand_above_progress_bars(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    handler = _AboveBars()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with tqdm(total=2, desc="steps"):
        handler.handle(logging.makeLogRecord({"levelname": "WARNING", "msg": "cannot read a.jpg"}))
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert "WARNING: cannot read a.jpg" in lines
