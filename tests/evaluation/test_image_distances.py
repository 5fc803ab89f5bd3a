"""Distances between sets of pictures: by hand, and the order that they must have."""

import sys
import types
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from torch.utils.data import Dataset

from autolink_gen.evaluation import fid as images
from autolink_gen.evaluation.fid import (
    features_of,
    frechet_distance,
    inception_features,
    kernel_distance,
    spread_batches,
)


def cloud(mean: float, *, seed: int = 0, count: int = 400, scale: float = 1.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=draw, dtype=torch.float64) * scale + mean


def test_the_frechet_distance_by_hand():
    """Diagonal covariances: the squared distance of the means and of the deviations."""
    one = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]], dtype=torch.float64)
    covariance = torch.tensor([2.0, 8.0]) / 3
    expected = 9 + 16 + ((2 - 1) ** 2 * covariance).sum().item()
    other = 2 * one + torch.tensor([3.0, 4.0])
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_both_distances_grow_with_the_difference():
    same, near, far = cloud(0, seed=1), cloud(0.5, seed=2), cloud(2.0, seed=3)
    for distance in (frechet_distance, kernel_distance):
        values = [distance(cloud(0), other) for other in (same, near, far)]
        assert values[0] < values[1] < values[2]


def test_the_kernel_distance_leaves_the_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = kernel_distance(cloud(0), cloud(1), seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert first == kernel_distance(cloud(0), cloud(1), seed=3)


class Greys(Dataset):
    """25 flat pictures, each 10 brighter than the one before."""

    def __len__(self):
        return 25

    def __getitem__(self, index):
        return torch.full((3, 4, 4), 10 * index, dtype=torch.uint8)


def test_batches_are_spread_over_the_set():
    dataset = Greys()
    batches = list(spread_batches(dataset, count=5, batch_size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert torch.cat(batches)[:, 0, 0, 0].mul(255).round().tolist() == [0, 50, 100, 150, 200]
    assert len(list(spread_batches(dataset, count=99, batch_size=25))) == 1


def test_a_set_of_floats_is_refused():
    class Shares(Greys):
        def __getitem__(self, index):
            return super().__getitem__(index) / 255

    with pytest.raises(ValueError, match=r"must yield uint8 images, got torch.float32"):
        next(spread_batches(Shares(), count=5))


def test_features_are_gathered_in_order():
    batches = [torch.full((2, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), -0.5)]
    features = features_of(iter(batches), lambda x: x.mean((2, 3)))
    assert features.dtype == torch.float64
    assert features[:, 0].tolist() == [0.5, 0.5, -0.5]


def test_fid_weights_that_are_none_are_named(tmp_path):
    pytest.importorskip("torch_fidelity", reason="the extra fid is not installed")
    file = tmp_path / "weights.pth"
    file.write_bytes(b"nothing")
    with raises_mentioning(ValueError, "weights.pth", "InceptionV3"):
        inception_features(file)


def test_fid_without_its_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ValueError, match=r"pip install 'autolink-gen\[fid\]'"):
        inception_features(tmp_path / "weights.pth")


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_fid_weights_are_not_unpickled(tmp_path, monkeypatch):
    """The package, here a stand-in, sees a file that we wrote: the digits of its name do not vouch for a pickle."""
    seen = []

    class Extractor:
        def __init__(self, name: str, features: list[str], *, feature_extractor_weights_path: str) -> None:
            seen.append(torch.load(feature_extractor_weights_path, weights_only=True))

    stand_in = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    stand_in.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr(images, "_INCEPTION_SHA256", "")
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pth")
    images.inception_features(tmp_path / "weights.pth")
    assert torch.equal(seen[0]["a"], torch.ones(2))
    torch.save({"a": _Attack(tmp_path / "mark")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth is refused"):
        images.inception_features(tmp_path / "weights.pth")
    assert len(seen) == 1 and not (tmp_path / "mark").exists()
