"""A GAN read back: the same pictures, truncation, edge weights of the user's, styles found, bad files."""

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer

from autolink_gen import load_gan, load_transfer
from autolink_gen.checkpoints import save_model, write_described
from autolink_gen.inference import generate
from autolink_gen.inference.generate import Gan, save_gan
from autolink_gen.inference.transfer import save_transfer
from autolink_gen.ops.likelihood import LikelihoodMap


@pytest.fixture
def gan() -> Gan:
    graph = tiny_graph(sigma2=1e-2)
    return tiny_gan(graph, poses=torch.rand(2, 3, 2) * 2 - 1, width=0.05).eval()


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


def test_a_saved_gan_paints_the_same(gan, z, tmp_path):
    save_gan(tmp_path / "model.safetensors", gan)
    loaded = load_gan(tmp_path)
    assert loaded.generator.config == gan.generator.config and loaded.graph.config == gan.graph.config
    painted = loaded.generate(loaded.poses, z)
    assert painted.shape == (2, 3, 64, 64) and painted.min() >= 0 and painted.max() <= 1
    assert torch.equal(painted, gan.generate(gan.poses, z))
    assert not loaded.training
    assert loaded.graph._quick, "detecting must use the quicker detector"


@pytest.mark.parametrize("tiny, load, save", [(tiny_gan, load_gan, save_gan),
                                              (tiny_transfer, load_transfer, save_transfer)])  # fmt: skip
def test_a_graph_inside_a_model_keeps_its_likelihood(tiny, load, save, tmp_path):
    model = tiny(tiny_graph())
    save(tmp_path / "model.safetensors", model)
    assert load(tmp_path).graph.likelihood is None
    model.graph.likelihood = LikelihoodMap((0.1, 0.5), (0.9, 0.25))
    save_model(tmp_path / "graph.safetensors", model.graph)
    assert load(tmp_path).graph.likelihood == model.graph.likelihood, "that of the graph beside an older model"
    (tmp_path / "graph.safetensors").unlink()
    save(tmp_path / "model.safetensors", model)
    assert load(tmp_path).graph.likelihood == model.graph.likelihood


def test_a_graph_is_no_gan(gan, tmp_path):
    save_model(tmp_path / "model.safetensors", gan.graph)
    with raises_mentioning(ValueError, "graph model", "gan model", "autolink-gen train-gan"):
        load_gan(tmp_path)


def test_missing_weights_are_named(gan, tmp_path):
    from autolink_gen.checkpoints import read_weights, write_weights

    save_gan(tmp_path / "model.safetensors", gan)
    header, tensors = read_weights(tmp_path / "model.safetensors")
    del tensors["generator.to_picture.bias"]
    write_weights(tmp_path / "model.safetensors", tensors, header)
    with pytest.raises(ValueError, match=r"1 missing \['generator.to_picture.bias'\]"):
        load_gan(tmp_path)


@pytest.mark.parametrize("poses", [torch.zeros(2, 4, 2), torch.zeros(3, 2), torch.zeros(1, 3, 3)])
def test_poses_of_another_graph_are_refused(gan, tmp_path, poses):
    gan.register_buffer("poses", poses)
    save_gan(tmp_path / "model.safetensors", gan)
    with pytest.raises(ValueError, match=r"model\.safetensors (has poses|is no readable)"):
        load_gan(tmp_path)


@pytest.mark.parametrize("config", [{}, {"gan": 1, "graph": {}}, {"gan": {"style_size": 10**9}, "graph": {}}])
def test_a_header_of_no_sense_is_one_line(gan, tmp_path, config):
    write_described(tmp_path / "model.safetensors", gan.state_dict(), kind="gan", config=config)
    with pytest.raises(ValueError, match=r"model\.safetensors is no readable model") as error:
        load_gan(tmp_path)
    assert "\n" not in str(error.value)


def test_truncation_draws_styles_to_the_mean(gan, z):
    mean, far = gan.mean_style(), gan.style(z)
    assert torch.allclose(gan.style(z, truncation=0.0), mean.expand(2, -1), atol=1e-6)
    half = gan.style(z, truncation=0.5)
    assert torch.allclose(half - mean, (far - mean) / 2, atol=1e-6)


def test_edge_weights_of_the_user_s_change_what_is_painted(gan, z):
    style = gan.style(z)
    plain = gan.paint(gan.poses, style)
    assert torch.equal(plain, gan.paint(gan.poses, style, edge_weights=gan.edge_weights))
    assert not torch.equal(plain, gan.paint(gan.poses, style, edge_weights=100 * gan.edge_weights))


def test_keypoints_of_another_number_are_refused(gan, z):
    with pytest.raises(ValueError, match=r"keypoints must be \(B, 3, 2\), as many as styles \(2\)"):
        gan.generate(torch.zeros(2, 4, 2), z)


def test_z_of_another_size_is_refused(gan):
    with pytest.raises(ValueError, match=r"z must be \(B, 8\)"):
        gan.generate(gan.poses, torch.zeros(2, 9))


def test_poses_in_pixels_and_weights_below_nothing_are_refused(gan, z):
    style = gan.style(z)
    with pytest.raises(ValueError, match=r"keypoints must be \(x, y\) in \[-1, 1\], got 63"):
        gan.generate((gan.poses + 1) * 0 + 63, z)
    with pytest.raises(ValueError, match="no finite numbers"):
        gan.paint(gan.poses * torch.nan, style)
    with raises_mentioning(ValueError, "edge_weights", "finite", -1):
        gan.paint(gan.poses, style, edge_weights=gan.edge_weights - 1)
    for pictures in (torch.full((2, 3, 64, 64), 255.0), -torch.ones(2, 3, 64, 64)):
        with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
            gan.invert(pictures, steps=1)


def test_a_style_is_found_again(gan, z, monkeypatch):
    """With squared differences for LPIPS: what is painted in the style that was found is near the picture."""
    torch.nn.init.normal_(gan.generator.to_picture.weight, std=0.3)

    class Squares(torch.nn.Module):
        def forward(self, a, b):
            return (a - b).square().mean((1, 2, 3))

    monkeypatch.setattr(generate, "load_lpips", Squares)
    targets = gan.generate(gan.poses, z)
    start = gan.paint(gan.poses, gan.mean_style().repeat(2, 1))
    calls = []

    def progress(items, total, label):
        calls.append((total, label))
        return items

    found = gan.invert(targets, keypoints=gan.poses, steps=80, progress=progress)
    assert found.shape == (2, 8) and not found.requires_grad
    after, before = ((picture - targets).square().mean().item() for picture in (gan.paint(gan.poses, found), start))
    assert after < before / 3
    assert calls == [(80, "style")]
    assert all(parameter.grad is None for parameter in gan.parameters())
