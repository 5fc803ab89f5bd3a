"""Every block of code in README.md and docs is run, on tiny images and runs of two steps, or says why it cannot be."""

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run_cli
from helpers.few_steps import few_steps
from PIL import Image

import autolink_gen as al
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.data.video.writer import VideoWriter

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_DRY = ["--dry-run"]
# What is added to commands that take long.
_SHORTENED = {
    **dict.fromkeys(("learn-graph", "train-gan", "train-transfer", "ablate", "benchmark", "sweep"), _DRY),
    "data puppets": ["--size", "64"],
    "transfer": ["--end", "0.12", "--size", "64"],
}
_COMMANDS, _PYTHON = "", "python"
_NO_CODE = {"bibtex", "console", "csv", "text"}  # citations, what a command says, tables, lines of other programs
# Lines of commands that cannot be run here, and why. test_docs.py still checks that the program knows their options.
_NOT_RUN = {
    r"^pip install": "installs",
    r"^srun ": "needs a cluster",
    r"^autolink-gen studio": "serves a page until it is stopped",
    r"--data faces68 --hold-out": "needs a set that its owners hand out",
    r"data prepare celeba-wild": "needs a set that its owners hand out",
    r"import-official": "needs the authors' checkpoint",
    r"--model celeba-wild": "needs the authors' checkpoint",
    r"^hf upload ": "needs an account",
    r"--model hf:": "needs the network",
    r"^python benchmarks/make_puppet_models": "trains for half an hour",
}


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def why_not(line: str) -> str | None:
    """Why a line is not run; None where it is."""
    return next((reason for pattern, reason in _NOT_RUN.items() if re.search(pattern, line)), None)


def _write_images(folder: Path, puppets: Puppets, *, first: int, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(puppets[first + number].permute(1, 2, 0).numpy()).save(folder / f"{number}.jpg")


def _write_video(path: Path, *, start: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=25) as writer:
        for number in range(4):
            frame = np.full((64, 64, 3), 90, np.uint8)
            frame[start + 6 * number : start + 6 * number + 16, 20:40] = (240, 60, 30)
            writer.write(frame)


def _write_annotated(folder: Path, puppets: Puppets) -> None:
    for part, first in (("train", 20), ("test", 32)):
        _write_images(folder / part, puppets, first=first, count=12)
        with (folder / f"landmarks_{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", "x0", "y0", "x1", "y1"])
            table.writerows([f"{n}.jpg", 0.2 + n / 50, 0.5, 0.7, 0.3 + n / 40] for n in range(12))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that the pages name, and a run of each kind."""
    folder = tmp_path_factory.mktemp("workshop")
    puppets = Puppets(image_size=64, length=64, split="train")
    for name in ("birds", "photos"):
        _write_images(folder / name, puppets, first=0, count=8)
    _write_images(folder / "more_birds", puppets, first=8, count=2)
    for name in ("bird.jpg", "new_bird.jpg", "face.jpg"):
        shutil.copy(folder / "birds" / "0.jpg", folder / name)
    _write_annotated(folder / "annotated", puppets)
    for number, name in enumerate(["flight.mp4", "source.mp4", "driver.mp4", *(f"clips/{n}.mp4" for n in range(3))]):
        _write_video(folder / name, start=2 * number)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few_steps(patch)
        graph = al.learn_graph("./birds", num_keypoints=16)
        assert Path("runs/graph/birds-k16").is_dir()
        al.train_gan("./birds", graph=graph)
        al.train_transfer("./clips", graph=graph)
    return folder


@pytest.fixture
def here(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the workshop, as the working folder, in which trainings take two steps."""
    folder = tmp_path / "work"
    shutil.copytree(workshop, folder)
    monkeypatch.chdir(folder)
    few_steps(monkeypatch)
    return folder


def commands(block: str) -> Iterator[list[str]]:
    """The words of the commands of a block that are run."""
    for line in block.splitlines():
        if line.strip() and why_not(line) is None:
            words = shlex.split(line, comments=True)
            assert words[0] == "autolink-gen", f"neither run nor excused: {line}"
            yield words[1:]


def shortened(words: list[str]) -> list[str]:
    """A command that does little, or only says what it would do."""
    name = next((name for name in _SHORTENED if words[: len(name.split())] == name.split()), None)
    return [*words, *_SHORTENED[name]] if name else words


def pages_with(language: str) -> pytest.MarkDecorator:
    """Run a test for each page that has a block in this language."""
    pages = [page for page in _PAGES if blocks(page, language)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(_ROOT).as_posix())


@pages_with(_COMMANDS)
def test_the_commands_of_a_page_run(page: Path, here: Path) -> None:
    for block in blocks(page, _COMMANDS):
        for words in commands(block):
            run_cli(*shortened(words))


@pages_with(_PYTHON)
def test_the_python_of_a_page_runs(page: Path, here: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, _PYTHON):
        exec(compile(block.replace("steps=300", "steps=2"), str(page), "exec"), names)


def test_every_excuse_is_needed() -> None:
    lines = [line for page in _PAGES for block in blocks(page, _COMMANDS) for line in block.splitlines()]
    for pattern in _NOT_RUN:
        assert any(re.search(pattern, line) for line in lines), pattern


def test_every_block_is_in_a_known_language() -> None:
    languages = {name for page in _PAGES for name, _ in _BLOCK.findall(page.read_text(encoding="utf-8"))}
    assert languages <= {_COMMANDS, _PYTHON, *_NO_CODE}
