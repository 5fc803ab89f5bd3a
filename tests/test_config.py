"""Run configurations: recipes, overrides, errors that name the field, YAML that builds the same again."""

import re
from dataclasses import replace

import pytest
import yaml

from autolink_gen.config import (
    DataConfig,
    GanRunConfig,
    GraphRunConfig,
    LossConfig,
    OptimiserConfig,
    RunLengthConfig,
    TransferRunConfig,
    build,
    to_dict,
    to_yaml,
)
from autolink_gen.graph_settings import ThicknessConfig
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.recipes import merge, parse_overrides, read_recipe, read_yaml, recipe_names


def recipe(name: str) -> GraphRunConfig:
    return build(GraphRunConfig, read_recipe("graph", name))


def changed(*settings: str) -> GraphRunConfig:
    return build(GraphRunConfig, parse_overrides(settings))


@pytest.mark.parametrize("name", recipe_names("graph"))
def test_every_recipe_builds_and_comes_back_from_its_yaml(name):
    config = recipe(name)
    assert build(GraphRunConfig, yaml.safe_load(to_yaml(config))) == config


def test_the_recipes_there_are():
    assert {"cpu", "official", "paper", "puppets"} <= set(recipe_names("graph"))


@pytest.mark.parametrize("name", ["cpu", "paper", "puppets"])
def test_the_recipes_of_the_gan(name):
    config = build(GanRunConfig, read_recipe("gan", name))
    assert build(GanRunConfig, yaml.safe_load(to_yaml(config))) == config
    assert recipe_names("gan") == ["cpu", "paper", "puppets"]
    if name == "paper":
        assert config == GanRunConfig()
        assert config.optimiser.lr <= 2e-4, "at 2e-3 these networks blow up within ten steps"
    else:
        assert config.model.width <= 0.25 and config.training.batch_size <= 16


def test_a_wrong_field_is_named_once():
    with pytest.raises(ValueError, match=r"^pose\.moved_share must be in \[0, 1\], got 2\.0$"):
        build(GanRunConfig, {"pose": {"moved_share": 2}})


@pytest.mark.parametrize("name", ["cpu", "paper", "puppets"])
def test_the_recipes_of_pose_transfer(name):
    config = build(TransferRunConfig, read_recipe("transfer", name))
    assert build(TransferRunConfig, yaml.safe_load(to_yaml(config))) == config
    assert recipe_names("transfer") == ["cpu", "paper", "puppets"]
    assert (config == TransferRunConfig()) == (name == "paper")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loss.gamma=-1", "loss.gamma must be 0 or more, got -1"),
        ("loss.penalty_every=0", "loss.penalty_every must be at least 1, got 0"),
        ("pose.jitter_share=2", "pose.jitter_share must be in [0, 1], got 2"),
        ("pose.mix_share=-1", "pose.mix_share must be in [0, 1], got -1"),
        ("pose.jitter=-1", "pose.jitter must be 0 or more, got -1"),
        ("progress.pictures=1", "progress.pictures must be 0, or from 2 to 1,000,000,000, got 1"),
        ("model.image_size=96", "image_size must be one of"),
    ],
)
def test_bad_settings_of_the_gan_are_named(setting, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build(GanRunConfig, parse_overrides([setting]))


@pytest.mark.parametrize(
    "setting",
    [
        "data.varied=2",
        "data.flip=2",
        "loss.squared=-1",
        "loss.discriminator_width=0",
        "adversarial.gamma=-1",
        "perceptual.resize=1",
    ],
)
def test_bad_settings_of_pose_transfer_are_named(setting):
    with pytest.raises(ValueError, match=re.escape(setting.split("=")[0]) + " must ") as caught:
        build(TransferRunConfig, parse_overrides([setting]))
    assert str(caught.value).count("must") == 1 and ": " not in str(caught.value)


def test_the_papers_recipe_is_the_default():
    config = recipe("paper")
    assert config == GraphRunConfig()
    assert (config.loss.features, config.loss.distance, config.loss.resize) == ("vgg16", "mse", None)
    assert (config.optimiser.name, config.optimiser.lr, config.optimiser.betas) == ("adam", 1e-4, (0.9, 0.99))
    assert (config.training.batch_size, config.training.steps) == (64, 20_000)
    assert (config.model.image_size, config.model.width, config.model.sigma2) == (128, 1.0, 5e-5)
    assert (config.model.mask_grid, config.model.mask_ratio, config.model.edge_weight_rate) == (16, 0.8, 512)
    assert config.thickness.start is None


def test_the_official_recipe():
    config = recipe("official")
    assert (config.loss.features, config.loss.distance, config.loss.resize) == ("vgg16", "l1", 224)
    optimiser = config.optimiser
    assert (optimiser.name, optimiser.lr, optimiser.betas) == ("adamw", 1e-4, (0.9, 0.999))
    assert (optimiser.weight_decay, optimiser.schedule) == (1e-3, "constant")
    assert (config.training.batch_size, config.training.steps) == (64, 20_000)
    assert (config.model.image_size, config.model.width, config.model.sigma2) == (128, 1.0, 1e-3)
    assert config.data.flip == 0.5


@pytest.mark.parametrize("name", ["cpu", "puppets"])
def test_recipes_for_two_cores_are_small(name):
    config = recipe(name)
    assert config.loss.features == "alexnet"
    assert config.model.image_size == 64
    assert config.model.width <= 0.5
    assert config.training.batch_size <= 16


def test_a_recipe_file_by_path(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("# a note\nmodel: {num_keypoints: 5}\noptimiser: {lr: 2e-4}\n")
    config = build(GraphRunConfig, read_recipe("graph", str(file)))
    assert (config.model.num_keypoints, config.optimiser.lr) == (5, 2e-4)
    assert config.training == RunLengthConfig()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [1, 2\nfoo: }", r"mine\.yaml is not YAML: while parsing a flow sequence .*line 1"),
        (b"\x89PNG\r\n\x1a\n\xff", r"mine\.yaml is no readable YAML: "),
        (b"- a\n- b\n", r"mine\.yaml must hold settings by name, got list"),
        (b"", r"mine\.yaml must hold settings by name, got NoneType"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, message):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_recipe("graph", str(file))
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_there():
    with pytest.raises(
        ValueError, match=r"no recipe 'papr'; there are .*official, paper, puppets, or give a \.yaml file"
    ):
        read_recipe("graph", "papr")
    with pytest.raises(ValueError, match=r"there is no recipe file none\.yaml"):
        read_recipe("graph", "none.yaml")


def test_overrides_are_yaml_scalars_nested_by_dots():
    settings = [
        "optimiser.lr=1e-3",
        "optimiser.betas=[0, 0.9]",
        "data.root=null",
        "loss.weights=a=b.pth",
        " data.name =x",
    ]
    assert parse_overrides(settings) == {
        "optimiser": {"lr": "1e-3", "betas": [0, 0.9]},
        "data": {"root": None, "name": "x"},
        "loss": {"weights": "a=b.pth"},
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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer.lr=1", r"no setting optimizer; there are model, data, loss, optimiser, training, thickness"),
        ("optimiser.rate=1", r"no setting optimiser\.rate; there are optimiser\.name, optimiser\.lr, "),
        ("training=5", r"training is a group of settings, got 5"),
        ("training.steps=many", r"training\.steps: .*integer.*, got 'many'"),
        ("training.steps=1.5", r"training\.steps: .*integer.*, got 1\.5"),
        ("training.steps=0", r"training\.steps must be at least 1, got 0"),
        ("training.ema=1", r"training\.ema must be in \[0, 1\), got 1"),
        ("optimiser.lr=fast", r"optimiser\.lr: .*number.*, got 'fast'"),
        ("optimiser.lr=0", r"optimiser\.lr must be positive, got 0"),
        ("optimiser.mapping_lr=0", r"optimiser\.mapping_lr must be positive, got 0"),
        ("optimiser.lr=.nan", r"optimiser\.lr must be positive, got nan"),
        ("optimiser.betas=[0.9, 1]", r"optimiser\.betas must be in \[0, 1\), got \(0\.9, 1"),
        ("optimiser.betas=0.9", r"optimiser\.betas: .*tuple.*, got 0\.9"),
        ("optimiser.name=sgd", r"optimiser\.name: .*'adam' or 'adamw', got 'sgd'"),
        ("optimiser.clip_norm=-1", r"optimiser\.clip_norm must be positive, got -1"),
        ("optimiser.warmup_steps=-1", r"optimiser\.warmup_steps must be 0 or more, got -1"),
        ("data.flip=2", r"data\.flip must be in \[0, 1\], got 2"),
        ("data.workers=-1", r"data\.workers must be 0 to 256, got -1"),
        ("data.name=", r"data\.name: .*string, got None"),
        ("loss.features=resnet", r"loss\.features: .*'vgg16', 'alexnet' or 'random', got 'resnet'"),
        ("loss.resize=8", r"loss\.resize must be at least 32 .*got 8"),
        ("thickness.start=0", r"thickness\.start must be positive, got 0"),
        ("thickness.hold=0.9", r"thickness\.hold, thickness\.until must be rising in \[0, 1\]"),
        ("model.num_keypoints=1", r"model\.num_keypoints must be from 2 to 64, got 1"),
        ("model.fit=zoom", r"model\.fit: .*'crop', 'pad' or 'stretch', got 'zoom'"),
    ],
)
def test_a_wrong_setting_names_the_field_and_the_value(setting, message):
    with pytest.raises(ValueError, match=message) as error:
        changed(setting)
    assert "\n" not in str(error.value)


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(ValueError, match=r"model\.width: .*; data\.flip: "):
        changed("model.width=wide", "data.flip=often")


def test_merge_goes_into_groups_and_leaves_its_arguments():
    base = {"model": {"width": 1, "fit": "crop"}, "data": {"name": "a"}}
    assert merge(base, {"model": {"width": 2}, "data": None}) == {"model": {"width": 2, "fit": "crop"}, "data": None}
    assert base == {"model": {"width": 1, "fit": "crop"}, "data": {"name": "a"}}


def test_a_changed_configuration_comes_back_from_its_yaml():
    config = GraphRunConfig(
        model=AutoLinkConfig(num_keypoints=9, decoder_width=0.125, fit="pad"),
        data=DataConfig(name="photos/a: b", root="/data", flip=0.5),
        loss=LossConfig(features="random", resize=64),
        optimiser=OptimiserConfig(betas=(0.5, 0.75), lr=1e-9, clip_norm=1.0),
        thickness=ThicknessConfig(start=0.02),
    )
    text = to_yaml(config)
    assert build(GraphRunConfig, yaml.safe_load(text)) == config
    assert list(yaml.safe_load(text)) == list(to_dict(config)) == [*GraphRunConfig.__dataclass_fields__]


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


@pytest.mark.parametrize(
    ("values", "mention"),
    [
        ({"training": {"steps": [[[["x" * 10**6]]]]}}, "training.steps"),
        ({"training": {"steps": 10**10}}, "training.steps"),
        ({"training": {"seed": 10**5000}}, "training.seed"),
        ({"data": {"classes": [{}] * 10**4}}, "more"),
        ({"data": {"workers": 10**6}}, "data.workers"),
        ({"optimiser": {"lr": float("inf")}}, "optimiser.lr"),
        ({"model": {"width": float("inf")}}, "width"),
        ({"model": {"width": 1e9}}, "width"),
        ({"model": {"sigma2": float("inf")}}, "sigma2"),
        ({"x" * 10**6: 1}, "no setting"),
        ({"model": "y" * 10**6}, "model"),
    ],
)
def test_values_that_no_run_has_are_refused_in_one_short_line(values, mention):
    with pytest.raises(ValueError, match=mention) as error:
        build(GraphRunConfig, values)
    assert len(str(error.value)) < 3000 and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (GanRunConfig, {"model": {"style_size": 10**9}}),
        (GanRunConfig, {"model": {"width": 1e6}}),
        (GanRunConfig, {"model": {"discriminator_width": float("inf")}}),
        (TransferRunConfig, {"model": {"clusters": 10**9}}),
        (TransferRunConfig, {"model": {"appearance_width": 1e6}}),
        (TransferRunConfig, {"loss": {"discriminator_width": 1e6}}),
        (TransferRunConfig, {"progress": {"pictures": 10**12}}),
    ],
)
def test_every_size_has_a_bound(kind, values):
    (group,), (setting,) = values, next(iter(values.values()))
    with pytest.raises(ValueError, match=setting):
        build(kind, values)
    assert group in kind.__dataclass_fields__
