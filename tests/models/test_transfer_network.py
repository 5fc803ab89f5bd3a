"""The pose-transfer network: what reaches the picture under each switch."""

import pytest
import torch
from torch import nn

from autolink_gen.models.transfer import _CORRECTION, TransferConfig, TransferNetwork
from autolink_gen.models.unet import UNet

SMALL = {"image_size": 64, "width": 0.1, "appearance_width": 0.1}


def make(**changes) -> TransferNetwork:
    torch.manual_seed(0)
    return TransferNetwork(TransferConfig(**{**SMALL, **changes})).eval()


def inputs(clusters: int = 1, batch: int = 2):
    generator = torch.Generator().manual_seed(1)
    maps, source_maps = (torch.rand(batch, clusters, 64, 64, generator=generator) for _ in range(2))
    keypoints, source_keypoints = (torch.rand(batch, 4, 2, generator=generator) * 2 - 1 for _ in range(2))
    return {
        "edge_maps": maps,
        "keypoints": keypoints,
        "source": torch.rand(batch, 3, 64, 64, generator=generator) * 2 - 1,
        "source_edge_maps": source_maps,
        "source_keypoints": source_keypoints,
        "strengths": torch.tensor([1.0, 0.2, 0.5, 0.05]),
    }


def influences(network: TransferNetwork, clusters: int = 1) -> set[str]:
    """The inputs on which the picture depends."""
    given = inputs(clusters)
    with torch.no_grad():
        plain = network(**given)
        assert plain.shape == (2, 3, 64, 64)
        return {
            name for name, value in given.items() if not torch.equal(network(**{**given, name: value * 0.5}), plain)
        }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"edge_maps", "source"}),
        ({"all_scales": True}, {"edge_maps", "source"}),
        ({"source_edges": True}, {"edge_maps", "source", "source_edge_maps"}),
        ({"warps": True}, {"edge_maps", "source", "keypoints", "source_keypoints", "strengths"}),
        ({"clusters": 3, "source_edges": True}, {"edge_maps", "source", "source_edge_maps"}),
    ],
)
def test_what_the_picture_depends_on(changes, expected):
    assert influences(make(**changes), changes.get("clusters", 1)) == expected


def test_the_paper_joins_appearance_at_the_smallest_scale():
    network = make()
    sizes = [tuple(up[1].weight.shape[:2]) for up in network.decoder.ups]
    plain = [tuple(up[1].weight.shape[:2]) for up in UNet(1, 3, width=0.1).ups]
    bottom = network.encoder.counts[-1]
    assert sizes == [(plain[0][0], plain[0][1] + bottom), *plain[1:]]
    given = inputs()
    with torch.no_grad():
        features = network.appearance(given["source"], given["source_edge_maps"])
        assert torch.equal(features.images, given["source"])
        seen_at = {name: given[name] for name in ("source_keypoints", "strengths")}
        assert [maps.shape[-1] for maps in features.features] == [64, 32, 16, 8, 4]
        whole = network.paint(given["edge_maps"], given["keypoints"], source=features, **seen_at)
        dark = features.each(lambda maps: maps * 0)
        last = dark._replace(features=[*dark.features[:-1], features.features[-1]])
        same = network.paint(given["edge_maps"], given["keypoints"], source=last, **seen_at)
    assert torch.equal(whole, same)


def test_an_appearance_seen_once_serves_many_frames():
    network, given = make(all_scales=True, warps=True), inputs()
    with torch.no_grad():
        seen = network.appearance(given["source"], given["source_edge_maps"])
        first = seen.each(lambda maps: maps[:1].expand(2, -1, -1, -1))
        seen_at = {"source_keypoints": given["source_keypoints"][:1].expand(2, -1, -1), "strengths": given["strengths"]}
        painted = network.paint(given["edge_maps"], given["keypoints"], source=first, **seen_at)
        one = {**given, **seen_at, "source": given["source"][:1].expand(2, -1, -1, -1)}
        assert torch.allclose(painted, network(**one), atol=1e-5)


def test_what_is_mixed_the_moved_source_the_still_one_and_colours():
    network, given = make(all_scales=True, warps=True), inputs()
    given["source_keypoints"] = given["keypoints"]
    with torch.no_grad():
        network.decoder.head.weight.zero_()
        for logit, expected in ((50.0, given["source"]), (-50.0, torch.full_like(given["source"], 0.25))):
            network.decoder.head.bias.copy_(torch.tensor([0.25, 0.25, 0.25, logit, -50.0, 0.0, 0.0]))
            assert torch.allclose(network(**given), expected, atol=1e-5)
        elsewhere = {**given, "source_keypoints": given["keypoints"] * 0.5}
        network.decoder.head.bias[3:5] = torch.tensor([50.0, 0.0])
        moved = network(**elsewhere)
        network.decoder.head.bias[3:5] = torch.tensor([0.0, 50.0])
        still = network(**elsewhere)
    assert (moved - given["source"]).abs().max() > 0.5, "the moved source follows the keypoints"
    assert torch.allclose(still, given["source"], atol=1e-5), "the other does not"


def test_the_network_corrects_the_flow():
    network, given = make(all_scales=True, warps=True), inputs()
    given["source_keypoints"] = given["keypoints"]
    right, down = (pixels * 2 / 63 / _CORRECTION for pixels in (5, 3))
    with torch.no_grad():
        network.decoder.head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0, 0.0, right, down]))
        network.decoder.head.weight.zero_()
        painted = network(**given)
    assert torch.allclose(painted[..., :-3, :-5], given["source"][..., 3:, 5:], atol=1e-4)


def test_an_untrained_network_keeps_what_the_keypoints_carry():
    network, given = make(all_scales=True, source_edges=True, warps=True), inputs()
    given["source_keypoints"] = given["keypoints"]
    with torch.no_grad():
        assert torch.equal(network.decoder.head.weight[3:], torch.zeros_like(network.decoder.head.weight[3:]))
        network.decoder.head.weight[:3] = 0
        share = (network(**given) / given["source"]).median()
    assert 0.75 < share < 0.95


def test_the_decoder_without_guests_is_the_graph_learners():
    torch.manual_seed(0)
    plain = UNet(4, 3, width=0.1)
    assert sum(p.numel() for p in UNet(4, 3).parameters()) == pytest.approx(17.97e6, rel=1e-3)
    assert plain(torch.rand(1, 4, 32, 32)).shape == (1, 3, 32, 32)


def test_gradients_reach_every_weight():
    network = make(all_scales=True, source_edges=True, warps=True).train()
    network(**inputs()).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "image_size must be one of"),
        ({"width": 0.0}, "width must be above 0"),
        ({"clusters": 0}, "clusters must be at least 1"),
    ],
)
def test_the_configuration_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        TransferConfig(**changes)


@pytest.mark.parametrize("changes", [{}, {"all_scales": True, "source_edges": True, "warps": True}])
def test_the_quick_network_paints_the_same(changes):
    network = make(**changes).double()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.normal_(layer.bias)
    given = {name: value.double() for name, value in inputs().items()}
    with torch.no_grad():
        plain, layers = network(**given), len(list(network.modules()))
        quick = network.prepare_for_inference()(**given)
    assert len(list(network.modules())) == layers and network._quick
    assert not torch.equal(quick, plain), "the folded layers must have been used"
    torch.testing.assert_close(quick, plain, rtol=1e-9, atol=1e-9)


def test_folding_leaves_no_norm_and_no_mean_of_pixels():
    (folded,) = make().prepare_for_inference()._quick
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d | nn.AvgPool2d)]


def test_the_quick_network_is_dropped_when_weights_may_change():
    network = make().prepare_for_inference()
    network.load_state_dict(network.state_dict())
    assert not network._quick
    assert not network.prepare_for_inference().train()._quick
