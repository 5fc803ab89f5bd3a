"""What keypoints tell of colours and classes, where it is known what they tell."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

from autolink_gen.data.source import open_source
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.evaluation.leak import AppearanceLeak, appearance_leak
from autolink_gen.evaluation.leak_samples import samples_of_images, samples_of_puppets
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.ranges import unit_images


def poses(count: int, *, num_keypoints: int = 4, seed: int = 0) -> ndarray:
    return np.random.default_rng(seed).uniform(-0.8, 0.8, (count, num_keypoints, 2))


def colours_of(keypoints: ndarray, *, noise: float = 0.0) -> ndarray:
    """Colours in [0, 1] that are a mix of coordinates, but for some noise."""
    rng = np.random.default_rng(7)
    flat = keypoints.reshape(len(keypoints), -1)
    mixed = flat @ rng.normal(size=(flat.shape[1], 3))
    return 0.5 + 0.1 * (mixed / mixed.std(axis=0) + noise * rng.normal(size=mixed.shape))


@pytest.mark.parametrize("num_keypoints", [2, 8])
def test_a_linear_leak_is_found_whole(num_keypoints: int) -> None:
    keypoints = poses(200, num_keypoints=num_keypoints)
    found = appearance_leak(keypoints, colours_of(keypoints))
    assert found.appearance_leak > 0.999
    assert -0.1 < found.appearance_leak_shuffled < 0.03
    assert found.appearance_leak_pictures == 200 and found.class_leak is None


def test_half_of_the_variance_is_half() -> None:
    keypoints = poses(1000)
    assert appearance_leak(keypoints, colours_of(keypoints, noise=1.0)).appearance_leak == pytest.approx(0.5, abs=0.05)


def test_independent_keypoints_tell_nothing() -> None:
    found = appearance_leak(poses(300), np.random.default_rng(1).random((300, 3)))
    assert abs(found.appearance_leak) < 0.05 and abs(found.appearance_leak_shuffled) < 0.05


@pytest.mark.parametrize("trembling", [0.0, 1e-8])
def test_keypoints_that_stay_tell_nothing(trembling: float) -> None:
    colours = np.random.default_rng(1).random((50, 3))
    keypoints = 0.3 + trembling * colours[:, :2].reshape(50, 1, 2)
    assert appearance_leak(keypoints, colours).appearance_leak == pytest.approx(0, abs=1e-9)


def test_a_small_movement_tells_as_much_as_a_large_one() -> None:
    keypoints = poses(200)
    small = 0.2 + 1e-3 * keypoints
    assert appearance_leak(small, colours_of(keypoints)).appearance_leak > 0.999


def test_fewer_pictures_than_numbers_give_no_nonsense() -> None:
    colours = np.random.default_rng(1).random((20, 3))
    found = appearance_leak(poses(20, num_keypoints=32), colours)
    assert -0.5 < found.appearance_leak < 0.3 and -0.5 < found.appearance_leak_shuffled < 0.3


def test_one_colour_leaves_nothing_to_tell() -> None:
    assert appearance_leak(poses(30), np.full((30, 3), 0.4)).appearance_leak == 0


def test_persons_that_are_known_tell_nothing_of_others() -> None:
    """Each person has a shape and a colour that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(12), 20)
    keypoints = poses(12, num_keypoints=16)[person] + 0.01 * rng.normal(size=(240, 16, 2))
    colours = rng.random((12, 3))[person]
    assert appearance_leak(keypoints, colours).appearance_leak > 0.9
    apart = appearance_leak(keypoints, colours, groups=[f"person {number}" for number in person])
    assert apart.appearance_leak < 0.2


def test_classes_are_told_where_poses_differ() -> None:
    classes = ["cat"] * 60 + ["dog"] * 30 + ["wild"] * 10
    keypoints = poses(100) * 0.1
    moved = {"cat": (0.5, 0), "dog": (-0.5, 0), "wild": (0, 0.7)}
    told = appearance_leak(keypoints + [[moved[name]] for name in classes], poses(100)[:, :3, 0], classes=classes)
    assert told.class_leak is not None and told.class_leak > 0.98
    assert told.class_share == 0.6 and told.class_leak_shuffled == pytest.approx(0.6, abs=0.1)
    same = appearance_leak(keypoints, poses(100)[:, :3, 0], classes=classes)
    assert same.class_leak == pytest.approx(0.6, abs=0.06)
    assert set(told.to_dict()) == set(AppearanceLeak.__dataclass_fields__)


def test_the_same_pictures_give_the_same_numbers() -> None:
    keypoints, colours = poses(40), np.random.default_rng(1).random((40, 3))
    assert appearance_leak(keypoints, colours) == appearance_leak(keypoints, colours)
    assert appearance_leak(keypoints, colours, seed=1) != appearance_leak(keypoints, colours)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": poses(9), "colours": np.zeros((9, 3))}, "keypoints are of 9 images; give 10"),
        ({"colours": np.zeros((19, 3))}, r"colours has the shape \(19, 3\)"),
        ({"groups": ["one", "other"] * 10}, "groups names 2 groups"),
        ({"classes": ["cat"] * 3}, "classes has 3 entries for 20 images"),
        ({"keypoints": np.full((20, 4, 2), np.nan)}, "keypoints .*not finite"),
    ],
)
def test_bad_input(changes: dict[str, object], message: str) -> None:
    given = {"keypoints": poses(20), "colours": np.zeros((20, 3)), **changes}
    with pytest.raises(ValueError, match=message):
        appearance_leak(given.pop("keypoints"), given.pop("colours"), **given)  # type: ignore[arg-type]


# ---- data sets ----


class Bright(AutoLink):
    """Two keypoints that are the mean of red and of green."""

    edge_weights = torch.ones(2, 2)

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def detect(self, images: torch.Tensor) -> torch.Tensor:
        means = unit_images(images).mean(dim=(2, 3))
        return torch.stack([means[:, :2], means[:, 1:]], dim=1)

    def detect_with_widths(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.detect(images), torch.ones(len(images), 2)


def write_pictures(folder: Path, count: int, *, seed: int = 0, bright: int = 0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        colour = rng.integers(bright, bright + 100, 3)
        Image.fromarray(np.full((32, 32, 3), colour, dtype=np.uint8)).save(folder / f"{number}.png")


def test_folders_of_a_set_are_classes(tmp_path: Path) -> None:
    for name, bright in (("cat", 0), ("dog", 150)):
        write_pictures(tmp_path / "animals" / name, 12, bright=bright)
    pictures = open_source(tmp_path / "animals").images(size=32)
    seen = samples_of_images(Bright(), pictures, source=open_source(tmp_path / "animals"))
    assert seen.classes == ("cat",) * 12 + ("dog",) * 12 and seen.groups is None
    assert seen.colours == pytest.approx(seen.keypoints[:, [0, 0, 1], [0, 1, 1]], abs=1e-3)
    leak = appearance_leak(seen.keypoints, seen.colours, classes=seen.classes)
    assert leak.appearance_leak > 0.99 and leak.class_leak == 1 and leak.class_share == 0.5
    chosen = open_source(tmp_path / "animals", classes=["dog", "cat"]).images(size=32)
    seen = samples_of_images(Bright(), chosen, source=open_source(tmp_path / "animals"), max_images=12)
    assert seen.classes == ("dog",) * 6 + ("cat",) * 6 and len(seen) == 12


def test_one_class_and_pictures_outside_of_classes_are_none(tmp_path: Path) -> None:
    write_pictures(tmp_path / "animals" / "cat", 12)
    animals = open_source(tmp_path / "animals")
    seen = samples_of_images(Bright(), animals.images(size=32), source=animals)
    assert seen.classes is None and seen.groups is None
    write_pictures(tmp_path / "mixed" / "dog", 12)
    Image.new("RGB", (32, 32)).save(tmp_path / "mixed" / "alone.png")
    mixed = open_source(tmp_path / "mixed")
    seen = samples_of_images(Bright(), mixed.images(size=32), source=mixed)
    assert seen.classes is None


def test_clips_of_a_set_are_groups(tmp_path: Path) -> None:
    for clip in range(6):
        write_pictures(tmp_path / "taichi" / f"clip{clip}", 3, seed=clip)
    pictures = open_source("taichi", root=tmp_path).images(size=32)
    seen = samples_of_images(Bright(), pictures, source=open_source("taichi"))
    assert seen.classes is None and seen.groups is not None and len(set(seen.groups)) == 6


def test_puppets_are_taken_from_both_parts() -> None:
    parts = [
        Annotations(poses(count, seed=count), np.zeros((count, 1, 2)), colours=np.full((count, 3), 0.01 * count))
        for count in (30, 10)
    ]
    seen = samples_of_puppets(*parts, max_images=20)
    assert seen.colours[:, 0].tolist() == [0.3] * 15 + [0.1] * 5
    assert (seen.keypoints[1] == parts[0].detected[2]).all()
    with pytest.raises(ValueError, match="no colours"):
        samples_of_puppets(Annotations(parts[0].detected, parts[0].true), parts[1])
