"""Keypoints of images and videos, in pixels of the original, in constant memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.ahead import one_behind, read_ahead
from autolink_gen.common.batch_sizes import BatchSize
from autolink_gen.common.devices import double_on_cpu, float64_array, to_cpu_later, to_device
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.spread import evenly
from autolink_gen.data.images import read_image, to_array
from autolink_gen.data.video.base import Video
from autolink_gen.data.video.reader import Rate
from autolink_gen.inference.detect_batches import detect_batches, on_cpu
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.detector import detection_batch_size
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.pixels import enlarge_pixels, from_pixels, to_pixels

MEAN_POSE_IMAGES = 256
_MAX_BATCH_BYTES = 2**27  # besides the image that is decoded meanwhile
_MAX_SHARE = 16  # of the network's size: how long a side may be that the network is given
_MAX_SQUARE_BYTES = 2**28  # of the squares that the network makes of what it is given


@dataclass(frozen=True)
class SourceImage:
    """An image file, or a frame of a video.

    ``frame`` counts from 0, ``time_s`` is in seconds from the start. An image file has frame 0 and no time.
    """

    file: Path
    frame: int
    time_s: float | None
    pixels: UInt8[ndarray, "H W 3"]


OnError = Callable[[SourceImage, Exception], object]


@dataclass(frozen=True)
class Detection:
    """An image and its keypoints (x, y) in pixels; (0, 0) is the centre of the first pixel.

    ``widths`` of their heatmaps are in units of [-1, 1], ``likelihoods`` from 0 to 1; None where nobody asked for them.
    """

    source: SourceImage
    keypoints_px: Float[ndarray, "K 2"]
    widths: Float[ndarray, " K"] | None = None
    likelihoods: Float[ndarray, " K"] | None = None

    @property
    def width_px(self) -> int:
        """Width of the original."""
        return self.source.pixels.shape[1]

    @property
    def height_px(self) -> int:
        """Height of the original."""
        return self.source.pixels.shape[0]

    @property
    def keypoints(self) -> Float[ndarray, "K 2"]:
        """(x, y) in [-1, 1], -1 and 1 the centres of the outer pixels."""
        return self.normalise(self.keypoints_px)

    def normalise(self, points_px: Float[ndarray, "P 2"]) -> Float[ndarray, "P 2"]:
        """Points in pixels of the original as (x, y) in [-1, 1]."""
        return from_pixels(points_px, size=(self.width_px, self.height_px))

    def without(self, dropped: Sequence[int]) -> "Detection":
        """The detection with some keypoints set to NaN; the others keep their indices."""
        keypoints_px = self.keypoints_px.copy()
        keypoints_px[list(dropped)] = np.nan
        return replace(self, keypoints_px=keypoints_px)


def landmarks_px(regressor: LandmarkRegressor, detection: Detection) -> Float[ndarray, "P 2"]:
    """The named landmarks of an image in pixels; (0, 0) is the centre of the first pixel."""
    return regressor.predict(detection.keypoints[None])[0] * [detection.width_px, detection.height_px] - 0.5


def read_image_files(files: Sequence[Path], *, on_error: Callable[[Path, Exception], object]) -> Iterator[SourceImage]:
    """Read image files one by one; `on_error` gets each file that cannot be read."""
    for file in files:
        try:
            pixels = to_array(read_image(file))
        except Exception as error:  # noqa: BLE001 - each file fails by itself
            on_error(file, error)
        else:
            yield SourceImage(file, 0, None, pixels)


def video_frames(reader: Video, *, fps: Rate | None = None) -> Iterator[SourceImage]:
    """The frames of a video, at most `fps` a second; raises VideoError as the reader does."""
    for frame in reader.timed_frames(fps=fps):
        yield SourceImage(reader.path, frame.number, frame.time_s, frame.pixels)


def detect_images(
    model: AutoLink,
    images: Iterable[SourceImage],
    *,
    batch_size: int | None = None,
    on_error: OnError | None = None,
    with_widths: bool = False,
) -> Iterator[Detection]:
    """Detect the keypoints of images of any sizes, in order; ``with_widths``, also how wide their heatmaps are.

    At most `batch_size` images are processed at a time, on the model's device; None: 16, or more where a CUDA device
    has the memory. While a device works, the next images are read in a thread. With ``on_error``, the images of a batch
    that fails are tried one by one, and ``on_error`` gets each that fails again. Raises ValueError for a batch size
    below 1.
    """
    device = model.edge_weights.device
    size = BatchSize(detection_batch_size(model.config.input_size, device) if batch_size is None else batch_size)
    batches = read_ahead(_batches(images, size.value), beside=device)
    launch = partial(_launch, model, with_widths=with_widths)
    for fetch in one_behind(_launch_each(launch, batches, size, on_error), beside=device):
        detections = fetch()
        while detections:
            yield detections.pop(0)


def mean_pose(
    model: AutoLink,
    dataset: Dataset[Tensor],
    *,
    max_images: int = MEAN_POSE_IMAGES,
    batch_size: int = 16,
    progress: Progress = no_progress,
    name: str = "the model",
) -> Float[ndarray, "K 2"]:
    """The mean position (x, y) in [-1, 1] of each keypoint over a data set.

    At most `max_images`, evenly spread, are used. The data set yields uint8 tensors (3, S, S). `progress` sees each
    batch. Raises ValueError if the data set is empty or yields another type, and DivergedModelError with the model's
    `name` if the model finds nothing in an image.
    """
    count = len(dataset)  # type: ignore[arg-type]
    if count == 0:
        raise ValueError("the data set is empty, so that there is no mean pose; name another one")
    indices = evenly(count, max_images, with_last=True)
    batches = progress(_image_batches(dataset, indices, batch_size), -(-len(indices) // batch_size), "mean pose")
    total = torch.zeros(model.config.num_keypoints, 2, dtype=torch.float64)
    for keypoints in on_cpu(detect_batches(model, iter(batches)), device=model.edge_weights.device):
        check_found(keypoints, name=name)
        total += double_on_cpu(keypoints).sum(dim=0)
    return (total / len(indices)).numpy()


def _image_batches(dataset: Dataset[Tensor], indices: Sequence[int], batch_size: int) -> Iterator[Tensor]:
    """Images of a data set in [0, 1], in batches; ValueError unless it yields uint8."""
    for start in range(0, len(indices), batch_size):
        images = torch.stack([dataset[i] for i in indices[start : start + batch_size]])
        if images.dtype != torch.uint8:
            raise ValueError(f"the data set must yield uint8 images, got {images.dtype}; of [0, 1] make them by * 255")
        yield images.float() / 255


def _batches(images: Iterable[SourceImage], batch_size: int) -> Iterator[list[SourceImage]]:
    batch: list[SourceImage] = []
    for image in images:
        batch.append(image)
        num_bytes = sum(item.pixels.nbytes for item in batch)
        if len(batch) == batch_size or num_bytes >= _MAX_BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True)
class _ReducedImage:
    """The network's input for an image: a part of it, reduced by whole factors.

    The part starts at the ``corner`` (x, y).
    """

    pixels: UInt8[ndarray, "H W 3"]
    corner: tuple[int, int]
    factors: tuple[int, int]

    def to_original(self, keypoints: Float[ndarray, "K 2"]) -> Float[ndarray, "K 2"]:
        """Keypoints in [-1, 1] of the reduced image, in pixels of the original."""
        height, width = self.pixels.shape[:2]
        return enlarge_pixels(to_pixels(keypoints, size=(width, height)), np.array(self.factors)) + self.corner


@dataclass(frozen=True)
class _Launched:
    """Images whose keypoints a device computes: groups of their indices, each with what waits for its keypoints."""

    batch: list[SourceImage]
    reduced: list[_ReducedImage]
    groups: list[tuple[list[int], Callable[[], Tensor]]]

    def detections(self) -> list[Detection]:
        """Wait for the keypoints; then the images are let go, or they would stay while the next ones are read."""
        keypoints_by_index: dict[int, ndarray] = {}
        for group, fetch in self.groups:
            keypoints_by_index.update(zip(group, float64_array(fetch()), strict=True))
        found = []
        for index, image in enumerate(self.batch):
            values = keypoints_by_index[index]
            widths = values[:, 2] if values.shape[1] > 2 else None
            found.append(Detection(image, self.reduced[index].to_original(values[:, :2]), widths))
        self.batch.clear()
        self.reduced.clear()
        return found


_Launch = Callable[[list[SourceImage]], _Launched]


def _launch_each(
    launch: _Launch, batches: Iterable[list[SourceImage]], size: BatchSize, on_error: OnError | None
) -> Iterator[Callable[[], list[Detection]]]:
    """Give batch after batch to the device; what is yielded waits for the detections."""
    for batch in batches:
        yield from size.results(lambda part: _launch_or_retry(launch, [*part], on_error), batch)
        batch.clear()


def _launch_or_retry(
    launch: _Launch, batch: list[SourceImage], on_error: OnError | None
) -> Callable[[], list[Detection]]:
    if on_error is None:
        return launch(batch).detections
    try:
        launched = launch(batch)
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) and len(batch) > 1:
            raise
        return lambda: _one_by_one(launch, batch, on_error)

    def fetch() -> list[Detection]:
        try:
            return launched.detections()
        except Exception:  # noqa: BLE001 - the caller is told
            return _one_by_one(launch, batch, on_error)

    return fetch


def _one_by_one(launch: _Launch, batch: list[SourceImage], on_error: OnError) -> list[Detection]:
    found: list[Detection] = []
    while batch:
        image = batch.pop(0)
        try:
            found += launch([image]).detections()
        except Exception as error:  # noqa: BLE001 - the caller is told
            on_error(image, error)
    return found


def _launch(model: AutoLink, batch: list[SourceImage], *, with_widths: bool) -> _Launched:
    """Give images to the model's device, bytes through pinned memory, and wait for nothing."""
    reduced = [_shrink(image.pixels, model.config.input_size, model.config.fit) for image in batch]
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, item in enumerate(reduced):
        by_size.setdefault(item.pixels.shape, []).append(index)
    groups: list[tuple[list[int], Callable[[], Tensor]]] = []
    for shape, indices in by_size.items():
        group_size = max(1, _MAX_SQUARE_BYTES // (12 * max(shape) ** 2))
        for start in range(0, len(indices), group_size):
            group = indices[start : start + group_size]
            pixels = torch.from_numpy(np.stack([reduced[i].pixels for i in group])).permute(0, 3, 1, 2)
            on_device = to_device(pixels, model.edge_weights.device)
            if with_widths:
                keypoints, widths = model.detect_with_widths(on_device)
                found = torch.cat([keypoints, widths.to(keypoints)[..., None]], dim=-1)
            else:
                found = model.detect(on_device)
            groups.append((group, to_cpu_later(found)))
    return _Launched(batch, reduced, groups)


def _shrink(pixels: ndarray, size: int, fit: str) -> _ReducedImage:
    """The image reduced by a whole factor, its shorter side at least twice the network's size.

    Keeps a batch of large images small before they become floats; the model does the rest of the resizing. An image
    still longer than sixteen times the network's size is cut to its middle if the network crops anyway; else its longer
    side is reduced further, as a padded image would become a huge square.
    """
    corner = 0, 0
    height, width = pixels.shape[:2]
    if fit == "crop" and max(height, width) > _MAX_SHARE * max(size, min(height, width)):
        side = min(height, width)
        corner = (width - side) // 2, (height - side) // 2
        pixels = pixels[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    factor = max(1, min(pixels.shape[:2]) // (2 * size))
    sides = pixels.shape[1], pixels.shape[0]
    if max(sides) // factor > _MAX_SHARE * size and fit != "crop":
        longest = -(-max(sides) // (_MAX_SHARE * size))
        factors = tuple(max(factor, min(longest, side if fit == "pad" else side // (2 * size))) for side in sides)
    else:
        factors = factor, factor
    if factors == (1, 1):
        return _ReducedImage(np.ascontiguousarray(pixels), corner, (1, 1))
    return _ReducedImage(np.asarray(Image.fromarray(pixels).reduce(factors)), corner, (factors[0], factors[1]))
