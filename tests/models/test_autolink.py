"""The model: shapes, starts, parity with the official implementation, detection of whole pictures."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autolink_gen.checkpoints import import_official
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.blocks import HalvingConv2d, conv3x3, halve, scale_channels
from autolink_gen.models.official_names import official_names
from autolink_gen.ops.edges import edge_map


def small(**changes) -> AutoLink:
    torch.manual_seed(0)
    return AutoLink(AutoLinkConfig(**{"num_keypoints": 4, "image_size": 64, "width": 0.05, "sigma2": 1e-2, **changes}))


def reference_weights(reference: Path, count: int, seed: int) -> dict[str, torch.Tensor]:
    """The official state dict of the stored forward passes, by the recipe of the reference's README."""
    shapes = json.loads((reference / "official_state_dict_k8.json").read_text())
    return {
        name: value
        for name, shape in shapes.items()
        if (value := _reference_tensor(name, [count if n == 8 else n for n in shape], seed)) is not None
    }


def _reference_tensor(name: str, shape: list[int], seed: int) -> torch.Tensor | None:
    if name.endswith("coord"):
        return None
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    n = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32).standard_normal(shape)
    if name.endswith("running_mean"):
        n = 0.1 * n
    elif name.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif name.endswith("alpha"):
        n = np.array(1.1)
    elif name.endswith("skeleton_scalar"):
        n = (n - 4) / 512
    elif len(shape) == 4:
        n = n * np.sqrt(2 / (1.04 * np.prod(shape[1:])))
    elif name.endswith("weight"):
        n = 1 + 0.1 * n
    else:
        n = 0.01 * n
    return torch.tensor(n, dtype=torch.float32)


@pytest.mark.parametrize("count", [8, 4])
def test_parity_with_the_official_forward_pass(shared_dir: Path, count):
    stored = np.load(shared_dir / "reference" / f"forward_k{count}.npz")
    state = reference_weights(shared_dir / "reference", count, int(stored["seed"]))
    parameters = {"n_parts": count, "thick": float(stored["sigma2"]), "image_size": 128, "sklr": 512}
    model = import_official(state, parameters)
    mask = F.interpolate(torch.tensor(stored["mask"]).float(), size=128, mode="nearest")
    images = torch.tensor(stored["image"])
    with torch.no_grad():
        result = model(images, mask)
        repainted = model.reconstruct(images, mask, result.keypoints)
    for ours, name in ((result.keypoints.flip(-1), "keypoints_row_col"), (result.edge_map, "edge_map")):
        torch.testing.assert_close(ours, torch.tensor(stored[name]), rtol=0, atol=1e-4)
    for ours in (result.images, repainted):
        torch.testing.assert_close(ours, torch.tensor(stored["reconstruction"]), rtol=0, atol=1e-4)
    torch.testing.assert_close(model.detect(images / 2 + 0.5), result.keypoints, rtol=0, atol=1e-5)


def test_parameter_counts_are_the_papers():
    model = AutoLink(AutoLinkConfig(num_keypoints=8))
    millions = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (model.detector, model.decoder)]
    assert [round(m, 2) for m in millions] == [7.73, 17.97]


def test_every_official_name_has_one_of_ours():
    ours = AutoLink(AutoLinkConfig()).state_dict().keys()
    assert set(official_names().values()) == set(ours)


def test_the_start_is_the_papers():
    model = AutoLink(AutoLinkConfig(num_keypoints=64))
    raw = model.raw_edge_weights * 512
    assert raw.mean().item() == pytest.approx(-4, abs=0.02)
    assert raw.std().item() == pytest.approx(0.1, abs=0.01)
    assert model.alpha.item() == 1
    conv = model.decoder.downs[2][3]
    assert conv.bias.abs().max() == 0
    assert conv.weight.std().item() == pytest.approx((2 / (1.04 * 512 * 9)) ** 0.5, rel=0.02)


def test_edge_weights_are_symmetric_and_positive():
    weights = small().edge_weights
    assert torch.equal(weights, weights.T)
    assert weights.diagonal().abs().max() == 0
    assert (weights[~torch.eye(4, dtype=torch.bool)] > 0).all()


@pytest.mark.parametrize("image_size", [64, 128, 256])
def test_shapes_and_gradients_at_every_size(image_size):
    model = small(image_size=image_size)
    images = torch.rand(2, 3, image_size, image_size) * 2 - 1
    result = model(images, model.random_mask(2))
    assert result.keypoints.shape == (2, 4, 2)
    assert result.edge_map.shape == (2, 1, image_size, image_size)
    assert result.images.shape == images.shape
    assert model.detector.heatmaps(images).shape[-1] == image_size // 4
    result.images.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.raw_edge_weights.grad.abs().max() > 0
    assert model.detector.layers[0].body[0].weight.grad.abs().max() > 0


VARIANTS = {
    "fixed alpha": {"learn_alpha": False},
    "one thickness": {"learn_sigma2": "one"},
    "a thickness an edge": {"learn_sigma2": "edge"},
    "a channel an edge": {"drawing": "channels"},
    "a channel and a thickness an edge": {"drawing": "channels", "learn_sigma2": "edge"},
    "points": {"drawing": "points"},
    "points of learned thickness": {"drawing": "points", "learn_sigma2": "one"},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_variants_of_the_ablation(changes):
    model = small(**changes)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    result = model(images, model.random_mask(2))
    assert result.edge_map.shape == (2, 1, 64, 64) and result.images.shape == images.shape
    torch.testing.assert_close(model.edge_map(result.keypoints, 64), result.edge_map)
    result.images.square().mean().backward()
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(model.get_parameter(name).grad is not None for name in learning)
    assert all(p.grad.abs().max() > 0 for name, p in model.named_parameters() if name == "log_thickness")
    assert ("alpha" in learning) == ("learn_alpha" not in changes)
    assert ("raw_edge_weights" in learning) == (changes.get("drawing") != "points")
    thickness = [p.numel() for name, p in model.named_parameters() if name == "log_thickness"]
    assert thickness == {"one": [1], "edge": [6]}.get(changes.get("learn_sigma2", ""), [])


def test_a_learned_thickness_is_drawn():
    model = small(learn_sigma2="one")
    keypoints = torch.rand(1, 4, 2)
    thin = model.edge_map(keypoints, 32)
    with torch.no_grad():
        model.log_thickness.fill_(math.log(4))
    torch.testing.assert_close(
        model.edge_map(keypoints, 32), edge_map(keypoints, model.edge_weights, sigma2=4 * model.sigma2, size=32)
    )
    assert model.edge_map(keypoints, 32).mean() > thin.mean()


def test_points_have_no_thickness_of_edges():
    with pytest.raises(ValueError, match=r"learn_sigma2 must be .*drawing=points, which has no edges"):
        AutoLinkConfig(drawing="points", learn_sigma2="edge")


@pytest.mark.parametrize("count", [2, 64])
def test_the_smallest_and_the_largest_graph(count):
    model = small(num_keypoints=count)
    assert model(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).keypoints.shape == (1, count, 2)


def test_the_decoder_sees_nothing_of_what_is_masked():
    model = small().eval()
    images = torch.rand(1, 3, 64, 64)
    keypoints = torch.rand(1, 4, 2)
    mask = model.random_mask(1)
    changed = images + (1 - mask) * torch.randn_like(images)
    assert torch.equal(model.reconstruct(images, mask, keypoints), model.reconstruct(changed, mask, keypoints))


def test_a_convolution_and_halving_is_one_convolution():
    plain, folded = conv3x3(3, 5).double(), HalvingConv2d(3, 5).double()
    folded.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 12, 16, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(folded(x), halve(plain(x)))
    ours, theirs = (torch.autograd.grad(f.square().sum(), x)[0] for f in (folded(x), halve(plain(x))))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (40, 200)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_keypoints_are_those_of_the_whole_picture(shape, fit, monkeypatch):
    """A detector that finds the brightest pixel finds it where it is in the whole picture."""
    height, width = shape
    model = small(fit=fit).eval()
    x, y = width // 2 + 9, height // 2 - 7
    image = torch.zeros(1, 3, height, width)
    image[:, :, y - 4 : y + 5, x - 4 : x + 5] = 1

    def brightest(pictures):
        weight = (pictures[:, :1] + 1).pow(40)
        line = torch.linspace(-1, 1, 64)
        centre = torch.stack([(weight * line).sum((2, 3)), (weight * line[:, None]).sum((2, 3))], -1)
        return centre / weight.sum((2, 3))[..., None]

    monkeypatch.setattr(model.detector, "forward", brightest)
    found = model.detect(image)[0, 0]
    expected = torch.tensor([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1])
    assert ((found - expected) * torch.tensor([width - 1, height - 1]) / 2).abs().max() < 0.8 * max(
        1, max(shape) / 64
    )  # of the smaller pixels


def test_one_picture_is_a_batch_of_one():
    model = small().eval()
    image = torch.rand(3, 50, 70)
    torch.testing.assert_close(model.detect(image), model.detect(image[None])[0])


def test_bytes_are_detected_as_shares_and_other_ranges_refused():
    model = small().eval()
    pixels = (torch.rand(2, 3, 64, 64) * 255).round().to(torch.uint8)
    expected = model.detect(pixels.float() / 255)
    torch.testing.assert_close(model.detect(pixels), expected)
    torch.testing.assert_close(model.detect(pixels[0]), expected[0])
    for wrong in (pixels.float(), pixels.float() / 127.5 - 1, pixels.float() * torch.nan):
        with pytest.raises(ValueError, match="images "):
            model.detect(wrong)
    torch.testing.assert_close(model.detect_unchecked(pixels.float() / 255), expected)


@pytest.mark.parametrize("prepared", [False, True])
def test_widths_come_with_the_keypoints_that_are_detected(prepared):
    model = small(fit="pad").eval()
    images = torch.rand(2, 3, 70, 50)
    expected, square = model.detect(images), F.pad(images, (10, 10), value=0.5)
    if prepared:
        model.prepare_for_inference()
    keypoints, widths = model.detect_with_widths(images)
    torch.testing.assert_close(keypoints, expected, rtol=0, atol=1e-4)
    size = F.interpolate(square, (64, 64), mode="bilinear", antialias=True, align_corners=False)
    shares = model.detector.heatmaps(size * 2 - 1).flatten(2).softmax(-1).view(2, 4, 16, 16)
    line = torch.linspace(-1, 1, 16)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    centre = (shares[..., None] * grid).sum((2, 3))
    squared = (shares * (grid - centre[:, :, None, None]).square().sum(-1)).sum((2, 3))
    torch.testing.assert_close(widths, squared.sqrt(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_keypoints", 1, "num_keypoints must be at least 2, got 1"),
        ("num_keypoints", 65, "num_keypoints must be at most 64, got 65"),
        ("image_size", 100, "image_size must be one of 64, 128, 256, got 100"),
        ("width", 0.0, "width must be above 0, got 0"),
        ("sigma2", -1.0, "sigma2 must be above 0, got -1"),
        ("mask_ratio", 1.0, "mask_ratio must be below 1, got 1"),
        ("mask_grid", 24, "mask_grid must divide image_size, 128, got 24"),
    ],
)
def test_bad_configuration(field, value, message):
    with pytest.raises(ValueError, match=message):
        AutoLinkConfig(**{field: value})


def test_scaled_channels():
    assert [scale_channels(64, w) for w in (1.0, 0.5, 0.1, 0.001)] == [64, 32, 8, 4]
