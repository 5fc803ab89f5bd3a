"""The puppets: reproducible, apart between splits, inside the picture, joints where the figure is drawn."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from autolink_gen.data.puppets import dataset as synthetic
from autolink_gen.data.puppets.dataset import BONES, JOINT_NAMES, Puppets, puppet_clip
from autolink_gen.data.puppets.drawing import Proportions, PuppetPose, draw_puppet, render_backdrop, skeleton


def _indices(*names: str) -> list[int]:
    return [JOINT_NAMES.index(name) for name in names]


@pytest.fixture(scope="module")
def joints() -> np.ndarray:
    """Joints of 300 puppets, (300, 13, 2)."""
    puppets = Puppets(image_size=32)
    return np.stack([puppets.annotated(index).joints for index in range(300)])


def test_bones_link_all_joints_and_mirror_each_other() -> None:
    mirror = [JOINT_NAMES.index(_other_side(name)) for name in JOINT_NAMES]
    undirected = {frozenset(bone) for bone in BONES}
    reached = {0}
    for _ in JOINT_NAMES:
        reached |= {joint for bone in BONES if reached & set(bone) for joint in bone}

    assert len(JOINT_NAMES) == len(set(JOINT_NAMES)) == 13
    assert reached == set(range(13))
    assert len(undirected) == len(BONES)
    assert {frozenset((mirror[a], mirror[b])) for a, b in BONES} == undirected


def _other_side(name: str) -> str:
    if name.startswith("right"):
        return name.replace("right", "left")
    return name.replace("left", "right")


@pytest.mark.parametrize("size", [32, 64, 65, 128])
def test_sample_has_the_promised_shapes(size: int) -> None:
    puppets = Puppets(image_size=size, length=3)

    picture, sample = puppets[2], puppets.annotated(2)

    assert len(puppets) == 3
    assert picture.shape == (3, size, size) and picture.dtype == torch.uint8
    assert sample.image.shape == (size, size, 3) and sample.image.dtype == np.uint8
    assert sample.joints.shape == (13, 2) and sample.joints.dtype == np.float32
    assert np.array_equal(picture.permute(1, 2, 0).numpy(), sample.image)


def test_same_seed_and_index_give_the_same_puppet_whatever_the_global_generator() -> None:
    np.random.seed(0)
    first = Puppets(image_size=64, seed=3).annotated(7)
    np.random.seed(1)
    torch.manual_seed(1)
    other = Puppets(image_size=64, seed=3, length=8)
    other[0]
    second = other.annotated(7)

    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.joints, second.joints)


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    Puppets(image_size=32)[0]

    assert (torch.rand(1), np.random.rand()) == expected


def test_joints_do_not_hang_on_the_picture_size() -> None:
    small, large = (Puppets(image_size=size).annotated(4).joints for size in (32, 128))

    assert np.array_equal(small, large)


def test_splits_seeds_and_indices_never_share_a_puppet() -> None:
    sources = [Puppets(image_size=32, split="train"), Puppets(image_size=32, split="test")]
    sources += [Puppets(image_size=32, seed=1), Puppets(image_size=32, seed=1, split="test")]
    pictures = [source[index].numpy().tobytes() for source in sources for index in range(20)]

    assert len(set(pictures)) == len(pictures)


def test_negative_seeds_give_puppets_of_their_own() -> None:
    seeds = (-(2**63) + 1, -2, -1, 0, 1, 2, 2**32 - 1, 2**63 - 1)
    pictures = {Puppets(image_size=32, seed=seed)[0].numpy().tobytes() for seed in seeds}
    assert len(pictures) == len(seeds)
    assert torch.equal(Puppets(image_size=32, seed=-1)[3], Puppets(image_size=32, seed=-1)[3])
    clips = [puppet_clip(seed, 0, num_frames=2, size=32)[1] for seed in (-3, 3)]
    assert not np.allclose(*clips)


def test_the_joints_of_a_seed_stay_as_they_were() -> None:
    joints = Puppets(image_size=32, seed=7).annotated(2).joints
    assert joints[:2] == pytest.approx(np.array([[-0.295848, -0.819897], [-0.488602, -0.650957]]), abs=1e-5)


def test_figure_is_inside_and_large_enough(joints: np.ndarray) -> None:
    assert np.abs(joints).max() <= 0.92
    # Head centre to lowest ankle: 60 to 90 % of the picture, less the crown (about 11 %) and the sole (5 %).
    heights = (joints[:, _indices("right_ankle", "left_ankle"), 1].max(axis=1) - joints[:, 0, 1]) / 2
    assert heights.min() > 0.6 * 0.8
    assert heights.max() < 0.9


def test_puppets_face_the_viewer_and_lean_little(joints: np.ndarray) -> None:
    across = joints[:, _indices("left_shoulder", "left_hip")] - joints[:, _indices("right_shoulder", "right_hip")]
    spine = joints[:, _indices("right_shoulder", "left_shoulder")].mean(axis=1)
    spine = joints[:, _indices("right_hip", "left_hip")].mean(axis=1) - spine

    assert (across[..., 0] > 0).all()
    assert np.degrees(np.arctan2(np.abs(spine[:, 0]), spine[:, 1])).max() < 20


def test_arms_take_a_wide_range_of_poses(joints: np.ndarray) -> None:
    wrist, shoulder = (joints[:, JOINT_NAMES.index(f"right_{part}"), 1] for part in ("wrist", "shoulder"))

    raised = (wrist < shoulder).mean()
    assert 0.25 < raised < 0.75


def test_joints_lie_on_the_drawn_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 64
    puppets = Puppets(image_size=size)
    samples = [puppets.annotated(index) for index in range(60)]
    monkeypatch.setattr(synthetic, "draw_puppet", _draw_nothing)
    on_joints, shares = [], []
    for index, sample in enumerate(samples):
        empty = puppets.annotated(index).image
        drawn = np.abs(sample.image.astype(int) - empty.astype(int)).max(axis=2) > 8
        column, row = np.rint((sample.joints + 1) / 2 * (size - 1)).astype(int).T
        on_joints.append(drawn[row, column])
        shares.append(drawn.mean())

    # A pixel of a stripe, an eye or a rim may by chance have the backdrop's colour, so not quite every one.
    assert np.mean(on_joints) > 0.99
    assert min(shares) > 0.05
    assert max(shares) < 0.4


def _draw_nothing(backdrop: np.ndarray, *_: object, **__: object) -> np.ndarray:
    return backdrop


def test_drawing_leaves_the_backdrop_as_it_was() -> None:
    rng = np.random.default_rng(0)
    look, body = synthetic.sample_appearance(rng), synthetic.sample_proportions(rng)
    backdrop = render_backdrop(synthetic.sample_backdrop(rng, look), 32)
    before = backdrop.copy()

    picture = draw_puppet(
        backdrop, skeleton(body, synthetic.sample_pose(rng)), scale=1.0, proportions=body, appearance=look
    )

    assert np.array_equal(backdrop, before)
    assert not np.array_equal(picture, before)


def test_skeleton_by_hand() -> None:
    body = Proportions(
        head_radius=0.1, neck=0.02, shoulder_width=0.2, hip_width=0.14, torso=0.3, upper_arm=0.2,
        forearm=0.1, thigh=0.25, shin=0.2, arm_thickness=0.06, leg_thickness=0.08,
    )  # fmt: skip
    angles = dict.fromkeys((field.name for field in fields(PuppetPose)), 0.0)
    pose = PuppetPose(**{**angles, "sway": 0.01, "left_shoulder": 90.0, "left_elbow": 90.0})

    joints = dict(zip(JOINT_NAMES, skeleton(body, pose), strict=True))

    assert joints["head"] == pytest.approx((0.01, -0.42))
    assert joints["right_shoulder"] == pytest.approx((-0.09, -0.3))
    assert joints["right_wrist"] == pytest.approx((-0.09, 0.0))
    assert joints["left_elbow"] == pytest.approx((0.31, -0.3))
    assert joints["left_wrist"] == pytest.approx((0.31, -0.4))
    assert joints["right_hip"] == pytest.approx((-0.06, 0.0))
    assert joints["left_ankle"] == pytest.approx((0.08, 0.45))


def test_figure_stands_out_from_its_backdrop() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        look = synthetic.sample_appearance(rng)
        backdrop = synthetic.sample_backdrop(rng, look)
        wall = (np.array(backdrop.top) + np.array(backdrop.bottom)) / 2
        for color in (look.skin, look.shirt, look.trousers):
            assert np.abs(wall - color).max() > 25


def test_clip_moves_smoothly_and_stays_inside() -> None:
    frames, joints = puppet_clip(0, 1, num_frames=60, size=32)
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=2)
    accelerations = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=2)

    assert frames.shape == (60, 32, 32, 3) and frames.dtype == np.uint8
    assert joints.shape == (60, 13, 2) and joints.dtype == np.float32
    assert np.abs(joints).max() <= 0.92
    assert steps.max() < 0.12
    assert accelerations.max() < 0.03
    assert np.ptp(joints[:, _indices("right_wrist", "left_wrist")], axis=0).max() > 0.2


def test_clip_keeps_the_figure_and_the_backdrop() -> None:
    frames, joints = puppet_clip(0, 2, num_frames=20, size=64)
    starts, ends = np.array(BONES[6:]).T  # arms and legs: the trunk bends
    lengths = np.linalg.norm(joints[:, starts] - joints[:, ends], axis=2)
    still = (frames == frames[0]).all(axis=(0, 3))
    column, row = np.rint((joints[:, 0] + 1) / 2 * 63).astype(int).T
    head_colors = frames[np.arange(20), row, column].astype(int)

    assert lengths == pytest.approx(np.broadcast_to(lengths[0], lengths.shape), abs=1e-5)
    assert 0.4 < still.mean() < 0.95
    assert head_colors.std(axis=0).max() < 40


def test_clip_shows_the_puppet_of_the_same_index() -> None:
    frames, joints = puppet_clip(4, 6, num_frames=2, size=64, split="test")
    sample = Puppets(image_size=64, seed=4, split="test").annotated(6)

    # Poses differ, the backdrop does not, down to its noise.
    assert (frames[0] == sample.image).all(axis=2).mean() > 0.5
    assert _arm_to_leg(joints[0]) == pytest.approx(_arm_to_leg(sample.joints), rel=1e-4)


def _arm_to_leg(joints: np.ndarray) -> float:
    arm, leg = (_indices(*names) for names in (("right_elbow", "right_wrist"), ("right_knee", "right_ankle")))
    return float(np.linalg.norm(np.diff(joints[arm], axis=0)) / np.linalg.norm(np.diff(joints[leg], axis=0)))


def test_clips_are_reproducible() -> None:
    first, second = (puppet_clip(0, 3, num_frames=3, size=32) for _ in range(2))
    other = puppet_clip(0, 3, num_frames=3, size=32, split="test")

    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("index", [-1, 5, 100])
def test_index_out_of_range_names_the_range(index: int) -> None:
    with pytest.raises(IndexError, match=f"index={index}.*0 to 4"):
        Puppets(length=5)[index]


def test_a_loader_reads_all_of_it() -> None:
    batches = list(DataLoader(Puppets(image_size=32, length=3), batch_size=2))

    assert [len(batch) for batch in batches] == [2, 1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Puppets(image_size=8), "image_size=8.*32 to 512"),
        (lambda: Puppets(image_size=4096), "image_size=4096.*32 to 512"),
        (lambda: Puppets(length=0), "length=0.*1 or more"),
        (lambda: puppet_clip(0, 0, num_frames=0, size=64), "num_frames=0.*1 or more"),
        (lambda: puppet_clip(0, 0, num_frames=2, size=1000), "size=1000.*32 to 512"),
        (lambda: puppet_clip(0, -2, num_frames=2, size=64), "index=-2.*0 or more"),
    ],
)
def test_bad_arguments_say_what_to_give(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_unknown_split_is_refused() -> None:
    split: object = "validation"
    # beartype, where the tests install it, refuses the literal before the function's own check does.
    with pytest.raises(Exception, match="validation"):
        Puppets(split=split)  # type: ignore[arg-type]
