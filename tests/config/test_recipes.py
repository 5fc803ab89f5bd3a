"""Recipes: which there are, how their YAML is read, and how settings are laid over them."""

from dataclasses import replace

import pytest
import yaml
from helpers.messages import raises_mentioning

from autolink_gen.config import (
    GanRunConfig,
    GraphRunConfig,
    OptimiserConfig,
    RunLengthConfig,
    TransferRunConfig,
    build,
    to_yaml,
)
from autolink_gen.recipes import (
    parse_overrides,
    read_recipe,
    read_yaml,
    recipe_names,
)


def recipe(name: str) -> GraphRunConfig:
    return build(GraphRunConfig, read_recipe("graph", name))


def changed(*settings: str) -> GraphRunConfig:
    return build(GraphRunConfig, parse_overrides(settings))


@pytest.mark.parametrize("name", recipe_names("graph"))
def test_every_recipe_builds_and_comes_back_from_its_yaml(name):
    config = recipe(name)
    assert build(GraphRunConfig, yaml.safe_load(to_yaml(config))) == config


def test_the_recipes_there_are():
    assert {"cpu", "gpu", "official", "paper", "puppets"} <= set(recipe_names("graph"))


@pytest.mark.parametrize("name", ["cpu", "gpu", "paper", "puppets"])
def test_the_recipes_of_the_gan(name):
    config = build(GanRunConfig, read_recipe("gan", name))
    assert build(GanRunConfig, yaml.safe_load(to_yaml(config))) == config
    assert recipe_names("gan") == ["cpu", "gpu", "paper", "puppets"]
    if name == "paper":
        assert config == GanRunConfig()
        assert config.optimiser.lr <= 2e-4, "at 2e-3 these networks blow up within ten steps"
    elif name == "gpu":
        assert config.training.precision == "auto" and config.optimiser.lr <= 2e-4
    else:
        assert config.model.width <= 0.25 and config.training.batch_size <= 16


def test_a_wrong_field_is_named_once():
    with pytest.raises(ValueError, match=r"^pose\.moved_share must be at most 1, got 2$"):
        build(GanRunConfig, {"pose": {"moved_share": 2}})


@pytest.mark.parametrize("name", ["cpu", "gpu", "paper", "puppets"])
def test_the_recipes_of_pose_transfer(name):
    config = build(TransferRunConfig, read_recipe("transfer", name))
    assert build(TransferRunConfig, yaml.safe_load(to_yaml(config))) == config
    assert recipe_names("transfer") == ["cpu", "gpu", "paper", "puppets"]
    assert (config == TransferRunConfig()) == (name == "paper")


def test_the_papers_recipe_is_the_default():
    config = recipe("paper")
    assert config == GraphRunConfig()
    assert (config.perceptual.features, config.perceptual.distance, config.perceptual.resize) == ("vgg16", "mse", None)
    assert (config.optimiser.name, config.optimiser.lr, config.optimiser.betas) == ("adam", 1e-4, (0.9, 0.99))
    assert (config.training.batch_size, config.training.steps) == (64, 20_000)
    assert (config.model.image_size, config.model.width, config.model.sigma2) == (128, 1.0, 5e-5)
    assert (config.model.mask_grid, config.model.mask_ratio, config.model.edge_weight_rate) == (16, 0.8, 512)
    assert config.thickness.start is None


def test_the_official_recipe():
    config = recipe("official")
    assert (config.perceptual.features, config.perceptual.distance, config.perceptual.resize) == ("vgg16", "l1", 224)
    optimiser = config.optimiser
    assert (optimiser.name, optimiser.lr, optimiser.betas) == ("adamw", 1e-4, (0.9, 0.999))
    assert (optimiser.weight_decay, optimiser.schedule) == (1e-3, "constant")
    assert (config.training.batch_size, config.training.steps) == (64, 20_000)
    assert (config.model.image_size, config.model.width, config.model.sigma2) == (128, 1.0, 1e-3)
    assert config.data.flip == 0.5


@pytest.mark.parametrize("name", ["cpu", "puppets"])
def test_recipes_for_two_cores_are_small(name):
    config = recipe(name)
    assert config.perceptual.features == "alexnet"
    assert config.model.image_size == 64
    assert config.model.width <= 0.5
    assert config.training.batch_size <= 16


def test_the_recipe_for_a_gpu():
    config = recipe("gpu")
    assert (config.model.image_size, config.training.batch_size, config.training.precision) == (128, 64, "auto")
    assert config.training.ema > 0 and config.optimiser.schedule == "cosine"
    assert config.thickness.start is not None and config.thickness.start > config.model.sigma2
    assert (config.model.features, config.perceptual.features) == ("vgg16", "alexnet")


def test_a_recipe_file_by_path(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("# a note\nmodel: {num_keypoints: 5}\noptimiser: {lr: 2e-4}\n")
    config = build(GraphRunConfig, read_recipe("graph", str(file)))
    assert (config.model.num_keypoints, config.optimiser.lr) == (5, 2e-4)
    assert config.training == RunLengthConfig()


@pytest.mark.parametrize(
    ("content", "things"),
    [
        (b"model: [1, 2\nfoo: }", ("not YAML", "line 1")),
        (b"\x89PNG\r\n\x1a\n\xff", ("readable", "YAML")),
        (b"- a\n- b\n", ("settings", "name", "list")),
        (b"", ("settings", "name", "NoneType")),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, things):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with raises_mentioning(ValueError, "mine.yaml", *things) as error:
        read_recipe("graph", str(file))
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_there():
    with raises_mentioning(ValueError, "papr", "official", "paper", "puppets", ".yaml"):
        read_recipe("graph", "papr")
    with raises_mentioning(ValueError, "none.yaml", "no recipe"):
        read_recipe("graph", "none.yaml")


def test_overrides_are_yaml_scalars_nested_by_dots():
    settings = [
        "optimiser.lr=1e-3",
        "optimiser.betas=[0, 0.9]",
        "data.root=null",
        "perceptual.weights=a=b.pth",
        " data.name =x",
    ]
    assert parse_overrides(settings) == {
        "optimiser": {"lr": "1e-3", "betas": [0, 0.9]},
        "data": {"root": None, "name": "x"},
        "perceptual": {"weights": "a=b.pth"},
    }
    assert changed("optimiser.lr=1e-3", "optimiser.betas=[0, 0.9]").optimiser == replace(
        OptimiserConfig(), lr=1e-3, betas=(0.0, 0.9)
    )


def test_the_last_of_two_overrides_wins():
    assert changed("training.steps=5", "training.steps=7").training.steps == 7


@pytest.mark.parametrize("setting", ["optimiser.lr", "=3", " =3", ""])
def test_an_override_without_name_or_value(setting):
    with pytest.raises(ValueError, match=rf"--set takes NAME=VALUE, as in optimiser\.lr=1e-3, got '{setting}'"):
        parse_overrides([setting])


def test_an_override_that_is_no_yaml_is_one_line():
    with pytest.raises(ValueError, match=r"--set data\.name=a: b is not YAML") as error:
        parse_overrides(["data.name=a: b"])
    assert "\n" not in str(error.value)


def anchors(depth: int) -> str:
    """Some hundred bytes of YAML that stand for 9 to the power of ``depth`` texts."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return "\n".join(lines) + "\n"


def test_yaml_may_be_nested_as_deep_as_settings_are():
    assert read_yaml("a: " + "[" * 40 + "]" * 40 + "\nb: 1", source="here")["b"] == 1


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        (anchors(9), "alias"),
        ("training: &all {steps: 5}\nmodel:\n  <<: *all\n", "alias"),
        ("a: " + "[" * 30_000, "nested over 50 deep"),
        ("a: " + "[" * 50 + "]" * 50, "nested over 50 deep"),
        ("steps: 1\n" * 10**5, "characters"),
        ("a: " + "9" * 5000, "digits"),
        ("a: !!python/object/apply:os.system [ls]\n", "python/object"),
        ("a: 2001-99-99\n", "month"),
    ],
)
def test_yaml_that_asks_for_much_is_refused_in_one_line(text, mention):
    with pytest.raises(ValueError, match=mention) as error:
        read_yaml(text, source="here")
    assert str(error.value).startswith("here") and len(str(error.value)) < 500 and str(error.value).isprintable()
