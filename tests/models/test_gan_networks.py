"""The generator and the discriminator: shapes, the paper's counts, what they depend on, bad settings."""

import pytest
import torch

from autolink_gen.models.discriminator import Discriminator, with_minibatch_std
from autolink_gen.models.generator import CHANNELS, GanConfig, Generator


def small(**changes) -> GanConfig:
    return GanConfig(**{"image_size": 64, "width": 0.05, "style_size": 16, **changes})


@pytest.mark.parametrize("size", [64, 128, 256])
def test_pictures_and_logits_have_their_shapes(size):
    config = small(image_size=size, width=0.02)
    maps = torch.rand(2, 1, size, size)
    pictures = Generator(config)(maps, torch.randn(2, 16))
    assert pictures.shape == (2, 3, size, size)
    assert Discriminator(config)(pictures, maps).shape == (2,)


def test_the_paper_s_counts_at_128_pixels():
    config = GanConfig()
    with torch.device("meta"):
        generator, discriminator = Generator(config), Discriminator(config)
    assert [layer.out_features for layer in generator.mapping if hasattr(layer, "out_features")] == [256] * 3
    assert generator.from_edges[2].weight.shape[0] == 512
    first = [block.first.convolution.weight.shape[:2] for block in generator.blocks]
    assert first == [(512, 512), (512, 512), (256, 512), (128, 256), (64, 128)]
    assert generator.to_picture.weight.shape[:2] == (3, 64)
    assert [block.second.weight.shape[:2] for block in discriminator.blocks] == [
        (128, 64), (256, 128), (512, 256), (512, 512), (512, 512),
    ]  # fmt: skip


def test_a_picture_depends_on_its_own_edge_map_and_style_alone():
    torch.manual_seed(0)
    generator = Generator(small())
    maps, z = torch.rand(3, 1, 64, 64), torch.randn(3, 16)
    painted = generator(maps, z)
    alone = generator(maps[1:2], z[1:2])
    assert torch.allclose(painted[1:2], alone, atol=1e-5)
    assert (generator(maps, z.roll(1, 0)) - painted).abs().mean() > 1e-3
    assert (generator(maps.roll(1, 0), z) - painted).abs().mean() > 1e-3


def test_only_the_direction_of_z_matters():
    generator, z = Generator(small()), torch.randn(2, 16)
    assert torch.allclose(generator.style(z), generator.style(3 * z), atol=1e-5)


def test_edge_maps_of_any_size_and_thin_lines_arrive():
    """Shrinking is antialiased: a line one pixel wide at 256 pixels is not lost between the 32."""
    generator = Generator(small())
    thin, none = torch.zeros(1, 1, 256, 256), torch.zeros(1, 1, 256, 256)
    thin[..., 131, :] = 1
    style = generator.style(torch.randn(1, 16))
    assert (generator.paint(thin, style) - generator.paint(none, style)).abs().max() > 1e-3


def test_the_discriminator_sees_edges_only_if_told():
    maps = torch.rand(2, 1, 64, 64)
    pictures = torch.rand(2, 3, 64, 64)
    seeing, blind = Discriminator(small(sees_edges=True)), Discriminator(small(sees_edges=False))
    assert (seeing(pictures, maps) != seeing(pictures, 1 - maps)).all()
    assert torch.equal(blind(pictures, maps), blind(pictures))


def test_a_power_below_one_lifts_weak_edges():
    plain, root = Generator(small()), Generator(small(edge_power=0.5))
    root.load_state_dict(plain.state_dict())
    maps, z = torch.rand(2, 1, 64, 64), torch.randn(2, 16)
    assert torch.allclose(root(maps, z), plain(maps.sqrt(), z), atol=1e-5)
    critic, rooted = Discriminator(small()), Discriminator(small(edge_power=0.5))
    rooted.load_state_dict(critic.state_dict())
    pictures = torch.rand(2, 3, 64, 64)
    assert torch.allclose(rooted(pictures, maps), critic(pictures, maps.sqrt()), atol=1e-5)


def test_a_learned_start_is_added_to_what_edges_give():
    plain, learned = Generator(small()), Generator(small(learned_start=True))
    learned.load_state_dict({**plain.state_dict(), "start": torch.zeros_like(learned.start)})
    maps, z = torch.rand(2, 1, 64, 64), torch.randn(2, 16)
    assert torch.allclose(learned(maps, z), plain(maps, z), atol=1e-6)
    learned.start.data[..., :4] = 1.0  # the left half
    changed = (learned(maps, z) - plain(maps, z)).abs().mean((0, 1, 2))
    assert changed[:24].mean() > 2 * changed[40:].mean()


def test_minibatch_std_by_hand():
    x = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 2, 4, 4)
    appended = with_minibatch_std(x)
    assert appended.shape == (2, 3, 4, 4)
    assert torch.allclose(appended[:, 2], torch.ones(2, 4, 4))
    groups = with_minibatch_std(torch.cat([x, x, 0 * x, 0 * x]), group=4)
    assert torch.allclose(groups[:4, 2], torch.ones(4, 4, 4)) and groups[4:, 2].abs().max() < 1e-3
    torch.manual_seed(0)
    network = Discriminator(small(minibatch_std=True, width=0.2)).double()
    pictures, maps = torch.rand(4, 3, 64, 64).double(), torch.rand(4, 1, 64, 64).double()
    alike = [one[:1].expand(4, -1, -1, -1) for one in (pictures, maps)]
    assert (network(pictures, maps)[0] - network(*alike)[0]).abs() > 1e-5


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_size": 96}, "image_size must be one of"),
        ({"width": 0.0}, "width must be above 0"),
        ({"discriminator_width": -1.0}, "discriminator_width must be above 0"),
        ({"style_size": 0}, "style_size must be at least 1"),
    ],
)
def test_bad_settings_are_named(changes, named):
    with pytest.raises(ValueError, match=named):
        GanConfig(**changes)


def test_every_resolution_has_a_count():
    assert sorted(CHANNELS) == [8, 16, 32, 64, 128, 256]
