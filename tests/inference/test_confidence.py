"""Drivers that fade in, leave or fade out: where movement starts, and what is held."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_graph, tiny_transfer
from PIL import Image
from torch import nn

from autolink_gen.data.puppets.dataset import JOINT_NAMES, puppet_clip
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.inference.confidence import Certainty, Judge, usual_width
from autolink_gen.inference.planning import Motion
from autolink_gen.inference.transfer import Animator, Transfer
from autolink_gen.inference.transfer_video import Look, transfer_video
from autolink_gen.ops.keypoints import soft_argmax

SIZE, NUM_FRAMES, FADE = 64, 20, 10
MARKED = {"head": (255, 0, 255), "right_wrist": (0, 255, 0), "left_ankle": (0, 0, 255)}


class Markers(nn.Module):
    """Heatmaps of three colours, which are the clearer the brighter these are, as a learned detector's are."""

    def forward(self, pictures):
        red, green, blue = ((pictures + 1) / 2).unbind(1)
        purer = [torch.minimum(red, blue) - green, green - torch.maximum(red, blue), blue - torch.maximum(red, green)]
        return 16 * nn.functional.avg_pool2d(torch.stack(purer, 1), 4)


class MarkerDetector(nn.Module):
    span = 1.0

    def __init__(self):
        super().__init__()
        self.heatmaps, self.keypoints = Markers(), soft_argmax

    def forward(self, pictures):
        return self.keypoints(self.heatmaps(pictures))


def marked_clip(index: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames of a puppet with three coloured patches, and where these are, in [-1, 1]."""
    frames, joints = puppet_clip(0, index, num_frames=NUM_FRAMES, size=SIZE)
    places = joints[:, [JOINT_NAMES.index(name) for name in MARKED]]
    marked = [frame.copy() for frame in frames]
    for frame, points in zip(marked, places, strict=True):
        for (x, y), colour in zip(((points + 1) / 2 * (SIZE - 1)).round().astype(int), MARKED.values(), strict=True):
            frame[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] = colour
    return marked, places


@pytest.fixture(scope="module")
def transfer() -> Transfer:
    graph = tiny_graph(image_size=SIZE, sigma2=1e-2).eval()
    graph.detector = MarkerDetector()
    poses = torch.from_numpy(np.concatenate([marked_clip(index)[1][::10] for index in range(4)]))
    return tiny_transfer(graph, poses=poses.float(), image_size=SIZE)


def fading_in(frames: list[np.ndarray]) -> list[np.ndarray]:
    return [(frame * min(1.0, number / FADE)).astype(np.uint8) for number, frame in enumerate(frames)]


def leaving(frames: list[np.ndarray]) -> list[np.ndarray]:
    """From the eighth frame on everything moves to the right, 8 pixels a frame, until only the border is left."""
    moved = []
    for number, frame in enumerate(frames):
        by = min(SIZE, max(0, 8 * (number - 7)))
        moved.append(np.concatenate([np.repeat(frame[:, :1], by, axis=1), frame[:, : SIZE - by]], axis=1))
    return moved


def animated(transfer: Transfer, frames: list[np.ndarray], *, usual: float | None = None):
    animator = Animator(transfer, marked_clip(5)[0][:1], Motion(), usual=usual)
    return animator, animator([(number / 25, frame) for number, frame in enumerate(frames)])


def known_width(transfer: Transfer, frames: list[np.ndarray]) -> float:
    return usual_width(
        transfer.detect_with_widths(marked_clip(5)[0][:1]).widths, transfer.detect_with_widths(frames[1::3]).widths
    )


@pytest.mark.parametrize("is_known", [False, True])
def test_movement_starts_where_a_driver_has_faded_in(transfer: Transfer, is_known: bool) -> None:
    clear, places = marked_clip(1)
    dark = fading_in(clear)
    usual = known_width(transfer, dark) if is_known else None
    animator, painted = animated(transfer, dark, usual=usual)

    assert animator.reference is not None
    first, time_s = animator.reference
    assert 4 <= first <= FADE and time_s == pytest.approx(first / 25)
    errors = np.linalg.norm(transfer.detect(dark) - places, axis=-1).mean(axis=1) / 2
    assert errors[first:].max() < 0.05 < errors[: first - 1].max(), "the pose is right from there on, and not before"
    assert [frame.held for frame in painted[:first]] == [True] * first and not any(f.held for f in painted[first:])
    assert all(np.array_equal(frame.keypoints, animator.source_poses[0]) for frame in painted[:first])
    wanted = animator.source_poses[0] + transfer.detect(clear) - transfer.detect(clear)[first]
    assert np.abs(np.stack([frame.keypoints for frame in painted[first:]]) - wanted[first:]).max() < 0.2
    assert max(np.abs(frame.keypoints).max() for frame in painted) < 1.3


def test_a_clear_driver_starts_with_its_first_frame_and_holds_nothing(transfer: Transfer) -> None:
    animator, painted = animated(transfer, marked_clip(1)[0])
    assert animator.reference == (0, 0.0) and not any(frame.held for frame in painted)


@pytest.mark.parametrize("leave", [leaving, lambda frames: fading_in(frames[::-1])[::-1]], ids=["moves", "fades"])
def test_the_pose_that_is_held_is_one_in_full_sight(transfer: Transfer, leave) -> None:
    frames = leave(marked_clip(1)[0])
    _, painted = animated(transfer, frames, usual=known_width(transfer, frames))

    lost = next(number for number, frame in enumerate(painted) if frame.held)
    assert all(frame.held for frame in painted[lost:]) and lost > 7
    held = painted[-1].keypoints
    usual = known_width(transfer, frames)
    judge = Judge(transfer.poses.numpy(), transfer.linked_indices, usual=usual)
    seen = enumerate(zip(*transfer.detect_with_widths(frames), frames, strict=True))
    sure = [at for at, (pose, width, pixels) in seen if judge(pose, width=width, pixels=pixels) == Certainty.SURE]
    assert np.array_equal(held, painted[max(number for number in sure if number < lost)].keypoints)
    assert all(np.array_equal(frame.keypoints, held) for frame in painted[lost:])


def test_the_report_names_the_frame_that_it_starts_from(transfer: Transfer, tmp_path: Path) -> None:
    for name, frames in {"driver": fading_in(marked_clip(1)[0]), "source": marked_clip(5)[0][:1]}.items():
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / name / f"{number:02}.png")
    driver, source = FrameStream(tmp_path / "driver"), FrameStream(tmp_path / "source" / "00.png")
    labels = []

    def progress(items, total, label):
        labels.append((label, total))
        return items

    plain = transfer_video(transfer, source, driver, tmp_path / "plain", look=Look(crop=False))
    assert plain.reference_frame in range(4, FADE + 1) and plain.held_frames == plain.reference_frame
    assert plain.reference_s == pytest.approx(plain.reference_frame / 25) and not plain.is_best_frame
    best = transfer_video(
        transfer, source, driver, tmp_path / "best", look=Look(crop=False), find_best_frame=True, progress=progress
    )
    assert best.is_best_frame and best.reference_frame >= plain.reference_frame, "of frames in which the pose is sure"
    assert labels == [("best frame", NUM_FRAMES), ("transfer", NUM_FRAMES)]
    bold = transfer_video(transfer, source, driver, tmp_path / "bold", motion=Motion(relative=False))
    assert bold.reference_frame is None, "nothing is counted from it"


def test_what_counts_as_usual_and_as_sure() -> None:
    assert usual_width([0.3, 0.4, 0.5]) == pytest.approx(0.4 + 0.1 * (0.8165 - 0.4), abs=1e-4)
    assert usual_width([0.4], [0.8, 0.5, 0.45, 0.7]) == 0.5, "the clearest of the driver but one"
    assert usual_width([0.4], [0.3, 0.2, 0.8]) == 0.4 and usual_width([0.4], [0.9]) == 0.9
    pose = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.5]])
    judge, seen = Judge(pose[None], np.arange(3), usual=0.4), marked_clip(0)[0][0]
    found = [judge(pose, width=width, pixels=seen) for width in (0.2, 0.47, 0.5, 0.56, float("nan"))]
    assert found == [Certainty.SURE, Certainty.SURE, Certainty.UNSURE, Certainty.LOST, Certainty.LOST]
    assert judge(pose * 0.2, width=0.3, pixels=seen) == Certainty.LOST
    assert judge(pose * np.nan, width=0.3, pixels=seen) == Certainty.LOST
    assert judge(pose, width=0.3, pixels=np.full((64, 64, 3), 9, np.uint8)) == Certainty.LOST
