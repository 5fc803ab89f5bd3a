"""One video moved by another, from file to file: frames stream through, so that memory does not grow with length."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from jaxtyping import Float, UInt8
from numpy import ndarray

from autolink_gen.data.frame_stream import FrameStream
from autolink_gen.data.video import TimedFrame, VideoError
from autolink_gen.data.video_writing import VideoWriter
from autolink_gen.files import write_picture
from autolink_gen.inference.motion import pose_distance
from autolink_gen.inference.transfer import ABSOLUTE, AnimatedFrame, Animator, Motion, Transfer
from autolink_gen.viz import even_grid

Progress = Callable[[Iterable, int, str], Iterable]
_SEARCHED = 50  # frames of the driver among which the best one to start from is looked for


@dataclass(frozen=True)
class TransferReport:
    """What was made: frames written, damaged frames passed over, and poses held over; ``stopped``: why it broke off."""

    num_frames: int
    bad_frames: int
    held_frames: int
    stopped: str = ""


def best_reference(transfer: Transfer, driver: FrameStream, source: Float[ndarray, "K 2"]) -> Float[ndarray, "K 2"]:
    """The driver's pose that is most like the source's, of 50 frames spread over it."""
    animator = Animator(transfer, driver.spread(_SEARCHED), ABSOLUTE)
    return min(animator.source_poses, key=lambda pose: pose_distance(pose, source))


def transfer_video(
    transfer: Transfer,
    source: FrameStream,
    driver: FrameStream,
    out: Path,
    *,
    motion: Motion = ABSOLUTE,
    find_best_frame: bool = False,
    source_frames: int = 8,
    sound: Path | None = None,
    sound_start_s: float = 0.0,
    side_by_side: bool = False,
    size: int | None = None,
    batch_size: int = 8,
    progress: Progress = lambda items, total, label: items,
) -> TransferReport:
    """Write what the source looks like when it moves as the driver does, at the driver's rate and length.

    Of a source video ``source_frames`` frames, evenly spread, lend their appearance, the nearest in pose each time.
    ``sound`` names the file whose sound is laid under it. ``side_by_side``: source, driver, edge map, result.
    ``size`` is the result's width in pixels, the network's own unless given. A driver that is a picture gives a
    picture. What was made before a driver broke off stays, and the report says why.
    """
    pictures = source.spread(source_frames)
    animator = Animator(transfer, pictures, motion)
    if find_best_frame:
        motion = replace(motion, reference=best_reference(transfer, driver, animator.source_poses[0]))
        animator = Animator(transfer, pictures, motion)
    side = size or transfer.image_size
    made, held, stopped = 0, 0, ""
    with ExitStack() as stack:
        writer = None
        if not driver.is_picture:
            writer = stack.enter_context(
                VideoWriter(out, fps=driver.fps, copy_audio_from=sound, audio_start_s=sound_start_s)
            )
        frames = iter(progress(_painted(animator, driver, batch_size), driver.num_frames, "transfer"))
        try:
            for frame, painted in frames:
                tiles = _tiles(transfer, pictures[painted.source], frame, painted) if side_by_side else [painted.pixels]
                picture = even_grid([tiles], side_px=side, padding=0)
                if writer is None:
                    write_picture(out, picture)
                else:
                    writer.write(picture, time_s=frame.time_s)
                made, held = made + 1, held + painted.held
        except VideoError as error:
            if not made:
                raise
            stopped = str(error)
    return TransferReport(made, driver.bad_frames, held, stopped)


def _painted(animator: Animator, driver: FrameStream, batch_size: int) -> Iterator[tuple[TimedFrame, AnimatedFrame]]:
    frames = iter(driver)
    while batch := list(islice(frames, batch_size)):
        yield from zip(batch, animator([(frame.time_s, frame.pixels) for frame in batch]), strict=True)


def _tiles(
    transfer: Transfer, source: ndarray, driver: TimedFrame, painted: AnimatedFrame
) -> list[UInt8[ndarray, "S S 3"]]:
    return [*transfer.fitted([source, driver.pixels]), transfer.drawn(painted.keypoints), painted.pixels]
