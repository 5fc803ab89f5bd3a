"""Generators that share the file of their graph, as the package's do: half the weights would be there three times."""

import shutil
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from make_puppet_models import pack

from autolink_gen import load_gan, load_graph_model, load_transfer
from autolink_gen.checkpoints import read_weights, save_model
from autolink_gen.inference.generate import save_gan
from autolink_gen.inference.transfer import save_transfer


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A graph, and a GAN and a transfer network trained on it as it is stored, in half precision."""
    folder = tmp_path / "packed"
    for kind in ("graph", "gan", "transfer"):
        run = tmp_path / "runs" / kind
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("data: {name: puppets}\n")
        weights = run / "model.safetensors"
        if kind == "graph":
            save_model(weights, tiny_graph(sigma2=1e-2), step=7)
        elif kind == "gan":
            save_gan(weights, tiny_gan(load_graph_model(folder / "graph.safetensors")), step=8)
        else:
            save_transfer(weights, tiny_transfer(load_graph_model(folder / "graph.safetensors")), step=9)
        pack(kind, run, folder)
    return folder


def test_the_graph_is_stored_once_and_all_in_half_precision(packed: Path):
    for kind in ("graph", "gan", "transfer"):
        tensors = read_weights(packed / f"{kind}.safetensors")[1]
        assert not any(name.startswith("graph.") for name in tensors)
        assert {value.dtype for value in tensors.values() if value.is_floating_point()} == {torch.float16}
        assert (packed / f"{kind}.yaml").read_text() == "data: {name: puppets}\n"


def test_both_are_loaded_with_the_graph_beside_them(packed: Path, tmp_path: Path):
    graph = load_graph_model(packed / "graph.safetensors")
    images, z = torch.rand(2, 3, 64, 64), torch.randn(2, 8)
    gan, whole = load_gan(packed / "gan.safetensors"), load_gan(tmp_path / "runs" / "gan")
    assert torch.equal(gan.graph.edge_weights, graph.edge_weights)
    poses = gan.graph.detect(images)
    assert torch.equal(poses, graph.detect(images))
    torch.testing.assert_close(gan.generate(poses, z), whole.generate(poses, z), atol=0.02, rtol=0)
    transfer = load_transfer(packed / "transfer.safetensors")
    assert torch.equal(transfer.graph.edge_weights, graph.edge_weights)


def test_without_its_graph_or_with_another_it_is_refused(packed: Path):
    other = packed.parent / "other"
    other.mkdir()
    shutil.copy(packed / "gan.safetensors", other)
    with raises_mentioning(ValueError, other / "gan.safetensors", "graph.safetensors"):
        load_gan(other / "gan.safetensors")
    save_model(other / "graph.safetensors", tiny_graph(sigma2=1e-2, seed=1))
    with raises_mentioning(ValueError, other / "gan.safetensors", "graph.safetensors"):
        load_gan(other / "gan.safetensors")


def test_a_generator_of_another_graph_is_not_packed(packed: Path):
    run = packed.parent / "runs" / "gan"
    save_gan(run / "model.safetensors", tiny_gan(tiny_graph(sigma2=1e-2, seed=1)))
    before = (packed / "gan.safetensors").read_bytes()
    with raises_mentioning(Exception, run / "model.safetensors", packed / "graph.safetensors"):
        pack("gan", run, packed)
    assert (packed / "gan.safetensors").read_bytes() == before
