"""Weights that describe themselves, runs on disk, and writes that leave either the old file or the new one."""

import copy
import json
import os
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from safetensors.torch import save_file

from autolink_gen import load_graph_model
from autolink_gen.checkpoints import (
    FORMAT,
    build_model,
    import_official,
    read_header,
    save_model,
    write_described,
)
from autolink_gen.common.files import BadFileError, whole, write_text_atomically
from autolink_gen.config import to_dict
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.likelihood import LikelihoodMap


@pytest.fixture
def model() -> AutoLink:
    return tiny_graph(decoder_width=0.03, sigma2=2e-3, fit="pad")


def full_disk(*args: object, **kwargs: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["model.safetensors", ""])
def test_a_saved_model_is_read_back_from_file_or_folder(model, tmp_path, name):
    save_model(tmp_path / "run" / "model.safetensors", model)
    loaded = load_graph_model(tmp_path / "run" / name)
    expected, found = model.state_dict(), loaded.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert loaded.config == model.config
    assert not loaded.training
    assert torch.equal(loaded.edge_weights, model.edge_weights)
    images = torch.rand(2, 3, 50, 70)
    torch.testing.assert_close(loaded.detect(images), model.eval().detect(images), rtol=0, atol=1e-5)


def test_a_name_is_that_of_a_run(model, tmp_path, monkeypatch):
    save_model(tmp_path / "runs" / "graph" / "birds-k5" / "model.safetensors", model)
    monkeypatch.chdir(tmp_path)
    assert torch.equal(load_graph_model("birds-k5").edge_weights, model.edge_weights)
    with raises_mentioning(ValueError, "birds-k6"):
        load_graph_model("birds-k6")


def test_other_weights_can_be_saved_in_the_models_place(model, tmp_path):
    doubled = {name: 2 * value for name, value in model.state_dict().items()}
    save_model(tmp_path / "model.safetensors", model, weights=doubled)
    assert load_graph_model(str(tmp_path)).alpha.item() == 2


def test_the_header_says_what_the_file_is(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    header = read_header(tmp_path / "model.safetensors")
    assert (header.format, header.kind, header.step) == (FORMAT, "graph", None)
    assert header.config == to_dict(model.config)
    save_model(tmp_path / "model.safetensors", model, step=12)
    assert read_header(tmp_path / "model.safetensors").step == 12


def test_equal_models_give_files_equal_to_the_last_byte(model, tmp_path):
    backwards = dict(reversed(model.state_dict().items()))
    written = []
    for number, weights in enumerate([None, backwards] * 4):
        save_model(tmp_path / f"{number}.safetensors", model, weights=weights, step=3)
        written.append((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(set(written)) == 1


def test_a_header_of_old_is_read(model, tmp_path):
    header = {"format": FORMAT, "kind": "graph", "config": json.dumps(to_dict(model.config))}
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata=header)
    assert load_graph_model(tmp_path).config == model.config
    assert read_header(tmp_path / "model.safetensors").step is None


@pytest.mark.parametrize(
    "header",
    [
        {"autolink-gen": "{"},
        {"autolink-gen": "[" * 100_000},
        {"autolink-gen": "[]"},
        {"autolink-gen": json.dumps({"format": FORMAT, "kind": "graph", "config": "{}"})},
        {"autolink-gen": json.dumps({"format": FORMAT, "kind": ["graph"], "config": {}})},
        {"autolink-gen": json.dumps({"format": FORMAT, "kind": "graph", "config": {}, "step": "3"})},
        {"autolink-gen": json.dumps({"format": FORMAT, "kind": "graph"})},
        {"format": FORMAT, "kind": "graph"},
        {"format": FORMAT, "kind": "graph", "config": "{" * 100_000},
        {"format": FORMAT, "kind": "graph", "config": "7"},
    ],
    ids=str,
)
def test_a_damaged_header_is_one_line(tmp_path, header):
    file = tmp_path / "odd.safetensors"
    save_file({"x": torch.zeros(1)}, file, metadata=header)
    with pytest.raises(ValueError, match=r"odd\.safetensors .*take another copy") as caught:
        load_graph_model(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_write_leaves_no_file_of_another_name_when_it_is_killed(model, tmp_path, monkeypatch):
    """Whatever is there while the file is written bears the name that the next run clears away."""
    seen = []

    def look(path: Path) -> None:
        seen.extend(item.name for item in tmp_path.iterdir())

    monkeypatch.setattr("autolink_gen.common.files.sync_file", look)
    save_model(tmp_path / "model.safetensors", model)
    assert seen == [f".model.safetensors.{os.getpid()}.tmp"]


def test_the_file_may_be_read_by_whom_the_umask_says(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    (tmp_path / "plain").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("header", "things"),
    [
        ({"format": FORMAT, "kind": "gan", "config": "{}"}, ("gan model", "graph model")),
        ({"format": "autolink-gen 99", "kind": "graph"}, ("written", "version")),
        (None, ("written", "version of autolink-gen", "learn-graph")),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, header, things):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=header)
    with raises_mentioning(ValueError, "other.safetensors", *things):
        load_graph_model(tmp_path / "other.safetensors")


def test_a_part_of_a_save_is_told_from_a_model(tmp_path):
    (tmp_path / "step-00000004").mkdir()
    save_file({"x": torch.zeros(1)}, tmp_path / "step-00000004" / "model.safetensors")
    with raises_mentioning(ValueError, "part", "save", "run's folder"):
        load_graph_model(tmp_path / "step-00000004")


def test_what_is_no_safetensors_file_is_refused(model, tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_text("<html>404 Not Found</html>")
    with raises_mentioning(ValueError, "model.safetensors", "readable"):
        load_graph_model(file)
    save_model(file, model)
    file.write_bytes(file.read_bytes()[:-7])
    with raises_mentioning(ValueError, "model.safetensors", "readable"):
        load_graph_model(file)


def test_an_official_checkpoint_is_sent_to_its_command(tmp_path):
    (tmp_path / "celeba.ckpt").touch()
    with raises_mentioning(ValueError, "celeba.ckpt", ".safetensors", "autolink-gen import-official"):
        load_graph_model(tmp_path / "celeba.ckpt")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("", "model.safetensors"), ("none", "none"), ("none.safetensors", "none.safetensors")],
)
def test_missing_weights_name_the_place_and_the_remedy(tmp_path, name, missing):
    with raises_mentioning(ValueError, tmp_path / missing, "no weights", "run's folder", "model.safetensors"):
        load_graph_model(tmp_path / name)


def test_weights_that_do_not_fit_are_counted_and_named(model, tmp_path):
    tensors = dict(model.state_dict())
    tensors["beta"] = tensors.pop("alpha")
    tensors["raw_edge_weights"] = torch.zeros(4, 4)
    message = (
        r"odd does not .*1 missing \['alpha'\], 1 unknown \['beta'\], 1 of another shape or type \['raw_edge_weights'\]"
    )
    with pytest.raises(ValueError, match=message):
        build_model(lambda: AutoLink(model.config), tensors, source="odd")
    save_model(tmp_path / "model.safetensors", model, weights=tensors)
    with raises_mentioning(ValueError, "model.safetensors", "model's weights"):
        load_graph_model(tmp_path)


def test_loading_draws_nothing(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    before = torch.get_rng_state()
    load_graph_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_header_may_not_ask_for_memory_that_its_weights_do_not_fill(model, tmp_path, monkeypatch):
    made = []
    start = AutoLink.__init__
    monkeypatch.setattr(AutoLink, "__init__", lambda self, config: (start(self, config), made.append(self))[0])
    wide = {**to_dict(model.config), "width": 16.0, "image_size": 256}  # 24 GiB
    write_described(tmp_path / "model.safetensors", model.state_dict(), kind="graph", config=wide)
    with raises_mentioning(ValueError, "model.safetensors", "model's weights"):
        load_graph_model(tmp_path)
    assert [next(one.parameters()).device.type for one in made] == ["meta"]


@pytest.mark.parametrize(
    ("config", "mention"),
    [
        ({"width": 1e9}, "width"),
        ({"width": float("inf")}, "width"),
        ({"num_keypoints": 10**9}, "num_keypoints"),
        ({"image_size": [[[]]]}, "image_size"),
        ({"colour": "x" * 10**6}, "no setting colour"),
    ],
)
def test_a_header_of_no_sense_is_one_line(model, tmp_path, config, mention):
    described = {**to_dict(model.config), **config}
    write_described(tmp_path / "model.safetensors", model.state_dict(), kind="graph", config=described)
    with pytest.raises(ValueError, match=mention) as error:
        load_graph_model(tmp_path)
    assert "model.safetensors" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 1500


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_of_another_type_are_refused(model, tmp_path, dtype):
    tensors = {**model.state_dict(), "alpha": torch.ones((), dtype=dtype)}
    save_model(tmp_path / "model.safetensors", model, weights=tensors)
    with pytest.raises(ValueError, match=r"another shape or type \['alpha'\]"):
        load_graph_model(tmp_path)


def test_import_names_a_hyper_parameter_that_is_missing_or_wrong():
    with pytest.raises(ValueError, match="no AutoLink checkpoint: its hyper_parameters have no 'thick'"):
        import_official({}, {"n_parts": 8, "image_size": 128})
    with raises_mentioning(ValueError, "AutoLink", "NoneType"):
        import_official({}, {"n_parts": None, "image_size": 128, "thick": 1e-3})


def test_a_write_makes_folders_and_replaces(tmp_path):
    file = tmp_path / "a" / "b" / "note.txt"
    for text in ("old", "new: \N{GREEK SMALL LETTER SIGMA}"):
        write_text_atomically(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert [path.name for path in file.parent.iterdir()] == ["note.txt"]


def half_then_full(path: Path) -> None:
    path.write_text("ha")
    full_disk()


def refuse(path: Path) -> None:
    raise ValueError(f"{path} is damaged")


@pytest.mark.parametrize(
    ("write", "check", "reason"),
    [
        (half_then_full, Path.read_text, "No space left on device"),
        (lambda path: path.write_text("new"), full_disk, "No space left on device"),
        (lambda path: path.write_text("new"), refuse, "is damaged"),
    ],
)
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, write, check, reason):
    file = tmp_path / "note.txt"
    file.write_text("old")
    with (
        raises_mentioning(OSError, file, reason, "free some space", "--out"),
        whole(file, check=check) as temporary,
    ):
        write(temporary)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_model_is_not_replaced_by_half_a_file(model, tmp_path, monkeypatch):
    save_model(tmp_path / "model.safetensors", model)
    before = (tmp_path / "model.safetensors").read_bytes()

    def lose_the_end(tensors, metadata=None):
        return before[:-100]

    monkeypatch.setattr("autolink_gen.checkpoints.save", lose_the_end)
    with pytest.raises(OSError, match="no readable safetensors file"):
        save_model(tmp_path / "model.safetensors", model)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_that_is_not_the_disks_passes_and_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), whole(tmp_path / "note.txt", check=Path.read_text) as temporary:
        temporary.touch()
        raise KeyError("a bug")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_through_a_link_in_the_temporary_files_place(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / f".a.txt.{os.getpid()}.tmp").symlink_to(mine)
    write_text_atomically(tmp_path / "a.txt", "new")
    assert mine.read_text() == "mine" and (tmp_path / "a.txt").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "a.txt"}


def test_the_likelihood_travels_with_the_weights(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    plain = (tmp_path / "model.safetensors").read_bytes()
    assert b"likelihood" not in plain and load_graph_model(tmp_path).likelihood is None
    calibrated = copy.deepcopy(model)
    calibrated.likelihood = LikelihoodMap((0.1, 0.5), (0.9, 0.25))
    save_model(tmp_path / "model.safetensors", calibrated)
    assert load_graph_model(tmp_path).likelihood == calibrated.likelihood
    assert load_graph_model(tmp_path).without_keypoints([0]).likelihood == calibrated.likelihood


@pytest.mark.parametrize("likelihood", [{"widths": [0.1]}, {"widths": [0.1], "likelihoods": [7]}, [0.5]])
def test_a_damaged_likelihood_is_said(model, tmp_path, likelihood):
    header = {"format": FORMAT, "kind": "graph", "config": to_dict(model.config), "likelihood": likelihood}
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata={"autolink-gen": json.dumps(header)})
    with raises_mentioning(BadFileError, "model.safetensors", "damaged"):
        load_graph_model(tmp_path)
