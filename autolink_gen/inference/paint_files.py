"""Paint images, a grid or videos with a trained GAN, and write them to files."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from autolink_gen.common.ahead import one_behind
from autolink_gen.common.batch_sizes import BatchSize, fitting_batch_size
from autolink_gen.common.devices import chosen_device, to_cpu_later, to_device
from autolink_gen.common.files import write_image
from autolink_gen.common.progress import Progress, progress_bar
from autolink_gen.common.text import counted
from autolink_gen.data.video.animated_images import is_video_or_animation, open_video
from autolink_gen.data.video.base import Video
from autolink_gen.data.video.outputs import open_writer
from autolink_gen.inference.detect import detect_images, video_frames
from autolink_gen.inference.generate import Gan, load_gan
from autolink_gen.inference.painting_places import IMAGE_SUFFIXES, Places
from autolink_gen.inference.poses import NamedPose, PoseEdits, points_between, read_poses
from autolink_gen.inference.styles import DEFAULT_SEEDS, StyleMix, Styles
from autolink_gen.ops.ranges import check_edge_weights, check_keypoints
from autolink_gen.runs import RunFolder
from autolink_gen.viz.graphs import draw_graph, image_grid, to_bytes, to_uint8

Layout = Literal["rows=seeds,cols=poses", "rows=poses,cols=seeds"]
AnyPath = str | os.PathLike[str]
Between = Literal["style", "pose"]
_FPS = 20
_BATCH = 16
_BYTES_PER_PX = 8192  # of what is painted, at its most, with room to spare: of 128 px it takes 1720
_TILE_PX = 128


@dataclass(frozen=True)
class PaintingReport:
    """The files that were painted, and lines that describe them."""

    files: tuple[Path, ...]
    lines: tuple[str, ...]


def generate(
    gan: Gan | str | os.PathLike[str],
    *,
    poses: AnyPath | Sequence[AnyPath] | None = None,
    seeds: Sequence[int] | None = None,
    style: int | str | Path | None = None,
    mix: StyleMix | None = None,
    steps: int = 300,
    truncation: float = 1.0,
    edits: PoseEdits | None = None,
    grid: Layout | None = None,
    interpolate: Between | None = None,
    frames: int = 60,
    out: str | Path = "generated",
    device: str | None = None,
    overwrite: bool = False,
    progress: Progress = progress_bar,
) -> PaintingReport:
    """Paint with a trained GAN, as the command ``generate`` does.

    ``gan`` is loaded, or a run by name, folder or file, whose GAN goes to the ``device``: CUDA if there is one.
    ``poses`` is an image, a video or a file of keypoints, or a list of images and such files; None: training poses that
    the GAN carries. Styles are those of ``seeds``, or ``style``: a seed, an image whose style is searched for in
    ``steps``, or the studio's style.json; or a ``mix`` of two seeds, by the generator's layers.

    ``grid`` paints them all into one image, as does an ``out`` that ends in .png or .jpg; ``interpolate``
    paints a video of so many ``frames`` through all styles or poses. ``truncation`` below 1 keeps styles nearer to the
    mean one. ``edits`` change the poses.

    Raises ValueError for files that are there already without ``overwrite``, and for what does not go together.
    """
    if not isinstance(gan, Gan):
        gan = load_gan(RunFolder.find(gan, kind="gan"), device=chosen_device(device))
    if grid is None and interpolate is None and Path(out).suffix.lower() in IMAGE_SUFFIXES:
        grid = "rows=seeds,cols=poses"
    return paint_files(
        gan,
        _styles(seeds, style, mix, steps=steps, truncation=truncation),
        poses=_paths(poses),
        edits=edits,
        grid=grid,
        interpolate=interpolate,
        frames=frames,
        out=Path(out),
        overwrite=overwrite,
        progress=progress,
    )


def _paths(poses: AnyPath | Sequence[AnyPath] | None) -> tuple[Path, ...]:
    several = () if poses is None else (poses,) if isinstance(poses, str | os.PathLike) else poses
    return tuple(Path(path) for path in several)


def _styles(
    seeds: Sequence[int] | None, style: int | str | Path | None, mix: StyleMix | None, *, steps: int, truncation: float
) -> Styles:
    if mix is not None:
        if seeds is not None or style is not None:
            raise ValueError("give style, seeds or mix: one of them")
        return Styles((), truncation=truncation, mix=mix)
    if style is None:
        numbers = tuple(DEFAULT_SEEDS if seeds is None else seeds)
        if not numbers:
            raise ValueError("seeds names no style; give one seed at least")
        return Styles(numbers, steps=steps, truncation=truncation)
    if seeds is not None:
        raise ValueError("give style or seeds, not both")
    if isinstance(style, int):
        return Styles((style,), steps=steps, truncation=truncation)
    return Styles((), Path(style), steps=steps, truncation=truncation)


def paint_files(
    gan: Gan,
    styles: Styles,
    *,
    poses: Sequence[Path],
    edits: PoseEdits | None,
    grid: Layout | None,
    interpolate: Between | None,
    frames: int,
    out: Path,
    overwrite: bool,
    progress: Progress,
) -> PaintingReport:
    """Paint with a loaded GAN, as `generate` does; files are checked first."""
    if grid and interpolate:
        raise ValueError("give --grid, one image, or --interpolate, a video, not both")
    names = styles.names(gan)
    places = Places(out, names, overwrite=overwrite)
    edits = PoseEdits() if edits is None else edits

    def painter() -> "_Painter":  # the search of an image's style takes long: the places are known to be free by then
        return _Painter(gan, edits, names, styles.of(gan, progress=progress), progress)

    if (video := next(filter(is_video_or_animation, poses), None)) is not None:
        if grid or interpolate:
            raise ValueError("--grid and --interpolate take images or tables of keypoints, not a video")
        if len(poses) > 1:
            raise ValueError(f"{video} is a video: give it alone, without other images")
        return painter().video(video, places.video_files(video))
    pose_list = _poses(gan, poses)
    if interpolate:
        file = places.video_file(interpolate)
        return painter().interpolate(pose_list, file, what=interpolate, frames=frames)
    if grid:
        file = places.grid_file()
        return painter().grid(pose_list, file, layout=grid)
    files = places.image_files([pose.name for pose in pose_list])
    return painter().images(pose_list, files)


def _poses(gan: Gan, paths: Sequence[Path]) -> list[NamedPose]:
    if paths:
        return [pose for path in paths for pose in read_poses(path, gan.graph)]
    if not len(gan.poses):
        raise ValueError("this model carries no poses of its own; give --from")
    return [NamedPose(f"pose{index}", keypoints.cpu()) for index, keypoints in enumerate(gan.poses)]


@dataclass
class _Painter:
    """Paints edited poses in named styles, and writes the images."""

    gan: Gan
    edits: PoseEdits
    names: list[str]
    styles: Float[Tensor, "N D"] | Float[Tensor, "N L D"]
    progress: Progress

    def images(self, poses: list[NamedPose], files: list[list[Path]]) -> PaintingReport:
        """One file a pose and style, and the grid of all in the last one."""
        keypoints = self._apply_edits(poses)
        *rows, [grid] = files
        pairs = ((points, style) for style in self.styles for points in keypoints)
        painted = self._paint_each(pairs, usual_batch=len(keypoints))
        for file, image in zip((file for row in rows for file in row), painted, strict=True):
            write_image(file, image)
        line = f"wrote {counted(len(poses) * len(self.names), 'image')} to {grid.parent}"
        report = self.grid(poses, grid, layout="rows=seeds,cols=poses")
        return PaintingReport((*(file for row in rows for file in row), grid), (line, *report.lines))

    def grid(self, poses: list[NamedPose], file: Path, *, layout: Layout) -> PaintingReport:
        """Write one image of the skeletons and what was painted on them, before and after edits."""
        versions = [(pose, changed) for pose in poses for changed in self._versions()]
        columns = [self._column(pose, changed=changed) for pose, changed in versions]
        rows = [list(row) for row in zip(*columns, strict=True)]
        poses_by = [f"{pose.name} changed" if self.edits and changed else pose.name for pose, changed in versions]
        styles_by = ["", *self.names]  # none for the skeletons
        if layout == "rows=seeds,cols=poses":
            grid = image_grid(rows, labels=poses_by, names=styles_by)
        else:
            grid = image_grid(columns, labels=styles_by, names=poses_by)
        write_image(file, grid)
        what = " before and after the change" if self.edits else ""
        line = f"wrote {file}: {counted(len(self.names), 'style')} on {counted(len(poses), 'pose')}{what}"
        return PaintingReport((file,), (line,))

    def interpolate(self, poses: list[NamedPose], file: Path, *, what: Between, frames: int) -> PaintingReport:
        """A video through all poses in the first style, or all styles on the first pose."""
        keypoints = self._apply_edits(poses)
        stops = keypoints if what == "pose" else self.styles
        if len(stops) < 2:
            more = "leave --from out, or give a keypoints.json with several" if what == "pose" else "give --seeds 0-3"
            raise ValueError(f"--interpolate {what} needs two {what}s or more: {more}")
        way = points_between(stops, frames)
        if what == "pose":
            pairs = (way, self.styles[:1].expand(frames, *self.styles.shape[1:]))
        else:
            pairs = (keypoints[:1].expand(frames, -1, -1), way)
        painted = ((image, None) for image in self._paint_each(zip(*pairs, strict=True), usual_batch=_BATCH))
        line = self._write_video(file, painted, total=frames, fps=_FPS)
        return PaintingReport((file,), (line,))

    def video(self, source: Path, files: list[Path]) -> PaintingReport:
        """Each frame's pose in each style, at the video's own times."""
        reader, lines = open_video(source), []
        for file, style in zip(files, self.styles, strict=True):
            times_s: deque[float | None] = deque()
            pairs = ((points, style) for points in self._edited_poses(reader, times_s))
            painted = ((image, times_s.popleft()) for image in self._paint_each(pairs, usual_batch=1))
            lines.append(self._write_video(file, painted, total=reader.num_frames or 0, fps=reader.fps, reader=reader))
        return PaintingReport(tuple(files), tuple(lines))

    def _write_video(
        self,
        file: Path,
        images: Iterator[tuple[np.ndarray, float | None]],
        *,
        total: int,
        fps: Any,
        reader: Video | None = None,
    ) -> str:
        count = 0
        with open_writer(file, fps=fps, expected_frames=total) as writer:
            for image, time_s in self.progress(images, total, "paint"):
                writer.write(image, time_s=time_s)
                count += 1
            if reader is not None:
                writer.end_at(reader.ends_s)
        return f"wrote {file} ({count} frames)"

    def _column(self, pose: NamedPose, *, changed: bool) -> list[np.ndarray]:
        """A skeleton, and below it what each style paints on it."""
        size = self.gan.generator.config.image_size
        points = pose.keypoints[None].to(self.gan.edge_weights)
        weights = self.gan.edge_weights
        if changed:
            points, weights = self.edits.apply(points), self.edits.edge_weights(weights)
        blank = np.full((size, size, 3), 40, np.uint8)
        skeleton = draw_graph(blank, points[0], weights, threshold=0.1, min_side=_TILE_PX)
        painted = self._paint(points.expand(len(self.styles), -1, -1), self.styles, changed=changed)
        side = skeleton.shape[:2]
        return [skeleton, *(np.asarray(Image.fromarray(p).resize(side, Image.Resampling.BICUBIC)) for p in painted)]

    def _paint(self, keypoints: Tensor, style: Tensor, *, changed: bool = True) -> list[np.ndarray]:
        styles = style.expand(len(keypoints), *style.shape[1:])
        weights = self.edits.edge_weights(self.gan.edge_weights) if changed else None
        return list(to_uint8(self.gan.paint(keypoints, styles, edge_weights=weights)))

    def _paint_each(self, pairs: Iterable[tuple[Tensor, Tensor]], *, usual_batch: int) -> Iterator[np.ndarray]:
        """Paint poses (K, 2), which lie on the CPU, in styles (D,); an image can be written while the next is painted.

        On the CPU ``usual_batch`` are painted at once.
        """
        weights = self.edits.edge_weights(self.gan.edge_weights)
        check_edge_weights(weights)

        def begin(part: Sequence[tuple[Tensor, Tensor]]) -> Callable[[], Tensor]:
            points, styles = (torch.stack(tensors) for tensors in zip(*part, strict=True))
            check_keypoints(points)
            images = self.gan.paint_unchecked(to_device(points, weights.device), styles, edge_weights=weights)
            return to_cpu_later(to_bytes(images))

        bytes_each = _BYTES_PER_PX * self.gan.generator.config.image_size**2
        size = BatchSize(fitting_batch_size(weights.device, usual=usual_batch, bytes_each=bytes_each))
        begun = (fetch for batch in size.batches(pairs) for fetch in size.results(begin, batch))
        for fetch in one_behind(begun, beside=weights.device):
            yield from fetch().numpy()

    def _apply_edits(self, poses: list[NamedPose]) -> Tensor:
        """The edited poses (N, K, 2), on the CPU."""
        stacked = torch.stack([pose.keypoints for pose in poses])
        return self.edits.apply(stacked.to(self.gan.edge_weights.dtype))

    def _edited_poses(self, video: Video, times_s: deque[float | None]) -> Iterator[Tensor]:
        """The edited pose of each frame, on the CPU; its time is appended."""
        for detection in detect_images(self.gan.graph, video_frames(video)):
            times_s.append(detection.source.time_s)
            yield self.edits.apply(torch.from_numpy(detection.keypoints)[None].to(self.gan.edge_weights.dtype))[0]

    def _versions(self) -> tuple[bool, ...]:
        return (False, True) if self.edits else (True,)
