"""ONNX files of runs: they give what the package gives, describe themselves, and are whole or not there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.cli import run_cli
from helpers.hidden_packages import hide
from helpers.messages import assert_line_mentions, assert_mentions, raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.common.extras import MissingExtraError
from autolink_gen.export import onnx_files
from autolink_gen.export.networks import ExportedEdgeMap
from autolink_gen.export.onnx_files import OnnxExport, export_onnx
from autolink_gen.inference.generate import load_gan, save_gan
from autolink_gen.inference.transfer import load_transfer, save_transfer

_WHY = "the extra onnx is not installed"
onnx = pytest.importorskip("onnx", reason=_WHY)
onnxruntime = pytest.importorskip("onnxruntime", reason=_WHY)
pytest.importorskip("onnxscript", reason=_WHY)
_REPOSITORY = Path(__file__).resolve().parents[2]
_SIGMA2 = 1e-2
_FEATURES = {"detector": "features", "features": "random", "features_size": 64, "fit": "pad", "learn_sigma2": "one"}


def _save_graph(file: Path) -> None:
    save_model(file, tiny_graph(4, sigma2=_SIGMA2), step=7)


def _save_graph_on_features(file: Path) -> None:
    save_model(file, tiny_graph(4, sigma2=_SIGMA2, **_FEATURES))


def _save_gan(file: Path) -> None:
    save_gan(file, tiny_gan(tiny_graph(4, sigma2=_SIGMA2), edge_power=0.5, image_size=128))


def _save_transfer(file: Path) -> None:
    graph = tiny_graph(4, sigma2=_SIGMA2)
    save_transfer(file, tiny_transfer(graph, warps=True, source_edges=True, all_scales=True, clusters=2))


_RUNS: dict[str, Callable[[Path], None]] = {
    "graph/residual": _save_graph,
    "graph/features": _save_graph_on_features,
    "gan/painter": _save_gan,
    "transfer/warping": _save_transfer,
}


class Exports:
    """Runs that are made and exported when a test first asks for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reports: dict[str, OnnxExport] = {}

    def run(self, name: str) -> Path:
        run = self.folder / "runs" / name
        if not run.exists():
            _RUNS[name](run / "model.safetensors")
        return run

    def report(self, name: str) -> OnnxExport:
        if name not in self._reports:
            self._reports[name] = export_onnx(self.run(name))
        return self._reports[name]

    def session(self, name: str, part: str) -> Any:
        file = next(file for file in self.report(name).files if file.stem == part)
        return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


def _assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    values = expected.detach().numpy()
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-4 * np.abs(values).max())


def _places(count: int) -> torch.Tensor:
    keypoints = torch.rand(count, 4, 2, generator=torch.Generator().manual_seed(5)) * 2 - 1
    keypoints[0, 1] = keypoints[0, 0]  # an edge without length
    return keypoints


@pytest.mark.parametrize("name", ["graph/residual", "graph/features"])
@pytest.mark.parametrize("count", [1, 5])
def test_the_detector_finds_what_the_package_finds(exports, name, count):
    graph = load_graph_model(exports.run(name))
    images = torch.rand(count, 3, 64, 64)
    heatmaps, keypoints, spread = exports.session(name, "detector").run(None, {"images": images.numpy()})
    expected, widths = graph.detect_with_widths(images)
    _assert_close(keypoints, expected)
    _assert_close(spread, widths)
    _assert_close(heatmaps, graph.detector.heatmaps(images * 2 - 1))


@pytest.mark.parametrize("name", ["graph/residual", "graph/features"])
@pytest.mark.parametrize("count", [1, 5])
def test_the_edge_map_is_that_of_the_package(exports, name, count):
    graph, keypoints = load_graph_model(exports.run(name)), _places(count)
    (found,) = exports.session(name, "edge_map").run(None, {"keypoints": keypoints.numpy()})
    expected = graph.edge_map(keypoints, 64)
    assert expected.std() > 0.1 * expected.max(), "there is something to compare"
    _assert_close(found, expected)


@pytest.mark.parametrize("count", [1, 3])
def test_edge_map_and_generator_paint_what_the_package_paints(exports, count):
    gan, keypoints = load_gan(exports.run("gan/painter")), _places(count)
    z = torch.randn(count, 8, generator=torch.Generator().manual_seed(6))
    (maps,) = exports.session("gan/painter", "edge_map").run(None, {"keypoints": keypoints.numpy()})
    inputs = {"edge_map": maps, "z": z.numpy()}
    (images,) = exports.session("gan/painter", "generator").run(None, inputs)
    expected = gan.generate(keypoints, z)
    assert images.shape == (count, 3, 128, 128) and expected.std() > 0.01
    _assert_close(images, expected)


@pytest.mark.parametrize("count", [1, 3])
def test_a_source_is_painted_in_other_poses_as_the_package_does(exports, count):
    transfer, keypoints, source_keypoints = load_transfer(exports.run("transfer/warping")), _places(count), _places(1)
    source = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
    fine = torch.linspace(0, 1, 256).expand(1, 3, 256, 256).contiguous()
    given = {"source": source, "source_keypoints": source_keypoints, "keypoints": keypoints, "fine": fine}
    inputs = {name: values.numpy() for name, values in given.items()}
    (images,) = exports.session("transfer/warping", "transfer").run(None, inputs)
    appearance = transfer.look_at(source, fine=fine, keypoints=source_keypoints)
    _assert_close(images, transfer.paint(keypoints, appearance))


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("graph/residual", {"detector.onnx", "edge_map.onnx"}),
        ("gan/painter", {"detector.onnx", "edge_map.onnx", "generator.onnx"}),
        ("transfer/warping", {"detector.onnx", "transfer.onnx"}),
    ],
)
def test_each_kind_of_run_has_its_files_in_its_folder(exports, name, files):
    report = exports.report(name)
    assert {file.name for file in report.files} == files
    assert all(file.parent == exports.run(name) / "onnx" for file in report.files)
    assert all(0 <= difference <= 1e-4 for difference in report.differences)


@pytest.mark.parametrize("kind", ["graph", "gan", "transfer"])
def test_the_kind_says_which_of_the_packages_models_is_meant(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(onnx_files, "_parts", lambda run: (tiny_graph(), []))
    assert_line_mentions(run_cli("export", "puppets", "--kind", kind, "--out", tmp_path).output, "puppets", kind)


def test_a_run_of_another_kind_is_refused(exports, tmp_path):
    with raises_mentioning(ValueError, "gan", "transfer"):
        export_onnx(exports.run("gan/painter"), kind="transfer", out=tmp_path)
    assert_line_mentions(run_cli("export", "puppets", "--kind", "person", expect=2).output, "person", "transfer")


def test_a_file_describes_its_model(exports):
    graph = load_graph_model(exports.run("graph/residual"))
    model = onnx.load(exports.report("graph/residual").files[0])
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["autolink-gen"])
    assert (facts["kind"], facts["part"], facts["step"], facts["num_keypoints"]) == ("graph", "detector", 7, 4)
    assert (facts["image_size"], facts["input_size"], facts["fit"]) == (64, 64, "crop")
    assert facts["format"] == "onnx 1"
    assert np.interp(float("inf"), *facts["likelihood"]) == 0 and np.interp(0, *facts["likelihood"]) == 1
    assert facts["version"] and model.producer_version == facts["version"]
    assert len(facts["edges"]) == 6
    i, j, weight = facts["edges"][0]
    weights = graph.edge_weights.detach()
    assert weight == pytest.approx(float(weights.max())) == pytest.approx(float(weights[i, j]))


def test_files_name_no_folder_of_this_machine(exports):
    for file in exports.report("transfer/warping").files:
        content = file.read_bytes()
        assert str(_REPOSITORY).encode() not in content and b".py" not in content


def test_nothing_is_written_where_one_file_differs_from_pytorch(exports, tmp_path, monkeypatch):
    right = ExportedEdgeMap.forward
    monkeypatch.setattr(ExportedEdgeMap, "forward", lambda self, keypoints: right(self, keypoints) * 1.001)
    with raises_mentioning(ValueError, "edge_map.onnx", "onnxruntime"):
        export_onnx(exports.run("graph/residual"), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_said_with_pips_command(exports, tmp_path, monkeypatch, package):
    hide(monkeypatch, package)
    with raises_mentioning(MissingExtraError, "pip install 'autolink-gen[onnx]'"):
        export_onnx(exports.run("graph/residual"), out=tmp_path)


def test_the_command_takes_the_newest_graph_and_replaces_nothing_unasked(exports, tmp_path, monkeypatch):
    exports.run("graph/residual")
    monkeypatch.chdir(exports.folder)
    file = tmp_path / "edge_map.onnx"
    file.write_text("mine")
    assert_mentions(run_cli("export", "--out", tmp_path, expect=1), file, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["edge_map.onnx"] and file.read_text() == "mine"
    output = run_cli("export", "--format", "onnx", "--out", tmp_path, "--overwrite").output
    assert_line_mentions(output, "model", "newest", 4)
    assert_line_mentions(output, "wrote", tmp_path / "detector.onnx")
    assert_line_mentions(output, "images", "heatmaps", "keypoints", "spread")
    assert {path.name for path in tmp_path.iterdir()} == {"detector.onnx", "edge_map.onnx"}
    onnx.checker.check_model(onnx.load(file))
