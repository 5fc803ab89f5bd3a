"""The commands `weights fetch` and `weights list`."""

import dataclasses
import os

import pytest
import torch
from click.testing import CliRunner
from helpers.messages import assert_line_mentions
from safetensors.torch import save_file

from autolink_gen.cli.weights import NAMES, weights
from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.pretrained import features as pretrained
from autolink_gen.pretrained.files import NETWORKS, tensors_digest, write_feature_weights


@pytest.fixture
def tensors(tmp_path, monkeypatch):
    """Tiny weights that pass for AlexNet's published ones, and an empty cache."""
    tensors = {name: value.contiguous() for name, value in RandomFeatures().state_dict().items()}
    tiny = dataclasses.replace(NETWORKS["alexnet"], features=RandomFeatures, tensors_sha256=tensors_digest(tensors))
    monkeypatch.setitem(NETWORKS, "alexnet", tiny)
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tensors


def run(*arguments):
    return CliRunner().invoke(weights, arguments)


def test_the_names_are_those_of_the_library():
    assert tuple(NETWORKS) == NAMES


def test_fetch_from_a_file_says_what_it_wrote_and_where(tensors, tmp_path):
    save_file(tensors, tmp_path / "mine.safetensors")
    result = run("fetch", "alexnet", "--from", str(tmp_path / "mine.safetensors"))
    assert result.exit_code == 0, result.output
    written = tmp_path / "cache" / "weights" / "alexnet.safetensors"
    assert written.is_file()
    assert f"wrote: {written} (" in result.output
    assert "from mine.safetensors; verified" in result.output
    again = run("fetch", "alexnet")
    assert f"already there: {written}" in again.output


def test_fetch_says_when_weights_are_not_the_published_ones(tensors, tmp_path):
    save_file({name: value + 1 for name, value in tensors.items()}, tmp_path / "mine.safetensors")
    result = run("fetch", "alexnet", "--from", str(tmp_path / "mine.safetensors"))
    assert_line_mentions(result, "intact", "not", "published")


def test_intact_weights_are_replaced_on_demand_alone(tensors, tmp_path):
    other = {name: value + 1 for name, value in tensors.items()}
    for name, values in (("mine", tensors), ("other", other)):
        save_file(values, tmp_path / f"{name}.safetensors")
    fetch = ("fetch", "alexnet", "--from")
    run(*fetch, str(tmp_path / "mine.safetensors"))
    written = tmp_path / "cache" / "weights" / "alexnet.safetensors"
    before = written.read_bytes()
    refused = run(*fetch, str(tmp_path / "other.safetensors"))
    assert_line_mentions(str(refused.exception), written, "already", "AUTOLINK_GEN_CACHE", "--overwrite")
    assert written.read_bytes() == before
    assert run(*fetch, str(tmp_path / "other.safetensors"), "--overwrite").exit_code == 0
    assert "from other.safetensors" in run("list").output
    written.write_bytes(b"torn")
    assert "verified" in run(*fetch, str(tmp_path / "mine.safetensors")).output  # what is damaged is no loss


def test_a_folder_in_the_place_of_the_file_is_called_one(tensors, tmp_path):
    save_file(tensors, tmp_path / "mine.safetensors")
    (tmp_path / "cache" / "weights" / "alexnet.safetensors").mkdir(parents=True)
    for more in ((), ("--from", str(tmp_path / "mine.safetensors")), ("--overwrite",)):
        said = str(run("fetch", "alexnet", *more).exception)
        assert "alexnet.safetensors is a folder" in said and "space" not in said


def test_list_tells_missing_present_and_damaged(tensors, tmp_path):
    save_file(tensors, tmp_path / "mine.safetensors")
    run("fetch", "alexnet", "--from", str(tmp_path / "mine.safetensors"))
    present = run("list").output.splitlines()
    assert present[0].startswith("vgg16    missing")
    assert present[2].startswith("alexnet  verified")
    written = tmp_path / "cache" / "weights" / "alexnet.safetensors"
    assert str(written) in present[3]
    assert present[3].endswith("MB")
    assert present[4].strip() == "from mine.safetensors"
    written.write_bytes(b"x" * 100)
    assert "alexnet  damaged" in run("list").output


def test_what_a_header_says_of_its_origin_is_printable(tensors, tmp_path):
    path = tmp_path / "cache" / "weights" / "alexnet.safetensors"
    write_feature_weights(path, tensors, source="\x1b]0;mine\x07")
    for arguments in (("list",), ("fetch", "alexnet")):
        assert r"from \x1b]0;mine\x07" in run(*arguments).output


def test_a_name_that_is_no_text_is_written_as_one(tensors, tmp_path):
    named = tmp_path / os.fsdecode(b"m\xffne.pth")
    torch.save(tensors, tmp_path / "mine.pth")
    try:
        (tmp_path / "mine.pth").rename(named)
    except OSError:
        pytest.skip("this file system has no such names")
    result = run("fetch", "alexnet", "--from", str(named))
    assert result.exit_code == 0, result.output
    assert r"from m\udcffne.pth" in result.output


def test_weights_that_may_not_be_read_are_damaged(tensors, tmp_path, monkeypatch):
    save_file(tensors, tmp_path / "mine.safetensors")
    run("fetch", "alexnet", "--from", str(tmp_path / "mine.safetensors"))

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pretrained, "read_feature_weights", forbidden)
    assert "alexnet  damaged" in run("list").output


def test_a_file_of_another_network_is_an_error(tensors, tmp_path):
    save_file(tensors, tmp_path / "mine.safetensors")
    result = run("fetch", "vgg16", "--from", str(tmp_path / "mine.safetensors"))
    assert isinstance(result.exception, ValueError)
    assert "is not vgg16" in str(result.exception)


def test_an_unknown_name_is_a_usage_error():
    result = run("fetch", "resnet")
    assert result.exit_code == 2
    assert "'vgg16', 'alexnet'" in result.output


@pytest.mark.parametrize("arguments", [["--help"], ["fetch", "--help"], ["list", "--help"]])
def test_help_ends_with_an_example(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Example" in result.output
    assert "autolink-gen weights" in result.output
