import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers.cli import run_cli
from helpers.hidden_packages import hide
from helpers.messages import assert_mentions, one_line
from helpers.tiny_models import tiny_gan

from autolink_gen.inference.generate import save_gan


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "gan" / "tiny"
    save_gan(folder / "model.safetensors", tiny_gan())
    return folder


def test_the_studio_is_open_until_it_is_stopped(run_folder: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    command = [sys.executable, "-u", "-m", "autolink_gen", "studio", str(run_folder), "--no-browser", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert_mentions(process.stdout.readline(), run_folder)
            (address,) = [word for word in process.stdout.readline().split() if word.startswith("http")]
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            assert direct.open(address.rstrip(";"), timeout=60).status == 200
        finally:
            os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_a_port_that_is_taken_is_named_in_one_line(run_folder: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_cli("studio", run_folder, "--no-browser", "--device", "cpu", "--port", port, expect=None)
    assert_mentions(one_line(result), "--port", port)


def test_without_gradio_the_extra_is_named(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gradio")
    result = run_cli("studio", run_folder, "--no-browser", "--device", "cpu", expect=None)
    assert_mentions(one_line(result), "the studio", "pip install 'autolink-gen[studio]'")


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert_mentions(one_line(run_cli("studio", tmp_path / "none", expect=None)), tmp_path / "none")
