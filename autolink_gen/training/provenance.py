"""Where a run comes from: comments at the top of ``config.yaml``, which no reader of settings sees."""

import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from autolink_gen.common.fabric import Fabric
from autolink_gen.common.text import shown
from autolink_gen.data.identity import public_text

_BEGUN, _WENT_ON = "# begun ", "# went on "
_MOST_LINES = 20  # the first is kept, and the newest
_MOST_CHARACTERS = 1000


def provenance(path: Path, fabric: Fabric, *, step: int, command: str) -> list[str]:
    """The lines of a run that trains from ``step`` on, after those that the file of settings at ``path`` has.

    A line says when, from which step, by which versions, on what device and by what ``command``; addresses in it are
    without login and query. Those of a run that begins anew are left out.
    """
    begins = step == 0
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    start = f"{_BEGUN}{when}" if begins else f"{_WENT_ON}{when} at step {step}"
    python = f"Python {platform.python_version()}"
    line = f"{start}, autolink-gen {_own_version()}, torch {torch.__version__}, {python}, {device_text(fabric)}"
    if command:
        line += f": {public_text(command)}"
    earlier = [] if begins else earlier_lines(path)
    return [*earlier[:1], *earlier[1:][-(_MOST_LINES - 2) :], shown(line, most=_MOST_CHARACTERS)]


def device_text(fabric: Fabric) -> str:
    """What a run is trained on, such as "2 x cuda (NVIDIA H200)"."""
    kind = fabric.device.type
    name = torch.cuda.get_device_name(fabric.device) if kind == "cuda" else platform.machine()
    count = f"{fabric.world_size} x " if fabric.world_size > 1 else ""
    return f"{count}{kind} ({name})"


def earlier_lines(path: Path) -> list[str]:
    """The lines that a file of settings has already; none where there is no file."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [shown(line, most=_MOST_CHARACTERS) for line in lines if line.startswith((_BEGUN, _WENT_ON))]


def _own_version() -> str:
    try:
        return version("autolink-gen")
    except PackageNotFoundError:  # a folder of source that is not installed
        return "not installed"
