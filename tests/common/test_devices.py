"""The device that is taken where none is named: never one that was not asked for and cannot do what is needed."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.detecting import save_picture
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from lightning_fabric.accelerators import MPSAccelerator

import autolink_gen as al
from autolink_gen.checkpoints import save_model
from autolink_gen.cli.options import pick_device
from autolink_gen.common.devices import (
    best_device,
    best_precision,
    exact_convolutions,
    float64_array,
    to_cpu_later,
    to_device,
    works_aside,
)
from autolink_gen.config import RunLengthConfig
from autolink_gen.evaluation.equivariance import equivariance
from autolink_gen.evaluation.fid import features_of
from autolink_gen.inference.detect import SourceImage, detect_images, mean_pose
from autolink_gen.inference.detect_batches import detect_batches, detect_with_colours
from autolink_gen.inference.generate import save_gan
from autolink_gen.inference.transfer import save_transfer
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.launch import Launch, start_fabric


@pytest.fixture
def an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has one and no CUDA."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("devices", ["auto", 1, "1", "cpu"])
def test_training_takes_no_apple_gpu_by_accident(tmp_path: Path, an_apple_gpu: None, devices: str | int) -> None:
    fabric = start_fabric(Launch(folder=tmp_path, devices=devices), RunLengthConfig(seed=0))
    assert (fabric.device.type, fabric.world_size) == ("cpu", 1)
    assert pick_device(None) == best_device() == "cpu"


def test_an_apple_gpu_is_taken_where_it_is_named(
    tmp_path: Path, an_apple_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fabric(**options: Any) -> None:
        asked.update(options)
        raise ValueError("seen")

    monkeypatch.setattr("autolink_gen.training.launch.Fabric", fabric)
    with pytest.raises(ValueError, match="seen"):
        start_fabric(Launch(folder=tmp_path, devices="mps"), RunLengthConfig(seed=0))
    assert (asked["accelerator"], asked["devices"], asked["strategy"]) == ("mps", 1, "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device() == pick_device(None) == "cuda"
    for devices, count in (("auto", "auto"), ("cuda", "auto"), (2, 2)):
        with pytest.raises(ValueError, match="seen"):
            start_fabric(Launch(folder=tmp_path, devices=devices), RunLengthConfig(seed=0))
        assert (asked["accelerator"], asked["devices"]) == ("cuda", count)


@pytest.mark.parametrize(
    ("call", "loader"),
    [
        (lambda run, **options: al.detect(run, run, **options), "inference.detect_files.load_graph_model"),
        (al.generate, "inference.paint_files.load_gan"),
        (lambda run, **options: al.transfer(run, run, run, **options), "inference.transfer_files.load_transfer"),
        (al.evaluate, "evaluation.graph_runs.load_graph_model"),
    ],
    ids=["detect", "generate", "transfer", "evaluate"],
)
def test_a_call_takes_the_device_that_a_command_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., object], loader: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "run" / "a.png")
    kind = loader.rsplit("_", 1)[1].replace("model", "graph")
    network = {"graph": tiny_graph(), "gan": tiny_gan(), "transfer": tiny_transfer()}[kind]
    {"graph": save_model, "gan": save_gan, "transfer": save_transfer}[kind](tmp_path / "run/model.safetensors", network)
    asked: list[str] = []

    def load(run: object, *, device: str) -> None:
        asked.append(device)
        raise ValueError("seen")

    monkeypatch.setattr(f"autolink_gen.{loader}", load)
    for has_cuda, named in ((False, None), (True, None), (True, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_cuda=has_cuda: has_cuda)
        with pytest.raises(ValueError, match="seen"):
            call(tmp_path / "run", device=named)
    assert asked == ["cpu", "cuda", "cpu"]
    with raises_mentioning(ValueError, "nowhere", "cpu"):
        call(tmp_path / "run", device="nowhere")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there are such devices")
@pytest.mark.parametrize("devices", ["cuda", "mps"])
def test_a_kind_of_device_that_is_not_there_is_one_line(tmp_path: Path, devices: str) -> None:
    with raises_mentioning(ValueError, f"--devices {devices}", "--devices auto") as caught:
        start_fabric(Launch(folder=tmp_path, devices=devices), RunLengthConfig(seed=0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_half_precision_is_taken_where_the_processor_multiplies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: native, raising=False)
    assert best_precision("cpu") == expected and best_precision("mps") == "32-true"
    launch = Launch(folder=tmp_path, devices="cpu")

    def chosen(launch: Launch, precision: str) -> str:
        return start_fabric(launch, RunLengthConfig(precision=precision)).strategy.precision.precision

    assert chosen(launch, "auto") == expected
    assert chosen(launch, "32-true") == "32-true" == chosen(replace(launch, precision="32-true"), "auto")


def test_a_torch_that_cannot_tell_trains_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert best_precision("cpu") == "32-true"


class Single(torch.Tensor):
    """A tensor of a device that has no double precision; on the CPU it is a plain one."""

    def double(self, *args: Any, **options: Any) -> torch.Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self, *args: Any, **options: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def single(values: torch.Tensor) -> torch.Tensor:
    return values.as_subclass(Single)


class Graph(AutoLink):
    """Finds its keypoints on such a device: the mean colour of the picture, as x and as y."""

    def __init__(self) -> None:
        super().__init__(AutoLinkConfig(num_keypoints=3, image_size=64, width=0.05))

    def detect_unchecked(self, images: torch.Tensor) -> torch.Tensor:
        return single(images.mean((1, 2, 3)).view(-1, 1, 1).repeat(1, 3, 2))


class Greys(torch.utils.data.Dataset[torch.Tensor]):
    """Four pictures, from black to a light grey."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((3, 64, 64), 51 * index, dtype=torch.uint8)


def test_double_precision_is_the_cpu_s() -> None:
    pictures = torch.stack([Greys()[index] for index in range(4)]).float()
    features = features_of(iter([pictures]), lambda batch: single(batch.mean((2, 3))))
    assert features.dtype == torch.float64 and features[:, 0].tolist() == [0, 51, 102, 153]
    assert mean_pose(Graph(), Greys())[0, 0] == pytest.approx(0.3)
    found = equivariance(Graph(), Greys())
    assert found.unrelated_percent == pytest.approx(100 * 0.3 * math.sqrt(2) / 2, rel=1e-4)


def test_a_tensor_goes_to_a_device_as_it_is() -> None:
    values = torch.arange(3)
    assert torch.equal(to_device(values, "cpu"), values)
    assert to_device(values, torch.device("meta")).is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_tensor_goes_to_a_cuda_device_through_pinned_memory() -> None:
    values = torch.arange(3)
    assert torch.equal(to_device(values, "cuda").cpu(), values)


def test_a_result_is_fetched_from_the_cpu_as_it_is() -> None:
    values = torch.arange(3)
    assert torch.equal(to_cpu_later(values)(), values)
    assert not works_aside("cpu") and works_aside("cuda:1") and works_aside(torch.device("mps"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_result_is_fetched_from_a_cuda_device_while_it_works_on() -> None:
    values = torch.arange(3, device="cuda")
    fetch = to_cpu_later(values)
    torch.cuda._sleep(100)
    assert fetch().tolist() == [0, 1, 2]


def conv_precision() -> Any:
    cudnn = torch.backends.cudnn
    return cudnn.conv.fp32_precision if hasattr(cudnn, "conv") else cudnn.allow_tf32


def test_convolutions_of_a_cuda_device_are_exact_within_the_block_alone() -> None:
    before = conv_precision()
    with exact_convolutions("cuda"):
        assert conv_precision() in ("ieee", False)
    assert conv_precision() == before != "ieee"
    with pytest.raises(ValueError, match="seen"), exact_convolutions("cuda"):
        raise ValueError("seen")
    assert conv_precision() == before
    with exact_convolutions("cpu"):
        assert conv_precision() == before


def test_a_graph_detects_with_exact_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, seen = tiny_graph(), []
    blocks = iter(range(10))

    @contextmanager
    def noting(device: torch.device) -> Iterator[None]:
        inside.append(next(blocks))
        yield
        inside.pop()

    inside: list[int] = []
    graph.detector.register_forward_hook(lambda *_: seen.append(len(inside)))
    heatmaps = graph.detector.heatmaps
    monkeypatch.setattr(graph.detector, "heatmaps", lambda images: seen.append(len(inside)) or heatmaps(images))
    for place in ("models.autolink", "inference.detect_batches"):
        monkeypatch.setattr(f"autolink_gen.{place}.exact_convolutions", noting)
    images = torch.rand(1, 3, 64, 64)
    graph.detect(images)
    graph.detect([np.zeros((64, 64, 3), np.uint8)])
    graph.detect_with_widths(images)
    list(detect_batches(graph, [images]))
    assert seen and set(seen) == {1}


def test_poses_leave_the_device_before_they_become_double(monkeypatch: pytest.MonkeyPatch) -> None:
    def detect_with_widths(self: AutoLink, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return single(torch.zeros(len(images), 3, 2)), single(torch.full((len(images), 3), 0.4))

    monkeypatch.setattr(AutoLink, "detect_unchecked", lambda self, images: single(torch.zeros(len(images), 3, 2)))
    monkeypatch.setattr(AutoLink, "detect_with_widths", detect_with_widths)
    transfer, grey = tiny_transfer(), np.full((64, 64, 3), 99, np.uint8)
    assert transfer.detect([grey]).dtype == transfer.detect_with_widths([grey]).widths.dtype == np.float64
    [found] = detect_images(transfer.graph, [SourceImage(Path("grey.png"), 0, None, grey)])
    assert found.keypoints_px.dtype == detect_with_colours(transfer.graph, [grey]).widths.dtype == np.float64
    assert float64_array(single(torch.ones(1, requires_grad=True))).tolist() == [1.0]


@pytest.mark.parametrize("devices", ["cuda", "cuda:1", "mps"])
@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there are GPUs here")
def test_training_on_a_gpu_that_is_not_there_is_refused_in_one_line(tmp_path: Path, devices: str) -> None:
    with raises_mentioning(ValueError, devices.partition(":")[0], "cannot be used here", "try cpu") as refused:
        start_fabric(Launch(folder=tmp_path, devices=devices), RunLengthConfig(seed=0))
    assert len(str(refused.value)) < 300 and "\n" not in str(refused.value)


@pytest.mark.parametrize("devices", ["gpu", "cuda:", "cuda:x", "0x1"])
def test_devices_that_training_does_not_know_are_refused(tmp_path: Path, devices: str) -> None:
    with raises_mentioning(ValueError, "--devices", devices, "cuda:1", "mps"):
        start_fabric(Launch(folder=tmp_path, devices=devices), RunLengthConfig(seed=0))


def test_one_gpu_of_several_is_taken_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fabric(**options: Any) -> None:
        asked.update(options)
        raise ValueError("enough is known")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("autolink_gen.training.launch.Fabric", fabric)
    with pytest.raises(ValueError, match="enough is known"):
        start_fabric(Launch(folder=tmp_path, devices="cuda:1"), RunLengthConfig(seed=0))
    assert (asked["accelerator"], asked["devices"], asked["strategy"]) == ("cuda", [1], "auto")


@pytest.mark.parametrize("wrong", ["no", 1])
def test_compile_is_true_false_or_none(tmp_path: Path, wrong: Any) -> None:
    with raises_mentioning(ValueError, "compile", str(wrong)):
        Launch(tmp_path, compile=wrong)
