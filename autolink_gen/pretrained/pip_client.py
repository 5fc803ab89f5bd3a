"""pip as a client: the user's package indexes, and downloads as a last resort."""

import ast
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from autolink_gen.common.files import reason_of
from autolink_gen.common.progress import shows_bars
from autolink_gen.common.text import shown

logger = logging.getLogger(__name__)

_PATIENCE_S = 60
_SECTIONS = ("global", "download", ":env:")  # the later one wins
_ENVIRONMENT = ("index-url", "extra-index-url", "find-links", "cert", "proxy", "no-index")
_SETTING = re.compile(r"([^=\s]+)\.([\w-]+)=(.*)")
_DEFAULTS = """
from pip._internal.models.index import PyPI
from pip._vendor import certifi
print(PyPI.simple_url)
print(certifi.where())
"""


@dataclass(frozen=True)
class PipSettings:
    """Where pip looks for packages, and how it gets there.

    `places` are addresses of indexes, which may hold a password, and folders, those of this machine first;
    `certificates` is a file or a folder to trust instead of the system's, `more_certificates` one beside them.
    """

    places: tuple[str, ...] = ()
    certificates: str | None = None
    more_certificates: str | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class Requirement:
    """A source archive to download, with the sha256 and the number of its bytes."""

    project: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def specifier(self) -> str:
        """How pip writes it: project==version."""
        return f"{self.project}=={self.version}"


def pip_settings() -> PipSettings:
    """The settings of the environment and of pip's configuration; pip's own index by default."""
    options = _read_configuration()
    indexes, more_certificates = [], None
    if options.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        indexes = [*options.get("index-url", "").split()[:1], *options.get("extra-index-url", "").split()]
        if not options.get("index-url"):
            default_index, more_certificates = _defaults()
            indexes = [*([default_index] if default_index else []), *indexes]
    places = [*options.get("find-links", "").split(), *indexes]
    return PipSettings(
        places=tuple(sorted(dict.fromkeys(places), key=_is_remote)),
        certificates=options.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"),
        more_certificates=more_certificates,
        proxy=options.get("proxy"),
    )


def _is_remote(place: str) -> bool:
    return place.lower().startswith(("http:", "https:"))


def _read_configuration() -> dict[str, str]:
    """The settings of pip's files, and the environment's, which go before them."""
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for line in _ask(["-m", "pip", "config", "list"]).splitlines():
        setting = _SETTING.fullmatch(line)
        if setting and setting[1] in sections:
            with contextlib.suppress(ValueError, SyntaxError):
                sections[setting[1]][setting[2]] = str(ast.literal_eval(setting[3]))
    merged = {key: value for name in _SECTIONS for key, value in sections[name].items()}
    variables = {key: os.environ.get(f"PIP_{key.upper().replace('-', '_')}") for key in _ENVIRONMENT}
    return merged | {key: value for key, value in variables.items() if value}


def _defaults() -> tuple[str | None, str | None]:
    """The address of pip's own index and its certificate file; None if pip does not tell."""
    lines = _ask(["-c", _DEFAULTS]).splitlines()
    return (lines[0], lines[1]) if len(lines) == 2 else (None, None)


def _ask(arguments: list[str]) -> str:
    """What a Python of the user's prints; nothing where it fails.

    It runs in a folder of its own: Python would take a pip.py in the folder that the user is in for pip.
    """
    if not sys.executable:
        return ""
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with tempfile.TemporaryDirectory(prefix="autolink-gen-") as folder:
        try:
            result = subprocess.run(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                cwd=folder,
                env=environment,
                timeout=_PATIENCE_S,
            )
        except (OSError, subprocess.SubprocessError) as problem:
            logger.debug("pip does not tell its settings: %s", reason_of(problem))
            return ""
    return result.stdout.decode(errors="replace")


def pip_download(requirement: Requirement, folder: Path, *, progress: bool) -> Path:
    """Download a source archive with pip into an empty folder.

    pip uses the user's index, proxy and certificates. It compares the sha256 before it touches the content, and then
    runs the archive's setup.py to learn its name, for which it fetches what that needs. Raises ValueError with pip's
    last error.
    """
    requirements, log, target = folder / "requirements.txt", folder / "pip.log", folder / "archive"
    requirements.write_text(f"{requirement.specifier} --hash=sha256:{requirement.sha256}\n")
    options = f"--no-deps --require-hashes --no-binary {requirement.project} --no-cache-dir --no-input"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(target), "--requirement", str(requirements)]
    # pip loads into the temporary folder first: watching it grow is what the bar shows.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,  # so that those it starts, which build the archive, end with it
        )
        try:
            _show_growth(process, folder, requirement, progress=progress)
        finally:
            _end(process)
    archives = list(target.glob("*.tar.gz"))
    if process.returncode != 0 or not archives:
        raise ValueError(f"pip download: {_last_error(log.read_text(errors='replace'))}")
    return archives[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and, on POSIX, the processes of its session."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _show_growth(process: subprocess.Popen[bytes], folder: Path, requirement: Requirement, *, progress: bool) -> None:
    """Wait for pip, showing how many bytes of the archive have come."""
    with tqdm(
        total=requirement.size_bytes,
        desc=requirement.specifier,
        unit="B",
        unit_scale=True,
        disable=not (progress and shows_bars()),
        leave=False,
    ) as bar:
        while process.poll() is None:
            bar.update(max(_loaded_bytes(folder) - bar.n, 0))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)


def _loaded_bytes(folder: Path) -> int:
    """Size of the largest archive below a folder in which pip makes and deletes files meanwhile."""
    largest = 0
    # os.walk passes over folders that vanish under it, Path.rglob fails on them.
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".tar.gz"):
                with contextlib.suppress(OSError):
                    largest = max(largest, (Path(parent) / name).stat().st_size)
    return largest


def _last_error(log: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    if lines and "No module named pip" in lines[-1]:
        return f"{shown(lines[-1])}; install it with: {sys.executable} -m ensurepip"
    return shown((errors or lines or ["no archive came"])[-1])
