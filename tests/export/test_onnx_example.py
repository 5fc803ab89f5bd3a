"""The example that detects with onnxruntime and numpy finds the keypoints that the package finds."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_graph
from PIL import Image

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: it comes with the extra onnx")

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "detect_with_onnx.py"


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
