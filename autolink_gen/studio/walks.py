"""Walks through videos: the keypoints of at most so many frames, evenly spread, for a page with a slider."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.spread import evenly
from autolink_gen.data.video.base import TimedFrame, early_end
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.inference.detect import SourceImage, detect_images
from autolink_gen.inference.smoothing import KINDS, Kind, Smoother, Smoothing
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import check_found
from autolink_gen.studio.graphs import likelihoods_of
from autolink_gen.studio.painting import Pose, rounded

MAX_FRAMES = 200
_PICTURE_PX = 480  # of the longer side: 200 of them are a few megabytes
_BATCH = 8  # frames after which a walk can be stopped


@dataclass
class VideoWalk:
    """Frames of a video of ``width`` by ``height`` pixels: times, keypoints (x, y) in [-1, 1], and their likelihoods.

    ``smoothed`` are the keypoints after each kind of smoothing, over the frames that are here. ``pictures`` are data
    URLs. ``remark``: a warning where the video ends early, else empty.
    """

    width: int = 0
    height: int = 0
    times_s: list[float] = field(default_factory=list)
    keypoints: list[Pose] = field(default_factory=list)
    smoothed: dict[Kind, list[Pose]] = field(default_factory=dict)
    likelihoods: list[list[float]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    remark: str = ""


def walk_video(
    graph: AutoLink,
    stream: FrameStream,
    *,
    name: str,
    most: int = MAX_FRAMES,
    with_pictures: bool = True,
    progress: Progress = no_progress,
) -> VideoWalk:
    """The keypoints of at most ``most`` frames of a video, as ``detect`` finds them with and without ``--smooth``.

    Where ``progress`` ends early, those that were looked at by then. Raises DivergedModelError with the graph's
    ``name`` where it finds nothing, and ValueError where no frame could be looked at.
    """
    walk, poses = VideoWalk(), []
    total = stream.spread_count(most) or most
    picked = _picked(stream, most, walk)
    frames = (SourceImage(stream.path, each.number, each.time_s, each.pixels) for each in picked)
    for found in progress(detect_images(graph, frames, batch_size=_BATCH, with_widths=True), total, "frames"):
        check_found(found.keypoints[None], name=name)
        time_s = found.source.time_s or 0.0
        walk.width, walk.height = found.width_px, found.height_px
        walk.times_s.append(round(time_s, 3))
        walk.keypoints.append(rounded(found.keypoints))
        poses.append(found.keypoints)
        walk.likelihoods.append(likelihoods_of(graph, found))
        if with_pictures:
            walk.pictures.append(_jpeg_url(found.source.pixels))
    if not walk.times_s:
        raise ValueError("it was stopped before the first frame")
    walk.smoothed = {kind: _smoothed(poses, walk.times_s, Smoothing(kind)) for kind in KINDS}
    return walk


def _smoothed(poses: list[ndarray], times_s: list[float], smoothing: Smoothing) -> list[Pose]:
    smoother = Smoother[None](smoothing)
    known = [
        pair for pose, time_s in zip(poses, times_s, strict=True) for pair in smoother.push(pose, None, time_s=time_s)
    ]
    return [rounded(pose) for pose, _ in known + smoother.finish() if pose is not None]


def _picked(stream: FrameStream, most: int, walk: VideoWalk) -> Iterator[TimedFrame]:
    """Evenly spread frames, none twice; of a video that does not say how long it is, once all are counted.

    At their end the walk has its remark.
    """
    if stream.num_frames:
        last_s, num_times = -1.0, 0
        for frame in stream.timed_spread(most):
            num_times += 1
            if frame.time_s > last_s:
                last_s = frame.time_s
                yield frame
        walk.remark = _remark(stream, last_s, num_times=num_times, num_asked=stream.spread_count(most))
        return
    chosen = set(evenly(sum(1 for _ in stream), most))
    yield from (frame for number, frame in enumerate(stream) if number in chosen)


def _remark(stream: FrameStream, last_s: float, *, num_times: int, num_asked: int) -> str:
    """A warning where fewer of the evenly spread times than were asked for have a frame, the last at ``last_s``.

    It counts times, for a frame may be shown at several of them.
    """
    if num_times >= num_asked:
        return ""
    seen_s = max(stream.length_s * (num_times - 1) / num_asked, last_s + 1 / float(stream.fps))
    return early_end(stream.path, seen_s, stream.length_s)


def _jpeg_url(pixels: UInt8[ndarray, "H W 3"]) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
