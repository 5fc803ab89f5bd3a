"""The GAN's loop: it learns, resumes bit-equal, keeps its graph, measures itself, refuses what cannot work."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen import load_gan
from autolink_gen.config import AdversarialConfig, GanRunConfig, PoseConfig, build, default_gamma
from autolink_gen.inference.generate import Gan
from autolink_gen.losses.perceptual import RandomFeatures
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import Generator
from autolink_gen.training import gan_samples as gan_progress
from autolink_gen.training.adversary import Adversary
from autolink_gen.training.engine import Run
from autolink_gen.training.gan import other_poses, train_gan
from autolink_gen.training.launch import Launch
from autolink_gen.training.posed_images import PosedImages
from autolink_gen.training.saves import read_newest, step_folders

TINY = {
    "model": {"image_size": 64, "width": 0.02, "style_size": 8},
    "adversarial": {"penalty_every": 2},
    "optimiser": {"lr": 1e-3, "betas": (0.0, 0.99)},
    "training": {"steps": 6, "batch_size": 4, "ema": 0.9, "save_every": 3, "grid_every": 6, "log_every": 1},
    "progress": {"pictures": 8},
}


def tiny(**changes) -> GanRunConfig:
    merged = {name: {**TINY.get(name, {}), **changes.get(name, {})} for name in {*TINY, *changes}}
    return build(GanRunConfig, merged)


def launch(folder: Path, **changes) -> Launch:
    return Launch(folder=folder, **{"devices": 1, "progress": False, **changes})


def make_graph(seed: int = 0, **changes) -> AutoLink:
    return tiny_graph(seed=seed, **{"sigma2": 1e-2, **changes})


@pytest.fixture(autouse=True)
def small_features(monkeypatch):
    """The distance to real pictures without VGG16's weights."""
    network = RandomFeatures()

    def extract(pictures):
        return network(pictures)[-1].mean(dim=(2, 3))

    monkeypatch.setattr(gan_progress, "vgg16_features", lambda: extract)


def state_of(run: Run) -> dict[str, torch.Tensor]:
    weights, state = read_newest(run.checkpoints)
    found = {**weights, "rng": state["rng"]}
    found |= {f"average.{name}": value for name, value in state["average"].items()}
    for optimiser in ("optimiser", "critic_optimiser"):
        for index, values in state[optimiser]["state"].items():
            found |= {f"{optimiser}.{index}.{name}": value for name, value in values.items()}
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        network = RandomFeatures()
        patch.setattr(gan_progress, "vgg16_features", lambda: lambda x: network(x)[-1].mean(dim=(2, 3)))
        return train_gan(tiny(), make_graph(), launch(tmp_path_factory.mktemp("straight") / "run"))


def test_what_a_run_leaves(straight):
    folder = straight.folder
    assert [path.name for path in step_folders(folder / "checkpoints")] == ["step-00000003", "step-00000006"]
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "model.safetensors", "grid.png", "graph.safetensors"} <= names
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all({"loss", "critic_loss", "real_logit", "fake_logit", "gradient_penalty"} <= row.keys() for row in rows)
    grid = np.asarray(Image.open(folder / "samples" / "step-00000006.png"))
    assert grid.shape[:2] == (4 + 7 * 132, 4 + 8 * 132)
    assert not list(folder.rglob("*.tmp"))


def test_the_curve_of_distances_and_its_two_marks(straight):
    values = json.loads((straight.folder / "fd_vgg16.json").read_text())
    assert [row["step"] for row in values["curve"]] == [3, 6]
    assert values["pictures"] == 8
    assert 0 <= values["training_pictures"] < values["untrained"]
    assert all(row["fd_vgg16"] > 0 for row in values["curve"])
    assert (straight.folder / "fd_vgg16.png").is_file()
    best = min(values["curve"], key=lambda row: row["fd_vgg16"])["step"]
    assert straight.progress.best_step == best


def test_the_mapping_learns_at_its_own_rate(tmp_path):
    slow = {"optimiser": {"mapping_lr": 1e-9}, "training": {"steps": 2}, "progress": {"pictures": 0}}
    run = train_gan(tiny(**slow), make_graph(), launch(tmp_path / "run"))
    assert [group["lr"] for group in run.optimiser.param_groups] == [1e-3, 1e-9]
    first = train_gan(tiny(**{**slow, "training": {"steps": 1}}), make_graph(), launch(tmp_path / "first"))
    later = dict(run.model.named_parameters())
    for name, weight in first.model.named_parameters():
        moved = (weight - later[name]).abs().max() > 1e-7
        assert moved != ("mapping." in name), name


def test_the_weights_to_use_are_the_average_with_the_graph(straight):
    gan = load_gan(straight.folder)
    average = straight.average.module.state_dict()
    used = gan.generator.state_dict()
    assert all(torch.equal(average[name], used[name]) for name in used)
    assert torch.equal(gan.graph.raw_edge_weights, make_graph().raw_edge_weights)
    assert gan.poses.shape == (8, 3, 2)


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_stopped_run_goes_on_bit_equal(straight, tmp_path, monkeypatch, at):
    plain, done = Run.update, []

    def update(self, loss, **kwargs):
        if self.progress.step == at - 1 and not done:
            done.append(os.kill(os.getpid(), signal.SIGTERM))
        return plain(self, loss, **kwargs)

    monkeypatch.setattr(Run, "update", update)
    first = train_gan(tiny(), make_graph(), launch(tmp_path / "run"))
    assert (first.progress.step, first.stopped_by) == (at, "SIGTERM")
    torch.rand(7)  # whatever happens in between
    second = train_gan(tiny(), make_graph(), launch(tmp_path / "run"))
    assert second.progress.step == 6
    curves = [json.loads((run.folder / "fd_vgg16.json").read_text()) for run in (straight, second)]
    assert curves[0]["untrained"] == curves[1]["untrained"] is not None
    expected, found = state_of(straight), state_of(second)
    assert {name.partition(".")[0] for name in expected} >= {"critic", "average", "optimiser", "critic_optimiser"}
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    curve = json.loads((tmp_path / "run" / "fd_vgg16.json").read_text())["curve"]
    assert [row["step"] for row in curve][-1] == 6 and len({row["step"] for row in curve}) == len(curve)


def test_another_graph_is_refused_and_the_run_s_own_is_kept(straight):
    with pytest.raises(ValueError, match="stands on another graph"):
        train_gan(tiny(), make_graph(seed=1), launch(straight.folder))
    kept = load_gan(straight.folder).graph
    assert torch.equal(kept.raw_edge_weights, make_graph().raw_edge_weights)


def test_a_graph_of_another_size_is_refused(tmp_path):
    with raises_mentioning(ValueError, "graph", "learned", 128, 64):
        train_gan(tiny(), make_graph(image_size=128), launch(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_three_pictures_are_too_few(tmp_path):
    (tmp_path / "few").mkdir()
    for index in range(3):
        Image.new("RGB", (64, 64), (60 * index, 90, 200)).save(tmp_path / "few" / f"{index}.png")
    with raises_mentioning(ValueError, ("3 pictures", "3 images"), "few", 8):
        train_gan(tiny(data={"name": str(tmp_path / "few")}), make_graph(), launch(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_steps_without_finite_losses_are_skipped_and_end_the_run(tmp_path, monkeypatch, guard):
    monkeypatch.setattr(Adversary, "generator_loss", lambda self, *, fake, **_: fake.images.mean() * float("nan"))
    with raises_mentioning(ValueError, "3 steps", "loss", "no save"):
        train_gan(tiny(training={"max_bad_steps": 3}), make_graph(), launch(tmp_path / "run"))


def test_a_gan_on_eight_pictures_overfits(tmp_path):
    """Eight pictures of two flat colours: what it paints comes near one of the two, nearer than between them."""
    (tmp_path / "eight").mkdir()
    colours = np.array([[220, 40, 40], [40, 40, 220]] * 4)
    for index, colour in enumerate(colours):
        Image.new("RGB", (64, 64), tuple(int(c) for c in colour)).save(tmp_path / "eight" / f"{index}.png")
    config = tiny(
        model={"width": 0.05},
        data={"name": str(tmp_path / "eight")},
        optimiser={"lr": 1e-3},
        adversarial={"gamma": 2.0},
        training={"steps": 60, "batch_size": 4, "save_every": 60, "ema": 0.9},
        progress={"pictures": 0},
    )
    run = train_gan(config, make_graph(), launch(tmp_path / "run"))
    gan = load_gan(run.folder)

    def distance(gan: Gan) -> float:
        z = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
        painted = gan.generate(gan.poses, z).numpy().transpose(0, 2, 3, 1) * 255
        return np.abs(painted[:, None] - colours[:, None, None]).mean(axis=(2, 3, 4)).min(axis=1).mean()

    torch.manual_seed(1)
    untrained = Gan(gan.graph, Generator(config.model), gan.poses)
    between = np.abs(colours - colours.mean(0)).mean()
    assert distance(gan) < min(0.75 * between, distance(untrained) / 2)


def drawn(images: torch.Tensor, edge_map: torch.Tensor) -> PosedImages:
    return PosedImages(images, torch.zeros(len(images), 3, 2), edge_map)


def test_the_penalty_joins_the_loss_lazily_with_its_factor():
    torch.manual_seed(0)
    config = tiny().model
    real, fake, maps = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    adversary = Adversary(Discriminator(config), AdversarialConfig(penalty_every=4), gamma=3.0)
    real, fake = drawn(real, maps), drawn(fake, maps)
    without = adversary(real=real, fake=fake, penalise=False)
    with_it = adversary(real=real, fake=fake, penalise=True)
    assert without.penalty == 0
    assert with_it.penalty > 0
    assert with_it.loss.item() == pytest.approx((without.loss + 3.0 / 2 * 4 * with_it.penalty).item())


def test_the_penalty_is_that_of_images_from_minus_one_to_one():
    """What gamma is meant for: of images in [0, 1] the squared gradient is four times as large."""

    class Linear(Discriminator):
        def forward(self, images, edge_maps=None):
            return 0.5 * images.sum((1, 2, 3))

    real, maps = torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    adversary = Adversary(Linear(tiny().model), AdversarialConfig(), gamma=1.0)
    losses = adversary(real=drawn(real, maps), fake=drawn(1 - real, maps), penalise=True)
    assert losses.penalty.item() == pytest.approx(0.25 * 3 * 8 * 8)


def test_the_relativistic_loss_penalises_both_sides():
    torch.manual_seed(0)
    network = Discriminator(tiny().model)
    real, fake, maps = torch.rand(2, 3, 64, 64) / 2 + 0.5, torch.rand(2, 3, 64, 64) / 2, torch.rand(2, 1, 64, 64)
    one, both = (
        Adversary(network, AdversarialConfig(relativistic=switch), gamma=1.0)(
            real=drawn(real, maps), fake=drawn(fake, maps), penalise=True
        )
        for switch in (False, True)
    )
    assert both.penalty > one.penalty


def test_real_pictures_beside_another_s_edges_count_as_painted():
    """Half of them are: two fakes that differ there alone are the same to the discriminator's loss."""
    torch.manual_seed(0)
    adversary = Adversary(Discriminator(tiny().model), AdversarialConfig(mismatched=0.5), gamma=1.0)
    real, fake, maps = torch.rand(4, 3, 64, 64), torch.rand(4, 3, 64, 64), torch.rand(4, 1, 64, 64)
    swapped, other = torch.cat([real[:2], fake[2:]]), torch.cat([fake[:2], 1 - fake[2:]])

    def loss_of(painted: torch.Tensor) -> torch.Tensor:
        return adversary(real=drawn(real, maps), fake=drawn(painted, maps.flip(0)), penalise=False).loss

    assert loss_of(swapped) == loss_of(fake)
    assert loss_of(other) != loss_of(fake)


def test_the_structure_loss_reaches_the_generator_and_leaves_the_graph(tmp_path):
    graph = make_graph()
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    runs = []
    for weight in (0.0, 100.0):
        config = tiny(
            adversarial={"structure": weight}, training={"steps": 2, "save_every": 2}, progress={"pictures": 0}
        )
        runs.append(train_gan(config, graph, launch(tmp_path / f"run-{weight}")))
    assert "structure" not in runs[0].metrics
    assert runs[1].metrics["structure"] > 0
    assert any((one != other).any() for one, other in zip(*(run.model.parameters() for run in runs), strict=True))
    assert all(torch.equal(before[name], value) for name, value in graph.state_dict().items())


def test_the_generator_s_loss_moves_the_generator_alone():
    adversary = Adversary(Discriminator(tiny().model), AdversarialConfig(), gamma=1.0)
    fake = torch.rand(2, 3, 64, 64, requires_grad=True)
    maps = torch.rand(2, 1, 64, 64)
    adversary.generator_loss(fake=drawn(fake, maps), real=drawn(fake.detach(), maps), seed=0).backward()
    assert fake.grad.abs().max() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.parameters())


@pytest.mark.parametrize("changes", [{"augment": True}, {"relativistic": True}, {"mismatched": 0.5, "structure": 1.0}])
def test_the_switches_train(tmp_path, changes):
    config = tiny(
        adversarial=changes, pose={"moved_share": 0.5}, training={"steps": 2, "save_every": 2}, progress={"pictures": 0}
    )
    run = train_gan(config, make_graph(), launch(tmp_path / "run"))
    assert run.progress.step == 2 and run.progress.skipped_steps == 0


def test_poses_are_other_pictures_mixed_and_jittered():
    keypoints = torch.arange(8.0).view(8, 1, 1).expand(8, 3, 2).contiguous()
    plain = other_poses(keypoints, PoseConfig(0.0, 0.0, 0.0), generator=torch.Generator().manual_seed(0))
    assert sorted(plain[:, 0, 0].tolist()) == list(range(8))
    assert (plain != keypoints).all()
    mixed = other_poses(keypoints, PoseConfig(0.0, 0.0, 1.0), generator=torch.Generator().manual_seed(0))
    assert ((mixed != mixed.round()).sum() > 10) and (mixed[:, :1] == mixed).all()
    jittered = other_poses(keypoints, PoseConfig(1.0, 0.1, 0.0), generator=torch.Generator().manual_seed(0))
    assert 0.05 < (jittered - plain).std() < 0.2


def test_the_penalty_s_weight_keeps_its_effect_at_every_size():
    """A linear critic of the mean picture: four times the pixels, a quarter of the squared gradient."""
    assert default_gamma(64) == pytest.approx(0.2)
    for size in (128, 256):
        assert default_gamma(size) / size**2 == pytest.approx(default_gamma(64) / 64**2)


def test_an_unmeasured_run_still_trains(tmp_path, monkeypatch, caplog):
    def none_there():
        raise ValueError("no weights in any of five places")

    monkeypatch.setattr(gan_progress, "vgg16_features", none_there)
    run = train_gan(tiny(training={"steps": 2}), make_graph(), launch(tmp_path / "run"))
    assert run.progress.step == 2
    assert "no weights in any of five places" in caplog.text
    assert not (run.folder / "fd_vgg16.json").exists()


def test_more_steps_go_on(straight, tmp_path):
    folder = tmp_path / "run"
    train_gan(tiny(training={"steps": 3}), make_graph(), launch(folder))
    longer = train_gan(replace(tiny()), make_graph(), launch(folder))
    expected, found = state_of(straight), state_of(longer)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_paper_s_networks_take_a_step_on_a_cpu():
    """Full width at 128 pixels, R1 included: both networks move, and nothing becomes infinite."""
    config = GanRunConfig()
    generator = Generator(config.model)
    adversary = Adversary(Discriminator(config.model), config.adversarial, gamma=default_gamma(128))
    real, maps, z = torch.rand(1, 3, 128, 128), torch.rand(1, 1, 128, 128), torch.randn(1, 256)
    real, fake = drawn(real, maps), drawn((generator(maps, z) + 1) / 2, maps)
    adversary(real=real, fake=fake, penalise=True).loss.backward()
    adversary.generator_loss(fake=fake, real=real, seed=0).backward()
    for network in (generator, adversary):
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in network.parameters()])
        assert 0 < norm < torch.inf
