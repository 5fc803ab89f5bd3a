"""Frechet and kernel distances between the features of painted and of real images."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from autolink_gen.common.devices import double_on_cpu
from autolink_gen.common.digests import file_sha256
from autolink_gen.common.extras import needs
from autolink_gen.common.spread import evenly
from autolink_gen.common.torch_files import read_torch_file
from autolink_gen.ops.ranges import to_signed
from autolink_gen.pretrained.features import load_features

Features = Float[Tensor, "N F"]
Extractor = Callable[[Tensor], Tensor]  # images (B, 3, H, W) in [0, 1] -> features (B, F)
_MAX_SUBSET = 1000
_INCEPTION_SHA256 = "6726825d"  # how it begins, as the file's own name says


def vgg16_features(path: Path | None = None) -> Extractor:
    """The mean of VGG16's last feature map, 512 numbers an image; images in [0, 1].

    Raises ValueError where VGG16's weights cannot be had.
    """
    network = load_features("vgg16", path, layers=["relu5_3"])

    def extract(images: Tensor) -> Tensor:
        (maps,) = network(to_signed(images))
        return maps.mean(dim=(2, 3))

    return extract


def inception_features(path: Path) -> Extractor:
    """The 2048 features that FID is defined on, by torch-fidelity's InceptionV3.

    The user gives the weights.

    Raises ValueError where the package is missing or the file is not the one that FID is defined with.
    """
    with needs("fid", "FID"):
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    digest = file_sha256(path)
    if not digest.startswith(_INCEPTION_SHA256):
        raise ValueError(
            f"{path} does not hold the weights of FID's InceptionV3: its sha256 begins {digest[:8]}, not "
            f"{_INCEPTION_SHA256}; give pt_inception-2015-12-05-{_INCEPTION_SHA256}.pth of torch-fidelity"
        )
    weights = read_torch_file(path, remedy="fetch it again")
    with TemporaryDirectory(prefix="autolink-gen-") as folder:
        # Eight digits do not vouch for a pickle, and the package unpickles what it is given.
        plain = Path(folder) / path.name
        torch.save(weights, plain)
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(plain)
        )

    def extract(images: Tensor) -> Tensor:
        features: Tensor = network((images * 255).round().clamp(0, 255).to(torch.uint8))[0]
        return features

    return extract


@torch.no_grad()
def features_of(batches: Iterator[Tensor], extract: Extractor) -> Features:
    """The features of batches of images (B, 3, H, W) in [0, 1], which may differ in B."""
    return torch.cat([double_on_cpu(extract(batch)) for batch in batches])


def spread_batches(dataset: Dataset[Tensor], *, count: int, batch_size: int = 50) -> Iterator[Float[Tensor, "B 3 S S"]]:
    """Batches in [0, 1] of at most ``count`` images, evenly spread over a data set.

    Raises ValueError unless the data set yields uint8 images.
    """
    size = len(dataset)  # type: ignore[arg-type]
    count = min(count, size)
    indices = evenly(size, count)
    for start in range(0, count, batch_size):
        images = torch.stack([dataset[i] for i in indices[start : start + batch_size]])
        if images.dtype != torch.uint8:
            raise ValueError(f"the data set must yield uint8 images, got {images.dtype}; multiply [0, 1] by 255")
        yield images.float() / 255


def check_installed() -> None:
    """ValueError with pip's command if torchmetrics is not installed; call it first."""
    with needs("eval", "the Frechet distance"):
        import torchmetrics  # noqa: F401


def frechet_distance(first: Features, second: Features) -> float:
    """The Frechet distance between two sets of features, taken as normally distributed.

    Heusel et al. 2017, eq. 6.
    """
    with needs("eval", "the Frechet distance"):
        from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_PrecomputedFeatures(first.shape[1]))
    metric.set_dtype(torch.float64)
    metric.update(first, real=True)
    metric.update(second, real=False)
    return float(metric.compute())


def kernel_distance(first: Features, second: Features, *, seed: int = 0) -> float:
    """The squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018).

    It is unbiased, and so may be below 0.
    """
    with needs("eval", "the kernel distance"):
        from torchmetrics.image.kid import KernelInceptionDistance

    subset = min(len(first), len(second), _MAX_SUBSET)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that it keeps all features, which are here already
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(feature=_PrecomputedFeatures(first.shape[1]), subset_size=subset, subsets=20)
        metric.update(first, real=True)
        metric.update(second, real=False)
        return float(metric.compute()[0])


class _PrecomputedFeatures(nn.Identity):
    """Takes the place of the metrics' network, as the features are already computed."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
