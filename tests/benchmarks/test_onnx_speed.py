"""`benchmarks/onnx_speed.py`: a row for each network and batch, on the screen and as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.tiny_models import tiny_graph

from autolink_gen.checkpoints import save_model

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
onnx_speed = pytest.importorskip("onnx_speed", reason="the extra onnx is not installed")


def test_a_graph_has_rows_on_the_screen_and_in_the_file(tmp_path: Path) -> None:
    run, file = tmp_path / "run" / "model.safetensors", tmp_path / "rows.json"
    save_model(run, tiny_graph(4))
    arguments = [str(run), "--rounds", "1", "--threads", "1", "--json", str(file)]
    result = CliRunner().invoke(onnx_speed.main, arguments, catch_exceptions=False)
    table = json.loads(file.read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [(row["network"], row["batch"]) for row in rows] == [
        ("detector", 1), ("detector", 8), ("edge_map", 1), ("edge_map", 8)
    ]  # fmt: skip
    assert all(float(row["largest difference"]) <= 1e-4 for row in rows)
    printed = [line for line in result.output.splitlines() if line.startswith("|")]
    assert len(printed) == 2 + len(rows) and len({line.count("|") for line in printed}) == 1
    assert not (run.parent / "onnx").exists()


def test_puppets_are_the_three_models_of_the_package() -> None:
    assert [run.kind for run in onnx_speed.find_runs("puppets")] == ["graph", "gan", "transfer"]
