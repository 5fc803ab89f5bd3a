"""The perceptual distance and its feature networks."""

import pytest
import torch
from torch import nn

from autolink_gen.losses.perceptual import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    AlexNetFeatures,
    PerceptualLoss,
    RandomFeatures,
    VGG16Features,
)


class Scaled(nn.Module):
    """Two "layers", the pictures and twice the pictures; remembers the sizes it was given."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.sizes = []

    def forward(self, pictures):
        self.sizes.append(tuple(pictures.shape[-2:]))
        return self.factor * pictures, 2 * self.factor * pictures


def random_images(batch, height, width, *, seed=0, dtype=torch.float32):
    """In [0, 1], as losses take them."""
    return (random_pictures(batch, height, width, seed=seed, dtype=dtype) + 1) / 2


def random_pictures(batch, height, width, *, seed=0, dtype=torch.float32):
    """In [-1, 1], as networks take them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=dtype) * 2 - 1


def torchvision_maps(layers, pictures):
    """All ReLU outputs of torchvision's own layers, with its own normalisation."""
    from torchvision.transforms.functional import normalize

    values, maps = normalize((pictures + 1) / 2, IMAGENET_MEAN, IMAGENET_STD), []
    for layer in layers:
        values = layer(values)
        if isinstance(layer, nn.ReLU):
            # torchvision's ReLUs work in place, on the map that the next layer reads.
            maps.append(values.clone())
    return maps


def test_vgg16_equals_torchvisions_layers():
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    layers = make_layers(cfgs["D"][:13])
    features = VGG16Features({f"features.{name}": value for name, value in layers.state_dict().items()})
    pictures = random_pictures(1, 35, 34)
    expected = torchvision_maps(layers, pictures)
    ours = features(pictures)
    assert [tuple(found.shape) for found in ours] == [
        (1, 64, 35, 34),
        (1, 128, 17, 17),
        (1, 256, 8, 8),
        (1, 512, 4, 4),
    ]
    # relu1_2, relu2_2, relu3_3 and relu4_3 are the 2nd, 4th, 7th and 10th of VGG16's ReLUs.
    for found, number in zip(ours, (2, 4, 7, 10), strict=True):
        torch.testing.assert_close(found, expected[number - 1], atol=1e-5, rtol=1e-4)


def test_alexnet_equals_torchvisions_layers():
    from torchvision.models.alexnet import AlexNet

    torch.manual_seed(0)
    theirs = AlexNet()
    features = AlexNetFeatures(theirs.state_dict())
    pictures = random_pictures(2, 64, 71)
    expected = torchvision_maps(theirs.features, pictures)
    ours = features(pictures)
    assert [found.shape[1] for found in ours] == [64, 192, 384, 256, 256]
    for found, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_layers_are_chosen_by_name_and_the_rest_left_out():
    features = VGG16Features(layers=["relu1_1", "relu2_1"])
    assert [found.shape[1] for found in features(random_pictures(1, 8, 8))] == [64, 128]
    assert list(features.state_dict())[-1] == "features.5.bias"


@pytest.mark.parametrize("network", [AlexNetFeatures, RandomFeatures])
def test_tensor_shapes_are_the_whole_networks(network):
    built = {name: tuple(value.shape) for name, value in network().state_dict().items()}
    assert network.tensor_shapes() == built


def test_vgg16_has_thirteen_convolutions():
    shapes = VGG16Features.tensor_shapes()
    assert len(shapes) == 26
    assert shapes["features.28.weight"] == (512, 512, 3, 3)


def test_a_picture_of_imagenets_mean_is_zero_to_the_network():
    picture = (torch.tensor(IMAGENET_MEAN) * 2 - 1).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    # Without biases a network of zeros stays at zero.
    assert all(found.abs().max() < 1e-6 for found in RandomFeatures()(picture))


def test_weights_are_drawn_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second, other = RandomFeatures(), RandomFeatures(), RandomFeatures(seed=1)
    assert torch.equal(state, torch.get_rng_state())
    name = "features.0.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_other_tensors_beside_the_convolutions_are_ignored():
    tensors = {**RandomFeatures(seed=3).state_dict(), "classifier.6.bias": torch.zeros(1000)}
    features = RandomFeatures(tensors, layers=["relu2"])
    assert torch.equal(features.state_dict()["features.3.weight"], tensors["features.3.weight"])
    assert "features.6.weight" not in features.state_dict()


@pytest.mark.parametrize(("distance", "expected"), [("l1", 2 + 4), ("mse", 4 + 16)])
def test_value_by_hand(distance, expected):
    """From black to white there are two units of what networks see."""
    loss = PerceptualLoss(Scaled(), distance=distance)
    assert loss(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).item() == expected


@pytest.mark.parametrize(("distance", "power"), [("l1", 1), ("mse", 2)])
def test_loss_is_the_sum_of_the_layers_means(distance, power):
    features, pictures, targets = (
        RandomFeatures(),
        random_images(2, 12, 9),
        random_images(2, 12, 9, seed=1),
    )
    pairs = zip(features(pictures * 2 - 1), features(targets * 2 - 1), strict=True)
    expected = sum(((ours - theirs).abs() ** power).mean() for ours, theirs in pairs)
    found = PerceptualLoss(features, distance=distance)(pictures, targets)
    assert expected > 0
    torch.testing.assert_close(found, expected)


def test_equal_pictures_are_at_distance_zero():
    pictures = random_images(2, 16, 16)
    assert PerceptualLoss(RandomFeatures())(pictures, pictures.clone()).item() == 0


def test_gradients_reach_the_pictures_and_nothing_else():
    features = RandomFeatures()
    pictures = random_images(2, 16, 16).requires_grad_()
    targets = random_images(2, 16, 16, seed=1).requires_grad_()
    PerceptualLoss(features)(pictures, targets).backward()
    assert pictures.grad.abs().max() > 0
    assert targets.grad is None
    assert [parameter.grad for parameter in features.parameters()] == [None] * 6
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert not features.training


@pytest.mark.parametrize("unit_length", [False, True])
def test_gradient_in_float64(unit_length):
    loss = PerceptualLoss(RandomFeatures().double(), distance="mse", resize=10, unit_length=unit_length)
    pictures = random_images(1, 8, 8, dtype=torch.float64).requires_grad_()
    targets = random_images(1, 8, 8, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: loss(values, targets), [pictures])


def test_official_recipe_compares_at_224_pixels():
    probe = Scaled()
    pictures, targets = random_images(1, 64, 64), random_images(1, 64, 64, seed=1)
    found = PerceptualLoss(probe, resize=224)(pictures, targets)
    assert probe.sizes == [(224, 224), (224, 224)]
    larger = [
        nn.functional.interpolate(each, size=(224, 224), mode="bilinear", align_corners=False)
        for each in (pictures, targets)
    ]
    torch.testing.assert_close(found, 2 * 3 * (larger[0] - larger[1]).abs().mean())


def test_pictures_keep_their_size_unless_told():
    probe = Scaled()
    PerceptualLoss(probe)(torch.zeros(1, 3, 20, 30), torch.zeros(1, 3, 20, 30))
    assert probe.sizes == [(20, 30), (20, 30)]


def test_unit_length_takes_the_scale_of_features_away():
    pictures, targets = random_images(1, 6, 6), random_images(1, 6, 6, seed=1)
    once, fivefold = (
        PerceptualLoss(Scaled(factor), distance="mse", unit_length=True)(pictures, targets) for factor in (1, 5)
    )
    assert once > 0
    torch.testing.assert_close(once, fivefold)


def test_target_features_can_be_kept():
    loss = PerceptualLoss(RandomFeatures(), resize=24)
    pictures, targets = random_images(2, 16, 16), random_images(2, 16, 16, seed=1).requires_grad_()
    kept = loss.target_features(targets)
    assert not any(found.requires_grad for found in kept)
    torch.testing.assert_close(loss.distance_to(pictures, kept), loss(pictures, targets))


@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_kept_maps_are_half_as_large_under_autocast_and_compared_in_single_precision(distance):
    loss = PerceptualLoss(RandomFeatures(), distance=distance)
    ours, theirs = (random_images(2, 16, 16, seed=seed).requires_grad_(seed == 0) for seed in (0, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kept = loss.target_features(theirs)
        found = loss.distance_to(ours, kept)
        floats = [[values.float() for values in loss.features(2 * images - 1)] for images in (ours, theirs)]
    measure = nn.functional.l1_loss if distance == "l1" else nn.functional.mse_loss
    expected = torch.stack([measure(a, b.detach()) for a, b in zip(*floats, strict=True)]).sum()
    assert {values.dtype for values in kept} == {torch.bfloat16}
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    gradients = [torch.autograd.grad(value, ours)[0] for value in (found, expected)]
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


def test_kept_maps_of_unit_length_are_in_single_precision_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kept = PerceptualLoss(RandomFeatures(), unit_length=True).target_features(random_images(2, 16, 16))
    assert {values.dtype for values in kept} == {torch.float32}


@pytest.mark.parametrize(("network", "side"), [(VGG16Features, 8), (AlexNetFeatures, 31), (RandomFeatures, 4)])
def test_pictures_that_are_too_small_are_refused_with_the_least_size(network, side):
    features = network()
    assert all(found.numel() > 0 for found in features(random_pictures(1, side, side)))
    with pytest.raises(ValueError, match=rf"{side - 1}x{side} pixels .* at least {side} pixels a side.*resize"):
        features(random_pictures(1, side - 1, side))


def test_an_unknown_layer_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"RandomFeatures: 'relu9' is none of relu1, relu2, relu3"):
        RandomFeatures(layers=["relu9"])


def test_missing_and_misshapen_weights_are_named():
    tensors = dict(RandomFeatures().state_dict())
    removed = tensors.pop("features.3.bias")
    with pytest.raises(ValueError, match=r"features\.3\.bias should have shape \(16,\), found nothing"):
        RandomFeatures(tensors)
    with pytest.raises(ValueError, match=r"features\.3\.bias .* found shape \(8,\)"):
        RandomFeatures({**tensors, "features.3.bias": removed[:8]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distance": "l2"}, "distance is 'l2': use 'l1' or 'mse'"),
        ({"resize": 0}, "resize is 0: use a positive"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PerceptualLoss(RandomFeatures(), **settings)
