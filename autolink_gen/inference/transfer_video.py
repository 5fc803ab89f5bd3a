"""Animate one video with another, frame by frame, in constant memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from pydantic import Field

from autolink_gen.common.ahead import read_ahead
from autolink_gen.common.batch_sizes import BatchSize
from autolink_gen.common.devices import float64_array
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.video.animated_writer import AnimatedImageWriter
from autolink_gen.data.video.outputs import open_writer
from autolink_gen.data.video.reader import TimedFrame, VideoError
from autolink_gen.data.video.stream import FrameStream, most_at_once
from autolink_gen.data.video.writer import FrameFolderWriter, ImageWriter, VideoWriter
from autolink_gen.inference.confidence import Judge, is_blank, usual_width
from autolink_gen.inference.cropping import Crop, find_crop, middle_square
from autolink_gen.inference.motion import pose_distance
from autolink_gen.inference.planning import RELATIVE, AnimatedFrame, Motion
from autolink_gen.inference.transfer import Animator, Transfer
from autolink_gen.viz.graphs import even_grid

_LOOKED_AT = 8  # frames of the driver to find its crop
_ALIKE = 0.2  # of the side: a crop so near to the middle of the image is not worth it
_MAX_SIDE = 1024  # pixels of what is painted
_NO_POSE = "no frame of {} shows a pose that can be made out; give another driver, or a graph that knows its object"
_SEARCHED = 50  # frames of the driver among which the best one to start from is looked for


@dataclass(frozen=True)
class Look:
    """The layout of the result.

    ``crop``: source and driver are cropped so that their keypoints lie as in training. ``paste_back``: the painted
    square is pasted into the source frame, at its original size. ``side_by_side``: source, driver, edge map, result.
    ``size`` is the painted square's width in pixels, the network's usual one unless given.
    """

    crop: bool = True
    paste_back: bool = False
    side_by_side: bool = False
    size: Annotated[int, Field(ge=16, le=_MAX_SIDE)] | None = None

    def __post_init__(self) -> None:
        if self.paste_back and self.side_by_side:
            raise ValueError("a result that is put back into the source frame has no place side by side; choose one")


CROPPED = Look()


@dataclass(frozen=True)
class TransferReport:
    """Numbers of frames written, of damaged driver frames skipped, and of poses held.

    ``stopped``: why it ended early. ``source_missing``: number of requested source frames that could not be read.
    ``reference_frame``, from 0, and ``reference_s``: the driver's frame that movement is relative to, the first with a
    sure pose or, with ``is_best_frame``, the one most like the source.
    """

    num_frames: int
    bad_frames: int
    held_frames: int
    stopped: str = ""
    source_missing: int = 0
    reference_frame: int | None = None
    reference_s: float | None = None
    is_best_frame: bool = False


def best_reference(
    transfer: Transfer,
    driver: FrameStream,
    source: Float[ndarray, "K 2"],
    *,
    judge: Judge,
    crop: Crop | None = None,
    progress: Progress = no_progress,
) -> tuple[Float[ndarray, "K 2"], int]:
    """The driver's pose most like the source's, and its frame's index from 0.

    It is chosen from 50 evenly spread frames, if possible from those whose pose the ``judge`` finds sure.
    """
    count = max(1, min(_SEARCHED, driver.num_frames))
    frames = (_crop(pixels, crop) for pixels in progress(driver.spread_one_by_one(count), count, "best frame"))
    candidates: list[tuple[int, float, ndarray]] = []  # how sure, how far from the source, the pose
    linked = transfer.linked_indices
    while batch := list(islice(frames, _LOOKED_AT)):
        for pose, width, pixels in zip(*transfer.detect_with_widths(batch), batch, strict=True):
            certainty = judge(pose, width=width, pixels=pixels)
            candidates.append((-certainty, pose_distance(pose[linked], source[linked]), pose))
    best = min(range(len(candidates)), key=lambda number: candidates[number][:2])
    return candidates[best][2], best * driver.num_frames // len(candidates)


def usual_width_of(
    transfer: Transfer, images: Sequence[UInt8[ndarray, "_ _ 3"]], frames: Sequence[UInt8[ndarray, "_ _ 3"]]
) -> float:
    """The usual width of heatmaps on the source's images and some driver frames, both cropped."""
    clear = [pixels for pixels in frames if not is_blank(pixels)]
    return usual_width(
        transfer.detect_with_widths(images).widths, transfer.detect_with_widths(clear).widths if clear else None
    )


def crop_of(transfer: Transfer, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> Crop | None:
    """The crop of a clip's frames; None for blank frames or mixed sizes, or if none is needed."""
    images = [image for image in images if not is_blank(image)]
    if len({image.shape for image in images}) != 1:
        return None
    linked = transfer.linked_indices
    usual = np.array([pose[linked] for pose in float64_array(transfer.poses)])
    crop = find_crop(images, lambda squares: transfer.detect(squares)[:, linked], usual)
    middle = middle_square(images[0])
    shift = max(abs(crop.left - middle.left), abs(crop.top - middle.top))
    return None if max(shift, abs(crop.side - middle.side)) < _ALIKE * middle.side else crop


def transfer_video(
    transfer: Transfer,
    source: FrameStream,
    driver: FrameStream,
    out: Path,
    *,
    motion: Motion = RELATIVE,
    look: Look = CROPPED,
    find_best_frame: bool = False,
    source_frames: int = 8,
    audio: Path | None = None,
    audio_start_s: float = 0.0,
    batch_size: int | None = None,
    progress: Progress = no_progress,
) -> TransferReport:
    """Animate the source with the driver's movement, at the driver's rate and length.

    ``batch_size`` frames are painted at once; None: as many as the animator finds fit.
    From a source video, ``source_frames`` evenly spread frames serve as references; each output frame uses the one
    closest in pose. ``audio`` names the file whose audio is added, from ``audio_start_s`` on. A driver that is an image
    gives an image; an ``out`` without an ending is a folder of images. If the driver breaks off, the frames until then
    stay, and the report says why. Raises ValueError if no frame of the driver has a detectable pose.
    """
    scene = _prepare(
        transfer, source, driver, motion=motion, look=look, best=find_best_frame, count=source_frames, progress=progress
    )
    num_frames, num_held, stopped = 0, 0, ""
    with _writer(out, driver, audio, audio_start_s) as writer:
        painted_frames = _paint_frames(scene.animator, driver, scene.driver_crop, batch_size)
        try:
            for frame, painted in progress(painted_frames, driver.num_frames, "transfer"):
                num_frames, num_held = num_frames + 1, num_held + painted.held
                if driver.is_image and num_held:
                    raise ValueError(_NO_POSE.format(driver.path))
                source_image = scene.source_images[painted.source]
                image = _compose(transfer, source_image, scene.source_crop, frame.pixels, painted, look)
                writer.write(image, time_s=frame.time_s)
        except VideoError as error:
            if not num_frames:
                raise
            stopped = str(error)
        writer.end_at(driver.ends_s)  # a GIF's last frame is often held for long
        if num_frames and num_held == num_frames:
            raise ValueError(_NO_POSE.format(driver.path))
    start_frame, start_s = _movement_start(scene.motion, scene.reference or scene.animator.reference)
    return TransferReport(
        num_frames, driver.bad_frames, num_held, stopped, scene.num_missing, start_frame, start_s, find_best_frame
    )


class _Scene(NamedTuple):
    """What a video is painted from; `reference` is the number and time of the driver's best frame, if one was sought.

    `num_missing` frames of the source could not be read.
    """

    animator: Animator
    motion: Motion
    source_images: list[UInt8[ndarray, "_ _ 3"]]
    source_crop: Crop | None
    driver_crop: Crop | None
    num_missing: int
    reference: tuple[int, float] | None


def _prepare(
    transfer: Transfer,
    source: FrameStream,
    driver: FrameStream,
    *,
    motion: Motion,
    look: Look,
    best: bool,
    count: int,
    progress: Progress,
) -> _Scene:
    """Read `count` source frames, find the crops and, with `best`, the driver's frame most like the source."""
    source_images, missing = _read_source(source, count)
    source_crop = crop_of(transfer, source_images) if look.crop else None
    driver_sample = _spread_frames(driver, _LOOKED_AT)
    driver_crop = crop_of(transfer, driver_sample) if look.crop else None
    images = [_crop(pixels, source_crop) for pixels in source_images]
    usual = usual_width_of(transfer, images, [_crop(pixels, driver_crop) for pixels in driver_sample])
    reference: tuple[int, float] | None = None
    if best:
        source_pose = transfer.detect(images[:1])[0]
        judge = Judge(transfer.poses.cpu().numpy(), transfer.linked_indices, usual=usual)
        pose, number = best_reference(transfer, driver, source_pose, judge=judge, crop=driver_crop, progress=progress)
        motion, reference = replace(motion, reference=pose), (number, number / float(driver.fps))
    animator = Animator(transfer, images, motion, size=_width(look, images[0]), usual=usual)
    return _Scene(animator, motion, source_images, source_crop, driver_crop, missing, reference)


def _read_source(source: FrameStream, count: int) -> tuple[list[UInt8[ndarray, "_ _ 3"]], int]:
    """The source's reference frames, and the number of those that could not be read."""
    images = _spread_frames(source, count)
    missing = max(0, min(count, source.num_frames, most_at_once(images[0])) - len(images))
    return [pixels for pixels in images if not is_blank(pixels)] or images, missing


def _movement_start(motion: Motion, reference: tuple[int, float] | None) -> tuple[int, float] | tuple[None, None]:
    """The frame that movement is relative to, and its time; None if it is relative to none."""
    counts = motion.relative or motion.adapt_scale
    return reference if counts and reference is not None else (None, None)


def _spread_frames(stream: FrameStream, count: int) -> list[UInt8[ndarray, "_ _ 3"]]:
    """``count`` frames evenly spread over a stream, or all if it has fewer."""
    return stream.spread(max(1, min(count, stream.num_frames)))


def _width(look: Look, source: UInt8[ndarray, "_ _ 3"]) -> int | None:
    """The width to paint at: as requested, or the crop's own for pasting back; None: the usual."""
    if look.paste_back:
        return min(middle_square(source).side, _MAX_SIDE)
    return look.size


def _writer(
    out: Path, driver: FrameStream, audio: Path | None, audio_start_s: float
) -> VideoWriter | AnimatedImageWriter | FrameFolderWriter | ImageWriter:
    if not out.suffix:
        return FrameFolderWriter(out)
    if driver.is_image:
        return ImageWriter(out)
    frames = driver.num_frames
    return open_writer(out, fps=driver.fps, copy_audio_from=audio, audio_start_s=audio_start_s, expected_frames=frames)


def _paint_frames(
    animator: Animator, driver: FrameStream, crop: Crop | None, batch_size: int | None
) -> Iterator[tuple[TimedFrame, AnimatedFrame]]:
    """The driver's frames, cropped, each with the frame painted in its pose."""
    frames = (replace(frame, pixels=_crop(frame.pixels, crop)) for frame in driver)
    size = BatchSize(animator.batch_size if batch_size is None else batch_size)
    read = size.batches(frames, at_most=lambda first: most_at_once(first.pixels))
    given: deque[TimedFrame] = deque()

    def batches() -> Iterator[list[tuple[float, UInt8[ndarray, "_ _ 3"]]]]:
        for batch in read_ahead(read, beside=animator.transfer.labels.device):
            given.extend(batch)
            yield [(frame.time_s, frame.pixels) for frame in batch]

    for painted in animator.animate(batches(), size):
        yield given.popleft(), painted


def _compose(
    transfer: Transfer,
    source: UInt8[ndarray, "_ _ 3"],
    crop: Crop | None,
    driver: UInt8[ndarray, "_ _ 3"],
    painted: AnimatedFrame,
    look: Look,
) -> UInt8[ndarray, "_ _ 3"]:
    if look.paste_back:
        return (crop or middle_square(source)).put_back(painted.pixels, source)
    tiles = [painted.pixels]
    if look.side_by_side:
        squares = transfer.fit_images([_crop(source, crop), driver], size=look.size or transfer.usual_size)
        tiles = [*squares, transfer.draw_edge_map(painted.keypoints), painted.pixels]
    return even_grid([tiles], side_px=look.size or transfer.usual_size, padding=0)


def _crop(pixels: UInt8[ndarray, "_ _ 3"], crop: Crop | None) -> UInt8[ndarray, "_ _ 3"]:
    return pixels if crop is None else crop.take(pixels)
