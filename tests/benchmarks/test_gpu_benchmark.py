"""`benchmarks/gpu.py`: every row is there, on a CPU and small; what is wrong with a row is told in its place."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click
import gpu
import pytest
import torch
from click.testing import CliRunner
from gpu_rows.edge_maps import dense_in_three_cases, random_graph
from gpu_rows.measuring import Case, Row, Setting, markdown, rows_of
from gpu_rows.stand_ins import provide_weights

from autolink_gen.common.cache import CACHE_VARIABLE
from autolink_gen.ops.edges import edge_map_dense
from autolink_gen.pretrained.features import load_features

needs_cpu_alone = pytest.mark.skipif(torch.cuda.is_available(), reason="what a machine without CUDA says")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[dict]], str]:
    """The rows of a small run by section, from its JSON, and what it printed."""
    file = tmp_path_factory.mktemp("gpu") / "rows.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        result = CliRunner().invoke(gpu.main, ["--small", "--json", str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows: dict[str, list[dict]] = {}
    for row in json.loads(file.read_text())["rows"]:
        rows.setdefault(row["section"], []).append(row)
    return rows, result.stdout


def test_every_row_of_a_small_run_is_there(measured: tuple[dict[str, list[dict]], str]) -> None:
    rows, printed = measured
    assert list(rows) == [section.name for section in gpu.SECTIONS]
    assert [len(found) for found in rows.values()] == [12, 12, 4, 5 if not torch.cuda.is_available() else 10, 1]
    failed = {row["name"] for found in rows.values() for row in found if row["error"]}
    on_cuda_alone = {row["name"] for row in rows["training step"] if row["name"].startswith("compiled")}
    expected = {row["name"] for row in rows["learning"]} | (on_cuda_alone if not torch.cuda.is_available() else set())
    assert failed == expected, [row for found in rows.values() for row in found if row["error"]]
    for found in rows.values():
        assert all(row["name"] in printed for row in found)
        assert all(value != 0 for row in found for name, value in row["values"].items() if name.endswith((" ms", " s")))


def test_edge_maps_are_near_the_definition(measured: tuple[dict[str, list[dict]], str]) -> None:
    differences = [row["values"]["largest difference"] for row in measured[0]["edge map"]]
    assert len(differences) == 12 and max(differences) < 1e-4


def test_loops_say_what_a_step_calls(measured: tuple[dict[str, list[dict]], str]) -> None:
    for row in measured[0]["loop"]:
        values = row["values"]
        assert values["operations"] > 1000 and values["numbers read"] > 0 and values["steps"] >= 1
        assert 0 <= values["waiting share"] <= 1 and (values["waits for the device"] is not None) == (
            torch.cuda.is_available()
        )


def test_the_three_cases_are_the_definition() -> None:
    keypoints, weights = random_graph(2, 5, device="cpu")
    with torch.no_grad():
        keypoints[0, 1] = keypoints[0, 0]  # of zero length
        ours = edge_map_dense(keypoints.double(), weights.double(), sigma2=1e-2, size=33)
        theirs = dense_in_three_cases(keypoints.double(), weights.double(), sigma2=1e-2, size=33)
    assert theirs.shape == ours.shape and (theirs - ours).abs().max() < 1e-6


@needs_cpu_alone
def test_without_a_gpu_small_is_offered() -> None:
    result = CliRunner().invoke(gpu.main, [])
    assert result.exit_code == click.UsageError.exit_code and "--small" in result.output


def test_a_row_that_fails_is_told_and_the_others_are_measured() -> None:
    def fail() -> dict:
        raise RuntimeError("first line\nsecond line")

    def run_out() -> dict:
        raise torch.OutOfMemoryError("far too much")

    cases = iter([Case("fails", fail), Case("full", run_out), Case("works", lambda: {"a ms": 1.5})])
    rows = list(rows_of("here", cases, limit_s=60))
    assert [row.error for row in rows] == ["RuntimeError: first line", "out of memory", None]
    assert rows[-1].values == {"a ms": 1.5}
    table = markdown(rows).splitlines()
    assert len(table) == 2 + 3 and "first line" in table[2] and "1.5" in table[4]
    assert len({line.count("|") for line in table}) == 1


def test_rows_that_begin_too_late_are_not_run() -> None:
    started = []
    cases = iter([Case(f"row {number}", lambda: started.append(1) or {}) for number in range(3)])
    rows = list(rows_of("here", cases, limit_s=-1.0))
    assert not started and all("not run" in (row.error or "") for row in rows) and len(rows) == 3


def test_a_section_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_GRACE_S", 0.0)
    section = gpu.Section("slow", "loops", "cases", 60)
    began = time.monotonic()
    (row,) = gpu.run_section(section, Setting("cpu", tmp_path, small=True), 0.01)
    assert row.section == "slow" and "stopped" in (row.error or "") and time.monotonic() - began < 60


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    (row,) = gpu.run_section(gpu.Section("none", "nowhere", "cases", 60), Setting("cpu", tmp_path, small=True), 60)
    assert "exit code 1" in (row.error or "")


def test_missing_weights_are_made_up_beside_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    note = provide_weights(tmp_path / "made")
    assert note is not None and "random" in note and "vgg16" in note and "alexnet" in note
    assert os.environ[CACHE_VARIABLE] == str(tmp_path / "made" / "cache")
    assert load_features("alexnet", fetch=False)(torch.zeros(1, 3, 64, 64))
    assert not list((tmp_path / "empty").rglob("*.safetensors"))


_AS_A_BARE_MACHINE = """
import sys
from importlib.util import find_spec
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
sys.path[:] = [path for path in sys.path if path != sys.argv[1]]
sys.path.insert(0, sys.argv[1] + "/benchmarks")
if find_spec("autolink_gen") is None:
    import gpu_rows
    from autolink_gen.recipes import recipe_names
    print(recipe_names("gan"))
"""


def test_it_runs_where_the_package_only_lies_beside_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _AS_A_BARE_MACHINE, str(Path(gpu.__file__).parents[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("the package is installed here for good")
    assert "gpu" in done.stdout


def test_what_is_empty_is_left_empty_in_the_table() -> None:
    table = markdown([Row("a", "one", {"x": 1, "y": None}), Row("a", "two", {"z": "text"})])
    assert table.splitlines()[2:] == ["| one | 1 |  |  |  |", "| two |  |  | text |  |"]
