"""The detector on frozen features: where its maps lie, what learns, what is stored, and its quicker copy."""

import pytest
import torch
from helpers.messages import raises_mentioning
from torch import nn

from autolink_gen.checkpoints import load_graph_model, read_weights, save_model
from autolink_gen.losses.perceptual import AlexNetFeatures, RandomFeatures, VGG16Features
from autolink_gen.models.autolink import FROZEN, AutoLink, AutoLinkConfig
from autolink_gen.models.feature_detector import FeatureDetector, usable_maps
from autolink_gen.models.folding import fold_feature_detector


def randomise_norms(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.bias, std=0.3, generator=generator)
            nn.init.uniform_(norm.running_var, 0.5, 1.5, generator=generator)


def alexnet_detector() -> FeatureDetector:
    torch.manual_seed(0)
    detector = FeatureDetector(5, image_size=64, features="alexnet", size=128, width=0.1)
    randomise_norms(detector)
    return detector.eval()


def small_model(**changes) -> AutoLink:
    torch.manual_seed(0)
    values = {"num_keypoints": 4, "image_size": 64, "width": 0.05, "detector": "features", "features": "random"}
    model = AutoLink(AutoLinkConfig(**{**values, "features_size": 64, **changes}))
    weights = model.detector.features.state_dict()
    model.detector.take_weights(weights)
    return model.eval()


@pytest.mark.parametrize(
    ("network", "size"), [(AlexNetFeatures, 128), (AlexNetFeatures, 192), (VGG16Features, 64), (RandomFeatures, 64)]
)
def test_maps_lie_where_geometry_says(network, size):
    """What a position in the middle of a map looks at has its middle where geometry puts the position."""
    features = network().double()
    pictures = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    for place, values in zip(features.geometry_of(features.layers, size), features(pictures), strict=True):
        assert values.shape[1:] == (place.channels, place.side, place.side)
        middle = place.side // 2
        (gradient,) = torch.autograd.grad(values[0, :, middle, middle].sum(), pictures, retain_graph=True)
        rows = (gradient.abs().sum((0, 1, 3)) > 0).nonzero().flatten()
        expected_px = place.first_px + middle * place.stride_px
        reach_px = min(expected_px, size - 1 - expected_px)
        if rows[0] > 0 and rows[-1] < size - 1:
            seen_px = float(rows[0] + rows[-1]) / 2
            # Max pooling looks at one of its inputs: the middle of what is seen wavers by the stride.
            assert abs(seen_px - expected_px) <= place.stride_px, (place, reach_px)


def test_first_position_of_alexnet_is_the_middle_of_its_first_kernel():
    first, second, *_, last = AlexNetFeatures.geometry_of(AlexNetFeatures.default_layers, 128)
    assert (first.side, first.first_px, first.stride_px) == (31, 3.0, 4)
    assert (second.side, second.first_px, second.stride_px) == (15, 7.0, 8)
    assert (last.side, last.first_px, last.stride_px) == (7, 15.0, 16)


def test_keypoint_of_one_bright_position_lies_at_its_place_in_the_picture():
    detector = alexnet_detector()
    heatmaps = torch.zeros(1, 1, 31, 31)
    heatmaps[0, 0, 30, 0] = 1e3
    x, y = detector.keypoints(heatmaps)[0, 0].tolist()
    # 3 and 123 of 128 pixels, hence 1.25 and 61.25 of 64, of which 0 and 63 are -1 and 1.
    assert x == pytest.approx(2 * 1.25 / 63 - 1, abs=1e-6) and y == pytest.approx(2 * 61.25 / 63 - 1, abs=1e-6)


def test_folded_detector_gives_equal_keypoints_and_shares_the_frozen_network():
    detector = alexnet_detector()
    folded = fold_feature_detector(detector)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        plain, quick = detector(pictures), folded(pictures)
    assert plain.std() > 1e-3  # else equal keypoints would show nothing
    torch.testing.assert_close(quick, plain, rtol=0, atol=1e-4)
    assert folded.features is detector.features
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())


def test_maps_given_are_maps_computed():
    detector = alexnet_detector()
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(detector(pictures, detector.maps(pictures)), detector(pictures))
        assert not torch.equal(detector(pictures, detector.maps(-pictures)), detector(pictures))


def test_maps_have_unit_length():
    lengths = [values.norm(dim=1) for values in alexnet_detector().maps(torch.rand(1, 3, 64, 64) * 2 - 1)]
    for length in lengths:
        torch.testing.assert_close(length[length > 0], torch.ones_like(length[length > 0]))


def test_gradients_reach_pictures_and_no_frozen_weight():
    model = small_model().prepare_for_inference()
    pictures = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    model.locate(pictures).square().sum().backward()
    assert pictures.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in model.detector.features.parameters())


def test_stored_model_detects_alike_and_holds_the_frozen_weights_in_half_precision(tmp_path):
    model = small_model()
    save_model(tmp_path / "model.safetensors", model)
    tensors = read_weights(tmp_path / "model.safetensors")[1]
    frozen = {name for name in tensors if name.startswith(FROZEN)}
    assert len(frozen) == 6 and all((tensors[name].dtype == torch.float16) == (name in frozen) for name in tensors)
    loaded = load_graph_model(tmp_path / "model.safetensors")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    pictures = torch.rand(3, 3, 90, 70)
    torch.testing.assert_close(loaded.detect(pictures), model.detect(pictures), rtol=0, atol=1e-5)


def test_widths_of_heatmaps_are_in_units_of_the_picture():
    """A heatmap that says nothing spreads over what its positions span, not over the whole picture."""
    model = small_model()
    nn.init.zeros_(model.detector.head.weight)
    keypoints, widths = model.detect_with_widths(torch.rand(2, 3, 64, 64))
    count = model.detector.features.geometry_of(model.detector.features.layers, 64)[-1].side
    line = torch.linspace(-1, 1, count) * model.detector.span
    torch.testing.assert_close(widths, torch.full((2, 4), float((2 * line.square().mean()).sqrt())))
    torch.testing.assert_close(keypoints, torch.full((2, 4, 2), model.detector.shift), atol=1e-5, rtol=0)


def test_first_maps_alone_are_computed_and_stored():
    detector = FeatureDetector(5, image_size=64, features="alexnet", size=128, width=0.1, num_maps=3).eval()
    whole = AlexNetFeatures(seed=3)
    detector.take_weights(whole.state_dict())
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    maps = detector.maps(pictures)
    assert [tuple(values.shape[1:]) for values in maps] == [(64, 31, 31), (192, 15, 15), (384, 7, 7)]
    whole.fill({name: value.half().float() for name, value in whole.state_dict().items()})
    large = nn.functional.interpolate(pictures, size=(128, 128), mode="bilinear")
    for ours, theirs in zip(maps, whole(large)[:3], strict=True):
        torch.testing.assert_close(ours, nn.functional.normalize(theirs, dim=1, eps=1e-6))
    numbers = {name.split(".")[1] for name in detector.features.state_dict()}
    assert numbers == {"0", "3", "6"}
    assert len(detector.laterals) == 3 and detector(pictures).shape == (2, 5, 2)


@pytest.mark.parametrize(
    ("features", "count", "things"),
    [
        ("alexnet", 0, ("alexnet", 1, 5, 0)),
        ("alexnet", 6, ("alexnet", 1, 5, 6)),
        ("vgg16", 5, ("vgg16", 3, 4, 5)),
        ("vgg16", 2, ("vgg16", 3, 4, 2, "first 2", "quarter")),
    ],
)
def test_numbers_of_maps_that_do_not_serve_are_refused(features, count, things):
    with raises_mentioning(ValueError, "features_maps", *things):
        AutoLinkConfig(detector="features", features=features, features_maps=count)


def test_a_number_of_maps_without_a_detector_on_them_is_refused():
    with pytest.raises(ValueError, match=r"features_maps must be left out .*got 3"):
        AutoLinkConfig(detector="residual", features_maps=3)


def test_all_maps_of_a_network_and_its_largest_number_are_one():
    assert len(usable_maps("vgg16", None, size=128)) == 2
    assert usable_maps("vgg16", 4, size=128) == usable_maps("vgg16", None, size=128)
    assert [place.side for place in usable_maps("alexnet", 2, size=128)] == [31, 15]


@pytest.mark.parametrize("size", [16, 4096])
def test_sizes_that_no_network_takes_are_refused(size):
    with pytest.raises(ValueError, match=r"features_size must be at (least 32|most 1024)"):
        AutoLinkConfig(detector="features", features_size=size)


@pytest.mark.parametrize("features", ["alexnet", "vgg16", "random"])
def test_every_network_of_the_loss_serves(features):
    model = small_model(features=features, features_size=128)
    keypoints = model.detect(torch.rand(1, 3, 64, 64))
    assert keypoints.shape == (1, 4, 2) and bool((keypoints.abs() < 1).all())
