"""The notebook of puppets: it holds no outputs, and its cells run one after the other."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import run_cli
from helpers.few_steps import few_steps
from PIL import Image

_NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "puppets.ipynb"


def code_cells() -> list[dict[str, Any]]:
    """The notebook's cells of code."""
    cells = json.loads(_NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_no_outputs_are_kept() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells())


def test_the_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEPS", "2")
    few_steps(monkeypatch)
    names: dict[str, Any] = {}
    for cell in code_cells():
        text = "".join(cell["source"])
        if text.startswith("!autolink-gen "):
            run_cli(*shlex.split(text)[1:])
        else:
            exec(compile(text, cell["id"], "exec"), names)
    assert names["keypoints"].shape == (1, 16, 2)
    with Image.open("moved.gif") as moved, Image.open("grid.png") as grid:
        assert moved.size[0] > moved.size[1] and min(grid.size) > 64
    assert Path("detections/keypoints.csv").is_file()
