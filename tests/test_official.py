"""The authors' checkpoints: read as Lightning wrote them, refused where they hold more, never executed."""

import argparse
import sys
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.official_names import official_names
from autolink_gen.official import read_official

HYPER_PARAMETERS = {"n_parts": 4, "image_size": 64, "thick": 2e-3, "block": 8, "missing": 0.7, "sklr": 256, "lr": 1e-4}
PARSING = "pytorch_lightning.utilities.parsing"


@pytest.fixture
def model(monkeypatch) -> AutoLink:
    """A narrow stand-in for the authors' model, which has 100 MB; checkpoints are read at its width meanwhile."""
    config = partial(AutoLinkConfig, width=0.05)
    monkeypatch.setattr("autolink_gen.checkpoints.AutoLinkConfig", config)
    torch.manual_seed(0)
    graph = AutoLink(config(num_keypoints=4, image_size=64, sigma2=2e-3, edge_weight_rate=256.0)).eval()
    graph.alpha.data.fill_(1.25)
    return graph


def lightning(model: AutoLink, hyper_parameters: object, **more: object) -> dict[str, Any]:
    """What Lightning stores of a model, under the authors' names."""
    ours = model.state_dict()
    state = {theirs: ours[name] for theirs, name in official_names().items()}
    state["encoder.detector.coord"] = torch.zeros(1, 1, 32, 32, 2)
    state["vgg_loss.vgg.slice1.0.weight"] = torch.ones(2, 3, 3, 3)
    callbacks = {
        "ModelCheckpoint{'monitor': None}": {"best_model_path": "last.ckpt", "current_score": torch.tensor(1.0)}
    }
    return {
        "epoch": 3,
        "pytorch-lightning_version": "1.6.3",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": callbacks,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"betas": (0.9, 0.99)}]}],
        "hyper_parameters": hyper_parameters,
        **more,
    }


@pytest.fixture
def attribute_dict(monkeypatch) -> Iterator[type[dict]]:
    """Lightning's dictionary of hyper-parameters, importable while a checkpoint is written and gone when it is read."""

    class AttributeDict(dict):
        pass

    AttributeDict.__module__, AttributeDict.__qualname__ = PARSING, "AttributeDict"
    parts = PARSING.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    monkeypatch.setattr(sys.modules[PARSING], "AttributeDict", AttributeDict, raising=False)
    yield AttributeDict


def assert_same(found: AutoLink, model: AutoLink) -> None:
    expected, tensors = model.state_dict(), found.state_dict()
    assert expected.keys() == tensors.keys()
    assert all(torch.equal(expected[name], tensors[name]) for name in expected)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(found.detect(images), model.detect(images), rtol=0, atol=1e-5)
    assert torch.equal(found.edge_weights, model.edge_weights)
    assert not found.training


def test_a_lightning_checkpoint_is_read(model, tmp_path):
    torch.save(lightning(model, HYPER_PARAMETERS), tmp_path / "celeba.ckpt")
    found = read_official(tmp_path / "celeba.ckpt")
    assert_same(found, model)
    config = found.config
    assert (config.num_keypoints, config.image_size, config.sigma2, config.edge_weight_rate) == (4, 64, 2e-3, 256)
    assert (config.mask_grid, config.mask_ratio, config.fit) == (8, 0.7, "stretch")


def test_lightnings_own_dictionary_is_allowed_by_name(model, tmp_path, attribute_dict, monkeypatch):
    torch.save(lightning(model, attribute_dict(HYPER_PARAMETERS)), tmp_path / "celeba.ckpt")
    assert PARSING.encode() in (tmp_path / "celeba.ckpt").read_bytes()
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    assert_same(read_official(tmp_path / "celeba.ckpt"), model)


def test_a_namespace_and_paths_are_harmless(model, tmp_path):
    given = argparse.Namespace(**HYPER_PARAMETERS, data_root=Path("/data/celeba"))
    torch.save(lightning(model, given), tmp_path / "celeba.ckpt")
    assert_same(read_official(tmp_path / "celeba.ckpt"), model)


class Trap:
    """Runs a function when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_checkpoint_that_would_run_code_is_refused_and_nothing_runs(model, tmp_path):
    mark = tmp_path / "executed"
    torch.save(lightning(model, HYPER_PARAMETERS, extra=Trap(mark)), tmp_path / "trap.ckpt")
    torch.load(tmp_path / "trap.ckpt", weights_only=False)  # the trap works
    mark.unlink()
    with raises_mentioning(ValueError, "trap.ckpt", "refused", "weights") as error:
        read_official(tmp_path / "trap.ckpt")
    assert not mark.exists()
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)  # no advice to switch the protection off


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404 Not Found</html>", b"hello, this is text", bytes(range(256)), b"PK\x03\x04 half an archive"],
)
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    (tmp_path / "odd.ckpt").write_bytes(content)
    with raises_mentioning(ValueError, "odd.ckpt", "readable", "torch.save", "authors'") as error:
        read_official(tmp_path / "odd.ckpt")
    assert "\n" not in str(error.value)


def test_a_checkpoint_cut_short(model, tmp_path):
    torch.save(lightning(model, HYPER_PARAMETERS), tmp_path / "cut.ckpt")
    whole = (tmp_path / "cut.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    with raises_mentioning(ValueError, "cut.ckpt", "readable", "torch.save"):
        read_official(tmp_path / "cut.ckpt")


@pytest.mark.parametrize("content", [[1], {"state_dict": {}}, {"state_dict": {}, "hyper_parameters": None}, {"a": 1}])
def test_a_file_of_torch_that_is_not_lightnings(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with raises_mentioning(ValueError, "other.ckpt", "Lightning", "state_dict", "hyper_parameters"):
        read_official(tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    ("changes", "things"),
    [
        ({"n_parts": 5}, ("0 missing", "0 unknown", 3, "shape")),
        ({"n_parts": 1}, ("num_keypoints", 2, 1)),
        ({"n_parts": "many"}, ("'many'",)),
        ({"image_size": 100}, ("image_size", "one of")),
    ],
)
def test_hyper_parameters_that_do_not_fit(model, tmp_path, changes, things):
    torch.save(lightning(model, {**HYPER_PARAMETERS, **changes}), tmp_path / "odd.ckpt")
    with raises_mentioning(ValueError, "odd.ckpt", *things):
        read_official(tmp_path / "odd.ckpt")


@pytest.mark.parametrize("name", ["n_parts", "image_size", "thick"])
def test_hyper_parameters_that_are_missing(model, tmp_path, name):
    torch.save(lightning(model, {k: v for k, v in HYPER_PARAMETERS.items() if k != name}), tmp_path / "odd.ckpt")
    with raises_mentioning(ValueError, "odd.ckpt", "AutoLink", name):
        read_official(tmp_path / "odd.ckpt")


def test_weights_that_are_missing(model, tmp_path):
    content = lightning(model, HYPER_PARAMETERS)
    del content["state_dict"]["decoder.alpha"]
    torch.save(content, tmp_path / "odd.ckpt")
    with raises_mentioning(ValueError, "odd.ckpt", "1 missing", "alpha"):
        read_official(tmp_path / "odd.ckpt")


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=rf"there is no checkpoint {tmp_path}/none\.ckpt"):
        read_official(tmp_path / "none.ckpt")
