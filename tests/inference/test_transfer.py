"""A transfer network in use: what moves, what is held, which source frame lends itself."""

import inspect
from itertools import count

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph, tiny_transfer

from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.inference.planning import Motion
from autolink_gen.inference.smoothing import Smoothing
from autolink_gen.inference.transfer import Animator, Transfer, load_transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.graph_analysis import cluster_labels

POSE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.5]])


def make(**changes) -> Transfer:
    graph = tiny_graph(sigma2=1e-2).prepare_for_inference()
    poses = torch.from_numpy(POSE).float().expand(4, -1, -1).contiguous()
    return tiny_transfer(graph, poses=poses, **changes)


@pytest.fixture
def told(monkeypatch) -> list[np.ndarray]:
    """Poses that the detector is made to find, one for each picture, in their order."""
    poses: list[np.ndarray] = []

    def detect(self, images):
        return torch.from_numpy(np.stack([poses.pop(0) for _ in images])).float()

    def detect_with_widths(self, images):
        return detect(self, images), torch.full((len(images), 3), 0.4)

    monkeypatch.setattr(AutoLink, "detect", detect)
    monkeypatch.setattr(AutoLink, "detect_with_widths", detect_with_widths)
    return poses


def frames(number: int, *, index: int = 0) -> list[np.ndarray]:
    pictures, _ = puppet_clip(0, index, num_frames=number, size=64)
    return list(pictures)


def test_frames_come_out_one_for_one_and_not_before_they_are_needed():
    transfer, taken = make(), []

    def endless():
        for number in count():
            taken.append(number)
            yield frames(1, index=number % 3)[0]

    painted = transfer.animate(frames(1)[0], endless(), batch_size=2)
    first = [next(painted) for _ in range(3)]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture in first)
    assert taken == [0, 1, 2, 3]


def test_batches_change_nothing_but_speed():
    transfer, driver = make(all_scales=True, warps=True), frames(5, index=1)
    one, many = (list(transfer.animate(frames(1)[0], driver, batch_size=size)) for size in (1, 5))
    assert np.abs(np.stack(one).astype(int) - np.stack(many)).max() <= 1


def test_pictures_of_any_shape_are_taken():
    wide = np.zeros((90, 160, 3), np.uint8)
    wide[20:60, 40:90] = 200
    (picture,) = make().animate(wide, [np.zeros((200, 120, 3), np.uint8)])
    assert picture.shape == (64, 64, 3)


def test_what_is_kept_of_the_source_is_as_sharp_as_the_source():
    transfer, driver = make(warps=True), frames(1)
    torch.nn.init.constant_(transfer.network.decoder.head.bias.data[3:4], 20.0)  # nothing but the moved source
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255  # too narrow for 64 pixels
    (fine,) = transfer.animate(stripes, [stripes], size=256)
    assert np.abs(fine.astype(int) - stripes).mean() < 8
    (coarse,) = transfer.animate(stripes, [stripes], size=64)
    assert coarse.shape == (64, 64, 3) and coarse.std() < 40 < fine.std()
    (own,) = make().animate(stripes, driver, size=256)  # nothing is moved: as large as the network paints
    assert own.shape == (64, 64, 3)


def test_absolute_and_relative_motion(told):
    source, first = POSE * 0.8, POSE + 0.1
    second = first.copy()
    second[0] += 0.2
    asked = {}
    for name, motion in {"absolute": Motion(relative=False), "relative": Motion()}.items():
        told[:] = [source, first, second]
        animator = Animator(make(), frames(1), motion)
        asked[name] = [frame.keypoints for frame in animator([(0.0, frames(1)[0]), (0.04, frames(1)[0])])]
    assert np.allclose(asked["absolute"], [first, second], atol=1e-6)
    assert np.allclose(asked["relative"][0], source, atol=1e-6)
    assert np.allclose(asked["relative"][1] - source, second - first, atol=1e-6)


def test_a_reference_frame_other_than_the_first(told):
    told[:] = [POSE, POSE + 0.3]
    animator = Animator(make(), frames(1), Motion(reference=POSE + 0.3))
    (frame,) = animator([(0.0, frames(1)[0])])
    assert np.allclose(frame.keypoints, POSE, atol=1e-6)


def test_a_pose_that_cannot_be_made_out_is_held(told):
    told[:] = [POSE, POSE + 0.1, POSE * 0.01, np.full((3, 2), np.nan), POSE]
    animator = Animator(make(), frames(1), Motion(relative=False))
    found = animator([(0.04 * number, frames(1)[0]) for number in range(4)])
    assert [frame.held for frame in found] == [False, True, True, False]
    assert np.allclose(found[2].keypoints, POSE + 0.1, atol=1e-6)
    assert np.array_equal(found[1].pixels, found[0].pixels)


def test_the_source_frame_in_the_nearest_pose_lends_itself(told):
    turned = POSE * (-1, 1)
    told[:] = [POSE, turned, POSE, turned, 0.45 * POSE + 0.55 * turned, POSE]
    animator = Animator(make(), frames(2), Motion(relative=False))
    found = animator([(0.04 * number, frames(1)[0]) for number in range(4)])
    assert [frame.source for frame in found] == [0, 1, 1, 0], "and it does not change for a trifle"


@pytest.mark.parametrize("motion", [Motion(), Motion(adapt_scale=True), Motion(relative=False, adapt_scale=True)])
def test_a_keypoint_that_was_left_out_of_the_graph_changes_nothing(told, motion):
    less = make(all_scales=True, warps=True, source_edges=True)
    less = Transfer(less.graph.without_keypoints([1]), less.network, less.labels, less.poses)
    painted = []
    for place in ([0.5, -0.5], [0.0, 0.1], [9.0, -9.0]):
        poses = [POSE, POSE * (-1, 1), POSE * 1.5, 0.45 * POSE + 0.55 * POSE * (-1, 1), POSE * 0.01]
        told[:] = [np.stack([pose[0], place, pose[2]]) for pose in poses]
        painted.append(Animator(less, frames(2), motion)([(0.04 * number, frames(1)[0]) for number in range(3)]))
    for one, *others in zip(*painted, strict=True):
        assert all((one.source, one.held) == (other.source, other.held) for other in others)
        assert all(np.abs(one.pixels.astype(int) - other.pixels).max() <= 1 for other in others)


def test_channels_are_of_clusters_of_what_is_left_of_the_graph():
    graph = make().graph.without_keypoints([0])
    assert cluster_labels(graph.edge_weights, 2).tolist() == [0, 0, 1]
    with raises_mentioning(ValueError, "keypoints", 1, 2, 3):
        cluster_labels(graph.edge_weights, 3)


def test_smoothing_follows_the_times(told):
    told[:] = [POSE, POSE, POSE + 0.1]
    animator = Animator(make(), frames(1), Motion(relative=False, smooth=Smoothing()))
    first, second = animator([(0.0, frames(1)[0]), (0.04, frames(1)[0])])
    moved = (second.keypoints - first.keypoints).mean()
    assert 0 < moved < 0.1


def test_a_median_looks_ahead_and_leaves_lost_poses_out(told):
    places = [0.0, 0.0, 0.9, 0.0, None, 0.1, 0.1]  # a jump, and a frame without a pose
    told[:] = [POSE, *(POSE * 0.01 if place is None else POSE + place for place in places)]
    animator = Animator(make(), frames(1), Motion(relative=False, smooth=Smoothing("median", 3)))
    found = animator([(0.04 * number, frames(1)[0]) for number in range(len(places))])
    assert [frame.held for frame in found] == [False] * 4 + [True] + [False] * 2
    expected = [0.0, 0.0, 0.0, 0.45, 0.45, 0.1, 0.1]  # of two poses their mean; a held one is that before it
    assert np.allclose([(frame.keypoints - POSE).mean() for frame in found], expected, atol=1e-6)


@pytest.mark.parametrize("blank_first", [False, True])
def test_frames_of_one_colour_hold_the_pose_before(told, blank_first):
    source, seen, white = POSE * 0.8, frames(1)[0], np.full((64, 64, 3), 250, np.uint8)
    driver = [white, seen] if blank_first else [seen, white]
    told[:] = [source, *(POSE + 0.5 if pixels is white else POSE for pixels in driver)]
    animator = Animator(make(), frames(1), Motion())
    found = animator([(0.04 * number, pixels) for number, pixels in enumerate(driver)])
    assert [frame.held for frame in found] == [blank_first, not blank_first]
    assert all(np.allclose(frame.keypoints, source, atol=1e-6) for frame in found), "nothing has moved yet"


def test_a_source_that_shows_nothing_is_an_error():
    with raises_mentioning(ValueError, "colour", "object"):
        next(make().animate(np.full((80, 80, 3), 255, np.uint8), frames(1)))
    white, seen = np.full((64, 64, 3), 255, np.uint8), frames(1)[0]
    assert next(make().animate([white, seen], [seen])).shape == (64, 64, 3)


def test_no_source_is_an_error():
    with pytest.raises(ValueError, match="no source image"):
        next(iter(make().animate([], frames(1))))


def test_pictures_and_poses_of_another_range_are_refused():
    transfer, plain = make(), inspect.unwrap(Transfer.fit_images)  # unwrapped: types are checked in tests alone
    with pytest.raises(ValueError, match=r"must be uint8 arrays \(H, W, 3\), got float64"):
        plain(transfer, [frames(1)[0] / 255])
    seen = transfer.prepare_images(frames(1))
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], got values"):
        transfer.look_at(seen * 255)
    look = transfer.look_at(seen)
    with pytest.raises(ValueError, match=r"keypoints must be \(x, y\) in \[-1, 1\], got 60"):
        transfer.paint(torch.full((1, 3, 2), 60.0), look)


def test_what_was_saved_is_what_is_loaded(tmp_path):
    transfer = make(clusters=2, warps=True)
    save_transfer(tmp_path / "model.safetensors", transfer)
    loaded = load_transfer(tmp_path)
    assert torch.equal(loaded.labels, transfer.labels) and torch.equal(loaded.poses, transfer.poses)
    driver = frames(2, index=1)
    ours, theirs = (np.stack(list(net.animate(frames(1)[0], driver))) for net in (transfer, loaded))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("labels", [[0, 1, 2], [-1, 0, 1]])
def test_clusters_that_the_network_does_not_have_are_refused(tmp_path, labels):
    transfer = make(clusters=2, warps=True)
    count = len(transfer.labels)
    transfer.register_buffer("labels", torch.tensor((labels * count)[:count]))
    save_transfer(tmp_path / "model.safetensors", transfer)
    with raises_mentioning(ValueError, "clusters", "network"):
        load_transfer(tmp_path)
