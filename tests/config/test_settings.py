"""Run configurations: recipes, overrides, errors that name the field, YAML that builds the same again."""

import pickle
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from autolink_gen.config import (
    RUN_CONFIGS,
    DataConfig,
    GanRunConfig,
    GraphRunConfig,
    OptimiserConfig,
    PerceptualConfig,
    RunKind,
    ThicknessConfig,
    TransferRunConfig,
    build,
    explained_yaml,
    settings_of,
    to_dict,
    to_yaml,
)
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.recipes import (
    current_keys,
    earlier_recipes,
    merge,
    parse_overrides,
    read_recipe,
    recipe_names,
)
from autolink_gen.training.plans import Choices


def assert_refused(kind: type, setting: str, mentions: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as error:
        build(kind, parse_overrides([setting]))
    message = str(error.value)
    assert all(mention in message for mention in mentions), message
    assert "\n" not in message and message.count(mentions[0]) == 1


def changed(*settings: str) -> GraphRunConfig:
    return build(GraphRunConfig, parse_overrides(settings))


@pytest.mark.parametrize(
    ("setting", "mentions"),
    [
        ("adversarial.gamma=-1", ("adversarial.gamma", "0", "-1")),
        ("adversarial.penalty_every=0", ("adversarial.penalty_every", "1", "got 0")),
        ("pose.jitter_share=2", ("pose.jitter_share", "1", "2")),
        ("pose.mix_share=-1", ("pose.mix_share", "0", "-1")),
        ("pose.jitter=-1", ("pose.jitter", "0", "-1")),
        ("progress.pictures=1", ("progress.pictures", "0", "2 to 1,000,000,000", "got 1")),
        ("model.image_size=96", ("model.image_size", "64, 128, 256", "96")),
        ("data.hold_out=1", ("data.hold_out", "2 or more", "got 1")),
        ("data.hold_out=-2", ("data.hold_out", "2 or more", "-2")),
        ("data.root=s3://bucket", ("data.root", "folder", "s3://bucket")),
    ],
)
def test_bad_settings_of_the_gan_are_named(setting, mentions):
    assert_refused(GanRunConfig, setting, mentions)


@pytest.mark.parametrize(
    "setting",
    [
        "data.varied=2",
        "data.flip=2",
        "weights.squared=-1",
        "weights.discriminator_width=0",
        "adversarial.gamma=-1",
        "perceptual.resize=1",
    ],
)
def test_bad_settings_of_pose_transfer_are_named(setting):
    with pytest.raises(ValueError, match=re.escape(setting.split("=")[0]) + " must ") as caught:
        build(TransferRunConfig, parse_overrides([setting]))
    assert str(caught.value).count("must") == 1 and ": " not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "mentions"),
    [
        (
            "optimizer.lr=1",
            ("optimizer", "did you mean optimiser?", "model, data, perceptual, optimiser, training"),
        ),
        ("optimiser.rate=1", ("optimiser.rate", "optimiser.name, optimiser.lr, ")),
        ("optimiser.warmup_step=1", ("optimiser.warmup_step;", "did you mean optimiser.warmup_steps?")),
        ("lr=1", ("lr;", "did you mean optimiser.lr?")),
        ("training=5", ("training is a group of settings", "5")),
        ("training.steps=many", ("training.steps", "integer", "'many'")),
        ("training.steps=1.5", ("training.steps", "integer", "1.5")),
        ("training.steps=0", ("training.steps", "at least 1", "got 0")),
        ("training.seed=9223372036854775808", ("training.seed", "63 bits", "9223372036854775808")),
        ("training.ema=1", ("training.ema", "below 1", "got 1")),
        ("optimiser.lr=fast", ("optimiser.lr", "number", "'fast'")),
        ("optimiser.lr=0", ("optimiser.lr", "above 0", "got 0")),
        ("optimiser.mapping_lr=0", ("optimiser.mapping_lr", "above 0", "got 0")),
        ("optimiser.lr=.nan", ("optimiser.lr", "finite", "nan")),
        ("optimiser.weight_decay=.inf", ("optimiser.weight_decay", "finite", "inf")),
        ("optimiser.clip_norm=.nan", ("optimiser.clip_norm", "above 0", "nan")),
        ("optimiser.betas=[0.9, 1]", ("optimiser.betas.1", "below 1", "got 1")),
        ("optimiser.betas=[0.9]", ("optimiser.betas.1", "0.9")),
        ("optimiser.betas=0.9", ("optimiser.betas", "tuple", "0.9")),
        ("optimiser.name=sgd", ("optimiser.name", "'adam' or 'adamw'", "'sgd'")),
        ("optimiser.clip_norm=-1", ("optimiser.clip_norm", "above 0", "-1")),
        ("optimiser.warmup_steps=-1", ("optimiser.warmup_steps", "at least 0", "-1")),
        ("data.flip=2", ("data.flip", "at most 1", "got 2")),
        ("data.workers=-1", ("data.workers", "at least 0", "-1")),
        ("data.workers=257", ("data.workers", "at most 256", "257")),
        ("data.name=", ("data.name", "string", "None")),
        ("perceptual.features=resnet", ("perceptual.features", "'vgg16', 'alexnet' or 'random'", "'resnet'")),
        ("perceptual.resize=8", ("perceptual.resize", "at least 32", "got 8")),
        ("thickness.start=0", ("thickness.start", "above 0", "got 0")),
        ("thickness.hold=0.9", ("thickness.hold", "until", "0.6", "0.9")),
        ("model.num_keypoints=1", ("model.num_keypoints", "at least 2", "got 1")),
        ("model.mask_grid=24", ("model.mask_grid", "image_size", "128", "24")),
        ("model={detector: features, features_maps: 9}", ("model.features_maps", "from 3 to 4 for vgg16", "9")),
        ("model.fit=zoom", ("model.fit", "'crop', 'pad' or 'stretch'", "'zoom'")),
    ],
)
def test_a_wrong_setting_names_the_field_and_the_value(setting, mentions):
    assert_refused(GraphRunConfig, setting, mentions)


def test_the_processes_that_read_are_a_number_or_as_the_device_has_it():
    assert GraphRunConfig().data.workers is None
    assert [changed(f"data.workers={number}").data.workers for number in ("0", "4", "null")] == [0, 4, None]


def test_all_wrong_settings_are_named_at_once():
    with pytest.raises(ValueError, match=r"model\.width .*; data\.flip "):
        changed("model.width=wide", "data.flip=often")


def test_merge_goes_into_groups_and_leaves_its_arguments():
    base = {"model": {"width": 1, "fit": "crop"}, "data": {"name": "a"}}
    assert merge(base, {"model": {"width": 2}, "data": None}) == {"model": {"width": 2, "fit": "crop"}, "data": None}
    assert base == {"model": {"width": 1, "fit": "crop"}, "data": {"name": "a"}}


def test_a_changed_configuration_comes_back_from_its_yaml():
    config = GraphRunConfig(
        model=AutoLinkConfig(num_keypoints=9, decoder_width=0.125, fit="pad"),
        data=DataConfig(name="photos/a: b", root=Path("/data"), flip=0.5),
        perceptual=PerceptualConfig(features="random", resize=64),
        optimiser=OptimiserConfig(betas=(0.5, 0.75), lr=1e-9, clip_norm=1.0),
        thickness=ThicknessConfig(start=0.02),
    )
    text = to_yaml(config)
    assert build(GraphRunConfig, yaml.safe_load(text)) == config
    assert list(yaml.safe_load(text)) == list(to_dict(config)) == [*GraphRunConfig.__dataclass_fields__]


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
        (TransferRunConfig, {"weights": {"discriminator_width": 1e6}}),
        (TransferRunConfig, {"progress": {"pictures": 10**12}}),
    ],
)
def test_every_size_has_a_bound(kind, values):
    (group,), (setting,) = values, next(iter(values.values()))
    with pytest.raises(ValueError, match=setting):
        build(kind, values)
    assert group in kind.__dataclass_fields__


@pytest.mark.parametrize("kind", get_args(RunKind))
def test_every_setting_is_described(kind):
    settings = settings_of(kind)
    assert [one.key for one in settings] == list(leaves(to_dict(RUN_CONFIGS[kind]())))
    for one in settings:
        text = one.description
        assert text.endswith(".") and text[0].isupper() and len(text) < 170 and one.type, one


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


def test_a_setting_has_its_type_its_default_and_its_bounds():
    settings = {one.key: one for one in settings_of("gan")}
    assert (settings["optimiser.lr"].type, settings["optimiser.lr"].bounds) == ("number", "above 0")
    assert settings["optimiser.mapping_lr"].default == 1e-6
    assert settings["optimiser.mapping_lr"].type == "number or null"
    assert settings["optimiser.betas"].bounds == "at least 0, below 1"
    assert settings["model.image_size"].bounds == "one of 64, 128, 256"
    assert settings["optimiser.name"].bounds == "adam or adamw"
    assert settings["data.name"].bounds == ""


def test_configurations_are_frozen_values():
    config = GanRunConfig()
    assert pickle.loads(pickle.dumps(config)) == config and hash(config) == hash(GanRunConfig())
    with pytest.raises(FrozenInstanceError):
        config.data.flip = 0.5  # type: ignore[misc]
    with pytest.raises(ValueError, match="flip must be at most 1, got 2"):
        replace(config.data, flip=2.0)
    assert asdict(config)["data"]["name"] == "puppets"


OLD_VALUES = [
    ("graph", {"loss": {"features": "random"}}, {"perceptual": {"features": "random"}}),
    ("gan", {"loss": {"gamma": 2.0, "structure": 1.0}}, {"adversarial": {"gamma": 2.0, "structure": 1.0}}),
    ("transfer", {"loss": {"squared": 0.5}, "adversarial": {"gamma": 2.0}},
     {"weights": {"squared": 0.5}, "adversarial": {"gamma": 2.0}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new"), OLD_VALUES)
def test_groups_may_have_their_names_of_old(kind, old, new, tmp_path):
    config = build(RUN_CONFIGS[kind], new)
    assert build(RUN_CONFIGS[kind], old) == config != RUN_CONFIGS[kind]()
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(old))
    assert read_recipe(kind, str(tmp_path / "mine.yaml")) == new
    assert Choices(settings=old).changes(kind) == new
    assert current_keys(kind, new) == new


def test_a_setting_by_both_names_must_be_one():
    with pytest.raises(ValueError, match=r"loss\.gamma.*adversarial\.gamma"):
        build(GanRunConfig, {"loss": {"gamma": 1.0}, "adversarial": {"gamma": 2.0}})
    with pytest.raises(ValueError, match=r"loss.*perceptual"):
        build(GraphRunConfig, {"loss": 1, "perceptual": {"resize": 64}})
    both = {"loss": {"gamma": 1.0}, "adversarial": {"gamma": 1.0, "augment": True}}
    assert build(GanRunConfig, both).adversarial.augment


def test_earlier_recipes_have_the_keys_of_today():
    found = [values for name in recipe_names("graph") for values in earlier_recipes("graph", name)]
    assert len(found) >= 2
    assert all(build(GraphRunConfig, values).perceptual.features == "alexnet" for values in found)


def test_the_root_is_a_path_and_is_written_as_text():
    config = build(GraphRunConfig, {"data": {"root": "/sets"}})
    assert config.data.root == Path("/sets")
    assert yaml.safe_load(to_yaml(config))["data"]["root"] == "/sets"


@pytest.mark.parametrize("kind", get_args(RunKind))
def test_a_dry_run_describes_every_setting_and_is_the_same_yaml(kind):
    values = {"data": {"name": "a: b\n# c", "classes": ["cat", "a, b"], "root": "/x" * 60}}
    config = build(RUN_CONFIGS[kind], values)
    text = explained_yaml(config)
    assert yaml.safe_load(text) == to_dict(config)
    assert all(len(line) <= 120 for line in text.splitlines() if "/x" not in line)
    words = " ".join(text.replace("#", "").split())
    assert [one.key for one in settings_of(kind) if " ".join(one.description.split()) not in words] == []
    assert all("#" in line for line in text.splitlines() if line.endswith(":"))
