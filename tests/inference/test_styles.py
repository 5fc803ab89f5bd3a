"""Styles of seeds, of a file, and of two seeds mixed by the generator's layers."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph
from PIL import Image

from autolink_gen.common.progress import no_progress
from autolink_gen.inference.generate import Gan
from autolink_gen.inference.styles import StyleMix, Styles, parse_mix, style_json


@pytest.fixture
def gan() -> Gan:
    torch.manual_seed(0)
    gan = tiny_gan(tiny_graph(sigma2=1e-2), poses=torch.rand(2, 3, 2) * 2 - 1, width=0.05).eval()
    torch.nn.init.normal_(gan.generator.to_picture.weight, std=0.3)
    return gan


@pytest.mark.parametrize(
    ("text", "mix"),
    [("3:7", StyleMix(3, 7)), ("3:7@2", StyleMix(3, 7, 2)), ("0:0@0", StyleMix(0, 0, 0))],
)
def test_a_mix_is_two_seeds_and_perhaps_a_number_of_layers(text: str, mix: StyleMix) -> None:
    assert parse_mix(text) == mix


@pytest.mark.parametrize("text", ["3", "3:", ":7", "3:x", "3:7@", "3:7@x", "-3:7", "3:7:9", "", "3:" + 30 * "7"])
def test_other_texts_are_no_mix(text: str) -> None:
    with raises_mentioning(ValueError, "--mix-styles", "3:7", "3:7@2"):
        parse_mix(text)


def test_the_ends_of_a_mix_are_the_two_styles(gan: Gan) -> None:
    first, second = Styles((3, 7)).of(gan, progress=no_progress)
    mixed = Styles((), mix=StyleMix(3, 7)).of(gan, progress=no_progress)
    assert mixed.shape == (gan.num_layers + 1, gan.num_layers, gan.style_size)
    pose = gan.poses[:1]
    painted = gan.paint(pose.expand(len(mixed), -1, -1), mixed)
    assert torch.allclose(painted[:1], gan.paint(pose, first[None]), atol=1e-6)
    assert torch.allclose(painted[-1:], gan.paint(pose, second[None]), atol=1e-6)
    assert all(not torch.allclose(before, after, atol=1e-4) for before, after in pairwise(painted))


def test_a_mix_has_the_first_style_in_the_coarse_layers(gan: Gan) -> None:
    first, second = torch.zeros(2, gan.style_size), torch.ones(2, gan.style_size)
    mixed = gan.mix_styles(first, second, layers=1)
    assert mixed.shape == (2, gan.num_layers, gan.style_size)
    assert (mixed[:, 0] == 0).all() and (mixed[:, 1:] == 1).all()


def test_names_say_the_seeds_and_the_cut(gan: Gan) -> None:
    assert Styles((), mix=StyleMix(3, 7, 2)).names(gan) == ["seed3-2-seed7"]
    assert len(Styles((), mix=StyleMix(3, 7)).names(gan)) == gan.num_layers + 1
    assert Styles((3, 7)).names(gan) == ["seed3", "seed7"]


def test_more_layers_than_there_are_are_refused(gan: Gan) -> None:
    with raises_mentioning(ValueError, "--mix-styles", 99, gan.num_layers):
        StyleMix(3, 7, 99).cuts(gan)
    with raises_mentioning(ValueError, "layers", gan.num_layers, -1):
        gan.mix_styles(torch.zeros(8), torch.zeros(8), layers=-1)
    with raises_mentioning(ValueError, "layer", gan.num_layers):
        gan.paint(gan.poses, torch.zeros(2, gan.num_layers + 1, gan.style_size))


@pytest.mark.parametrize("shape", [(8,), (4, 8)])
def test_a_style_comes_back_from_its_file_to_the_last_digit(gan: Gan, tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert (gan.num_layers, gan.style_size) == (4, 8)
    style = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    file = tmp_path / "style.json"
    file.write_text(style_json(style))
    assert torch.equal(Styles((), file).of(gan, progress=no_progress), style)
    assert Styles((), file).names(gan) == ["style"]
    mean = Styles((), file, truncation=0.0).of(gan, progress=no_progress)
    assert torch.allclose(mean, gan.mean_style().expand_as(style), atol=1e-6)


@pytest.mark.parametrize(
    "content", ['{"style": [1, 2]}', "[]", '{"style": "red"}', "no json", '{"style": [[NaN]]}', "{}"]
)
def test_a_file_of_no_style_is_named(gan: Gan, tmp_path: Path, content: str) -> None:
    file = tmp_path / "style.json"
    file.write_text(content)
    with raises_mentioning(ValueError, file):
        Styles((), file).of(gan, progress=no_progress)
    with raises_mentioning(ValueError, tmp_path / "none.json"):
        Styles((), tmp_path / "none.json").of(gan, progress=no_progress)


def test_the_style_of_an_image_is_truncated_too(gan: Gan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = torch.ones(1, gan.style_size)
    monkeypatch.setattr(gan, "invert", lambda image, **options: found)
    file = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(file)
    assert torch.equal(Styles((), file).of(gan, progress=no_progress), found)
    half = Styles((), file, truncation=0.5).of(gan, progress=no_progress)
    assert torch.allclose(half, (found + gan.mean_style()) / 2, atol=1e-6)
