"""Signals end any command in order: the shell's code, one line, nothing left of what was being written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from helpers.messages import assert_mentions

from autolink_gen.cli.main import cli
from autolink_gen.common.stopping import StoppedError, signal_of, stopping


@pytest.mark.parametrize(("number", "name"), [(15, "SIGTERM"), (1, "SIGHUP"), (2, "SIGINT")])
def test_a_signal_ends_a_command_with_the_shells_code(monkeypatch, number, name):
    tidied = []

    def stopped(name):
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            tidied.append(True)

    monkeypatch.setattr("autolink_gen.pretrained.features.inspect_cache", stopped)
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)]
    result = CliRunner().invoke(cli, ["weights", "list"])
    assert (result.exit_code, tidied) == (128 + number, [True])
    assert_mentions(result.stderr, name, "kept", "removed")
    assert result.stderr.count("\n") == 1
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)] == before


def test_what_is_ignored_stays_ignored_and_other_handlers_go_before():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heard = []
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)  # as nohup has it
            ours = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))  # as training has it
            os.kill(os.getpid(), signal.SIGTERM)
            signal.signal(signal.SIGTERM, ours)
            with pytest.raises(StoppedError) as caught:
                os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [15] and signal_of(caught.value) is signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_cut_the_tidying_short():
    with stopping():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except StoppedError as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal_of(stopped) is signal.SIGHUP


def test_a_process_that_is_forked_dies_as_without():
    with stopping():
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(7)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


def test_what_was_whole_is_kept_and_what_was_not_is_removed(tmp_path):
    """In a process of its own, which a scheduler ends while a picture is being written."""
    program = """
import sys, time
from pathlib import Path
import click, numpy as np
from PIL import Image
from autolink_gen.cli import weights
from autolink_gen.cli.main import main
from autolink_gen.common.files import write_image

def slow(self, target, **options):
    target.write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(60)

@click.command()
def paint():
    picture = np.zeros((4, 4, 3), np.uint8)
    write_image(Path("whole.png"), picture)
    Image.Image.save = slow
    write_image(Path("half.png"), picture)

weights.weights = paint
sys.argv = ["autolink-gen", "weights"]
main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline() == "begun\n"
        assert len(list(tmp_path.iterdir())) == 2
        running.terminate()
        said = running.stderr.read()
        assert (running.wait(20), said.count("\n")) == (143, 1)
    assert "stopped by SIGTERM" in said
    assert [one.name for one in tmp_path.iterdir()] == ["whole.png"]


@pytest.mark.parametrize("where", ["-", "/dev/stdout"])
def test_what_a_command_says_makes_room_for_its_file(where, tmp_path):
    from autolink_gen.cli.options import echo
    from autolink_gen.common.files import write_text_atomically

    @click.command()
    @click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False))
    def score(file: Path) -> None:
        echo("model: puppets")
        write_text_atomically(file, '{"score": 1}\n')

    result = CliRunner().invoke(score, ["--json", where])
    assert (result.stdout, result.stderr) == ('{"score": 1}\n', "model: puppets\n")
    result = CliRunner().invoke(score, ["--json", str(tmp_path / "scores.json")])
    assert (result.stdout, result.stderr) == ("model: puppets\n", "")
    assert (tmp_path / "scores.json").read_text() == '{"score": 1}\n'
