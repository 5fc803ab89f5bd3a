"""Shapes in public signatures are checked while tests run; real data is found or a test skips."""

import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two processes test side by side

from pathlib import Path

import pytest
import torch
from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is imported: its kernels are tested on the CPU, too

_REPOSITORY = Path(__file__).resolve().parents[1]


# Called by the thousand; what comes of it is checked where synthetic.py returns it.
_UNCHECKED = {"autolink_gen.data.puppets.drawing"}


def _modules_with_shapes() -> list[str]:
    """Modules that annotate tensors: checking every call of the others too would double the time that tests take."""
    files = (_REPOSITORY / "autolink_gen").rglob("*.py")
    annotated = (file for file in files if "jaxtyping" in file.read_text(encoding="utf-8"))
    names = {".".join(file.relative_to(_REPOSITORY).with_suffix("").parts) for file in annotated}
    return sorted(names - _UNCHECKED)


_hook = install_import_hook(_modules_with_shapes(), "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> None:
    """Hear Ctrl-C and hang-ups also where the tests run in the background, or under nohup, and both are ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """Take the disk's word for it: a run of two steps synchronises files 14 times, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: os.fstat(handle) and None)  # a handle that is not open is an error
        yield


@pytest.fixture(scope="session", autouse=True)
def runs_draw_few_graphs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a run draw the graph on ten images, a row and a bit, not on forty: a third of the time of two steps."""
    if not {item.path.parent.name for item in request.session.items} & {"cli", "site", "studies", "training"}:
        yield  # the others do without importing the training
        return
    from autolink_gen.training.graph import Samples

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Samples, "num_graphs", 10)
        yield


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """Shapes go unchecked meanwhile: `torch.compile` breaks at the checks, which users do not have."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data and reference numbers: AUTOLINK_GEN_SHARED, or ``../shared`` beside the repository."""
    default = _REPOSITORY.parent / "shared"
    folder = Path(os.environ.get("AUTOLINK_GEN_SHARED", default))
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference numbers in {folder}: set AUTOLINK_GEN_SHARED")
    return folder
