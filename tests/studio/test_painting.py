import json
import shlex
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.cli import run_cli
from helpers.messages import raises_mentioning
from helpers.tiny_train_gan import Squares
from PIL import Image

from autolink_gen.inference import generate
from autolink_gen.inference.generate import Gan, save_gan
from autolink_gen.inference.poses import seeded_styles
from autolink_gen.studio.painting import PaintingDesk, PaintRequest, StyleChoice, keypoints_json, rounded
from autolink_gen.viz.graphs import to_uint8

FOUND = (0.5, -0.25, 1.0, 0.125, -1.0, 0.0, 0.75, 0.3)


def _pose(desk: PaintingDesk) -> list[tuple[float, float]]:
    return desk.skeleton().poses[0]


def test_a_picture_is_the_one_that_the_gan_paints(desk: PaintingDesk, gan: Gan) -> None:
    pose = _pose(desk)
    painted = desk.paint(PaintRequest(pose, StyleChoice(seed=3, truncation=0.7)))
    expected = gan.generate(torch.tensor([pose]), seeded_styles([3], gan.style_size), truncation=0.7)
    assert (painted == to_uint8(expected)[0]).all()


def test_a_moved_point_changes_the_picture(desk: PaintingDesk) -> None:
    pose = _pose(desk)
    moved = [(-0.9, 0.9), *pose[1:]]
    assert (desk.paint(PaintRequest(pose)) != desk.paint(PaintRequest(moved))).any()


def test_fine_layers_have_the_second_style(desk: PaintingDesk, gan: Gan) -> None:
    pose = _pose(desk)
    first, second = (desk.paint(PaintRequest(pose, StyleChoice(seed))) for seed in (2, 5))
    mixes = [
        desk.paint(PaintRequest(pose, StyleChoice(2, second_seed=5, fine_layers=count)))
        for count in range(gan.num_layers + 1)
    ]
    assert (mixes[0] == first).all()
    assert (mixes[-1] == second).all()
    assert (mixes[1] != first).any()
    assert (mixes[1] != second).any()


def test_more_layers_than_there_are_are_refused(desk: PaintingDesk, gan: Gan) -> None:
    with raises_mentioning(ValueError, gan.num_layers):
        desk.paint(PaintRequest(_pose(desk), StyleChoice(fine_layers=gan.num_layers + 1)))


def test_another_number_of_keypoints_is_refused_by_name(desk: PaintingDesk) -> None:
    with raises_mentioning(ValueError, 2, 5):
        desk.paint(PaintRequest([(0.0, 0.0), (0.1, 0.1)]))


@pytest.mark.parametrize(
    "style",
    [
        StyleChoice(7, truncation=0.6),
        StyleChoice(0, second_seed=4, fine_layers=1),
        StyleChoice(3, second_seed=9, fine_layers=2, truncation=0.5),
        StyleChoice(found=FOUND, second_seed=9, fine_layers=1, truncation=0.5),
    ],
)
def test_the_command_beside_the_saved_keypoints_paints_the_same(
    gan: Gan, tmp_path: Path, style: StyleChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_gan(tmp_path / "runs" / "gan" / "tiny" / "model.safetensors", gan)
    desk = PaintingDesk(gan, name="runs/gan/tiny")
    pose = [(0.1234, -0.4321), *_pose(desk)[1:]]
    Path("keypoints.json").write_text(keypoints_json(pose))
    if style.found:
        Path("style.json").write_text(desk.style_file(style))
    program, *arguments = shlex.split(desk.command(style))
    assert program == "autolink-gen"
    run_cli(*arguments, "--device", "cpu")
    (file,) = Path("generated").glob("keypoints-*.png")
    difference = np.asarray(Image.open(file)).astype(int) - desk.paint(PaintRequest(pose, style))
    assert abs(difference).max() <= 1


def test_the_style_of_a_picture_is_the_one_that_inversion_finds(
    desk: PaintingDesk, gan: Gan, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "load_lpips", Squares)

    def three(items: Iterable[int], total: int, label: str) -> Iterable[int]:
        return islice(items, 3)

    square = desk.square(picture)
    found = desk.find_style(square, progress=three)
    keypoints = gan.graph.detect(square)
    expected = gan.invert(square, keypoints=keypoints, progress=three)
    assert torch.tensor([found.found]).equal(expected)
    assert not expected.allclose(gan.mean_style(), atol=1e-3)
    assert found.keypoints == rounded(keypoints[0].double().numpy())
    painted = desk.paint(PaintRequest(found.keypoints, StyleChoice(found=tuple(found.found))))
    assert abs(painted - to_uint8(gan.paint(keypoints, expected))[0].astype(int)).max() <= 1


def test_a_style_of_another_size_is_refused(desk: PaintingDesk) -> None:
    with raises_mentioning(ValueError, 3, 8):
        desk.paint(PaintRequest(_pose(desk), StyleChoice(found=(0.0, 1.0, 2.0))))


def test_a_gan_without_poses_begins_with_a_circle(gan: Gan) -> None:
    bare = Gan(gan.graph, gan.generator, torch.empty(0, 5, 2))
    (pose,) = PaintingDesk(bare, name="bare").skeleton().poses
    assert np.linalg.norm(pose, axis=1) == pytest.approx(0.8, abs=1e-3)


def test_the_skeleton_has_the_heaviest_edges_and_a_colour_for_each_point(desk: PaintingDesk) -> None:
    skeleton = desk.skeleton()
    assert {(i, j) for i, j, _ in skeleton.edges} == {(0, 1), (0, 2), (1, 2), (3, 4)}
    assert skeleton.edges[0][2] == 1
    assert len(set(skeleton.colours)) == 5
    assert skeleton.shown == [0, 1, 2, 3, 4]


def test_a_pose_for_a_page_lies_inside_the_picture() -> None:
    assert rounded(np.array([[-1.2, 0.123456], [0.5, 3.0]])) == [(-1.0, 0.1235), (0.5, 1.0)]


def test_saved_keypoints_are_those_that_were_painted_on() -> None:
    assert json.loads(keypoints_json([(0.25, -1.0)])) == {"keypoints": [[0.25, -1.0]]}
