"""The example that detects with onnxruntime and numpy finds the keypoints that the package finds."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_graph
from PIL import Image

import autolink_gen as al
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.export.networks import ExportedDetector

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: it comes with the extra onnx")

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE = _ROOT / "examples" / "detect_with_onnx.py"
_GUIDE = _ROOT / "docs" / "guides" / "onnx.md"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("detect_with_onnx", _EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [(121, 80), (64, 150), (90, 90)])
@pytest.mark.parametrize(
    "settings",
    [
        {"fit": "crop"},
        {"fit": "pad"},
        {"fit": "stretch"},
        {"fit": "pad", "detector": "features", "features": "random", "features_size": 128},
    ],
)
def test_places_are_those_of_detect(example, tmp_path, settings, size):
    graph = tiny_graph(4, **settings).prepare_for_inference()
    config = graph.config
    facts = {"fit": config.fit, "input_size": config.input_size, "image_size": config.image_size}

    def run(names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["keypoints", "spread"]
        found, widths = graph.detect_with_widths(torch.from_numpy(inputs["images"]))
        return [found.numpy(), widths.numpy()]

    meta = SimpleNamespace(custom_metadata_map={"autolink-gen": json.dumps(facts)})
    detector = SimpleNamespace(run=run, get_modelmeta=lambda: meta)
    file = tmp_path / "image.png"
    draw = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(draw).resize(size).save(file)
    found, spread = example.detect(detector, file)
    expected = (graph.detect(str(file))[0].numpy() + 1) / 2 * (np.array(size) - 1)
    np.testing.assert_allclose(found, expected, atol=0.25)  # pixels: PIL rounds to bytes
    assert spread.shape == (4,)


def test_the_guide_s_places_are_those_of_detect(tmp_path, monkeypatch):
    graph = al.load_graph_model("puppets")  # trained: its keypoints lie far from the middle
    network = ExportedDetector(graph)
    facts = {"input_size": graph.config.input_size, "image_size": graph.config.image_size}
    meta = SimpleNamespace(custom_metadata_map={"autolink-gen": json.dumps(facts)})

    def run(names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [values.numpy() for values in network(torch.from_numpy(inputs["images"]))]

    detector = SimpleNamespace(run=run, get_modelmeta=lambda: meta)
    monkeypatch.setattr(al, "export_onnx", lambda name: None)
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda file: detector)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(Puppets(image_size=256, length=1, split="test")[0].permute(1, 2, 0).numpy()).save("bird.png")
    (code,) = re.findall(r"```python\n(.*?)```", _GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("bird.jpg", "bird.png"), names)
    expected = (graph.detect("bird.png")[0].numpy() + 1) / 2 * 255
    np.testing.assert_allclose(names["pixels"], expected, atol=0.25)  # pixels: PIL rounds to bytes
