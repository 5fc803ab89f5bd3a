"""Prepares published sets: each split becomes a folder of small square images and a landmark table."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from autolink_gen.common.files import BadFileError, check_free, reading, whole, write_text_atomically
from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.common.text import counted, from_cell, shown, to_cell
from autolink_gen.common.tolerance import Tolerance
from autolink_gen.data.images import ImageError, read_header, read_image
from autolink_gen.data.inner_names import inner_name
from autolink_gen.data.published.list_files import read_bytes
from autolink_gen.data.published.readers import AnnotatedImage, Box, find_file
from autolink_gen.data.published.sets import ImageSet, Layout
from autolink_gen.data.published.trees import missing_from, tree_error
from autolink_gen.data.published.written_files import SplitFiles
from autolink_gen.data.video.prepare import MAX_SIZE, MIN_SIZE

PREPARED = "prepared"  # the folder of the data root where sets made ready lie
_STATE_NAME = "prepared.json"
_MAX_STATE_BYTES = 10_000
_REMEDY = "free some space and repeat the command"
_BLACK_BELOW = 128
_QUALITY = 95


@dataclass(frozen=True)
class PreparedSplit:
    """The result for one split: images written, images kept, and errors of the others.

    `removed` images were there and are no longer in the set's lists.
    """

    name: str
    folder: Path
    written: int
    were_there: int
    removed: int
    errors: tuple[str, ...]

    @property
    def total(self) -> int:
        """Images that are there now."""
        return self.written + self.were_there

    def lines(self, *, published: int | None) -> list[str]:
        """The report as lines; `published` is the published number of images, where known."""
        before = f", {self.were_there} of them there before" if self.were_there else ""
        lines = [f"{self.name}: {counted(self.total, 'image')} in {self.folder}{before}"]
        if published is not None:
            differs = f"published: {published:,}; this is another selection"
            lines.append(f"  {'as published' if self.total == published else differs}")
        if self.removed:
            lines.append(f"  {counted(self.removed, 'image')} of an earlier call removed: the set lists them no more")
        if self.errors:
            lines.append(f"  {counted(len(self.errors), 'image')} could not be read: {self.errors[0]}")
        return lines


def find_layout(name: str, entry: ImageSet, base: Path) -> tuple[Path, Layout]:
    """The set's folder in a data root, or the root itself, and its layout; ValueError if none fits."""
    homes = [home for folder in (name, *entry.homes) if (home := base / folder).is_dir()]
    for home in (*homes, base):
        for layout in entry.layouts:
            if not missing_from(home, layout.tree, find_file):
                return home, layout
    trees = [layout.tree for layout in entry.layouts]
    raise tree_error(name, trees, homes[0] if homes else base, find_file, homes=(*entry.homes, name))


def prepare_set(
    name: str,
    entry: ImageSet,
    base: Path,
    *,
    size: int = 128,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[PreparedSplit]:
    """Write the splits of a published set below `base`/prepared/`name`, as JPEG of (size, size) pixels.

    Images are stretched, as in the authors' code. Those that are there are kept, so that an interrupted call may be
    repeated, but for those that an earlier call wrote and that are in the set's lists no more. One that cannot be read
    is left out. Nothing that others put there is removed. With `overwrite` images of another size are made anew, and
    tables of landmarks replaced that nothing is known of.

    Raises:
        ValueError: the set is not below `base` in a published form, images are there that were made otherwise or
            by others, or more than 5 % of the images (and more than one) cannot be read.
        OSError: they cannot be written.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"--size is {size}; it must be {MIN_SIZE} to {MAX_SIZE} pixels")
    home, layout = find_layout(name, entry, base)
    splits = layout.read(home, progress)
    for split, images in splits.items():
        _check(f"{name}, split {split}", images, home)
    target = base / PREPARED / name
    files = {
        split: SplitFiles(target / split, [f"{image.name}.jpg" for image in images]) for split, images in splits.items()
    }
    _claim(target, files, size=size, overwrite=overwrite)
    for split_files in files.values():
        split_files.check()
    prepared = [_prepare_split(split, splits[split], files[split], entry.names, size, progress) for split in splits]
    _write_state(target, size, complete=True)
    return prepared


def _claim(target: Path, files: dict[str, SplitFiles], *, size: int, overwrite: bool) -> None:
    """Record the size; ValueError where another was prepared before, or unknown tables are in the way."""
    state = _read_state(target)
    is_ours = (target / _STATE_NAME).is_file() or any(split_files.manifest.is_file() for split_files in files.values())
    check_free(*(_table_file(target / split) for split in files), overwrite=overwrite or is_ours, option="--data-root")
    if state and state.get("size") != size:
        if not overwrite:
            raise ValueError(
                f"{target} holds images of {shown(state.get('size'))} pixels, not {size}; give --overwrite to make "
                "them anew, or move that folder away"
            )
        write_text_atomically(
            target / _STATE_NAME, json.dumps({**state, "complete": False}) + "\n", remedy=_REMEDY, follow_links=False
        )
        for split_files in files.values():
            split_files.remove_all()
    _write_state(target, size, complete=False)


def is_prepared(name: str, base: Path) -> bool:
    """Whether a set is completely prepared."""
    return bool(_read_state(base / PREPARED / name).get("complete"))


def _read_state(target: Path) -> dict[str, Any]:
    try:
        with reading(target / _STATE_NAME, "note", remedy="repeat the command"):
            state = json.loads(read_bytes(target / _STATE_NAME, most=_MAX_STATE_BYTES))
    except BadFileError:
        return {}
    return state if isinstance(state, dict) else {}


def _write_state(target: Path, size: int, *, complete: bool) -> None:
    text = json.dumps({"size": size, "complete": complete}) + "\n"
    write_text_atomically(target / _STATE_NAME, text, remedy=_REMEDY, follow_links=False)


def _check(split: str, images: Sequence[AnnotatedImage], home: Path) -> None:
    """ValueError where a split has no images, one image twice, or impossible landmarks."""
    if not images:
        raise ValueError(f"the lists in {home} name no images for {split}; see that they are whole")
    for image in images:
        inner_name(image.name, str(home))
        if from_cell(to_cell(image.name)) != image.name:  # it would be another one in the table of landmarks
            raise ValueError(f"{home}: '{shown(image.name)}' has characters that cannot be shown; rename that image")
    name, count = Counter(image.name for image in images).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{home} lists {name} {count} times for {split}; its lists are damaged")
    counts = Counter(len(image.points) for image in images if image.points is not None)
    usual = counts.most_common(1)[0][0] if counts else 0
    for image in images:
        if image.points is None:
            continue
        if len(image.points) != usual:
            raise ValueError(
                f"{home}: {image.name} has {len(image.points)} landmarks and others {usual}; its lists are damaged"
            )
        if image.length and np.nanmax(np.abs(image.points), initial=0) > 2 * image.length:
            raise ValueError(
                f"{home}: landmarks of {image.name} go up to {np.nanmax(image.points):g}, and they are in units of "
                f"which the image has {image.length:g}; give them as `autolink-gen data info` says"
            )


def _prepare_split(
    split: str,
    images: Sequence[AnnotatedImage],
    files: SplitFiles,
    names: tuple[str, ...],
    size: int,
    progress: Progress,
) -> PreparedSplit:
    folder = files.folder
    files.note()
    work = partial(_prepare_image, folder=folder, size=size)
    results: list[tuple[AnnotatedImage, _Outcome]] = []
    errors: list[str] = []
    tolerance = Tolerance(len(images), what=f"images of {split}")
    for image, outcome in zip(images, progress(_map_in_threads(work, images), len(images), split), strict=True):
        if outcome.error:
            errors.append(outcome.error)
            tolerance.add(image.name, outcome.error)
        else:
            results.append((image, outcome))
    if any(outcome.points is not None for _, outcome in results):
        write_text_atomically(_table_file(folder), _landmark_table(results, names), remedy=_REMEDY, follow_links=False)
    written = sum(outcome.written for _, outcome in results)
    removed = files.remove_others(set(files.listed))
    return PreparedSplit(split, folder, written, len(results) - written, removed, tuple(errors))


def _map_in_threads(work: "partial[_Outcome]", images: Sequence[AnnotatedImage]) -> Iterator["_Outcome"]:
    """Map `work` in threads, which suffice: decoding and resizing release the interpreter."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        ahead = 1000  # at once: a set has hundreds of thousands
        for start in range(0, len(images), ahead):
            yield from pool.map(work, images[start : start + ahead])


@dataclass(frozen=True)
class _Outcome:
    """The result for one image; `points` are fractions, in [0, 1], of the written image."""

    written: bool
    points: Float[ndarray, "P 2"] | None = None
    error: str = ""


def _prepare_image(image: AnnotatedImage, *, folder: Path, size: int) -> _Outcome:
    target = folder / f"{image.name}.jpg"
    try:
        if target.is_file():
            original = _size_of(image)
            return _Outcome(False, _landmarks_in_box(image, original, _clip_box(image, original)))
        pixels = _pixels(image)
        box = _clip_box(image, pixels.size)
        small = pixels.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
        # Without the care for a power cut, which would cost more than all else.
        with whole(target, remedy=_REMEDY, sync=False) as temporary, temporary.open("xb") as file:
            small.save(file, format="JPEG", quality=_QUALITY)
        return _Outcome(True, _landmarks_in_box(image, pixels.size, box))
    except (ImageError, BadFileError) as error:
        return _Outcome(False, error=str(error))


def _size_of(image: AnnotatedImage) -> tuple[int, int]:
    if isinstance(image.source, Path):
        header = read_header(image.source)
        return header.width, header.height
    height, width = image.source().shape[:2]
    return width, height


def _pixels(image: AnnotatedImage) -> Image.Image:
    """The whole image, RGB, the background black where there is a mask."""
    pixels = read_image(image.source) if isinstance(image.source, Path) else Image.fromarray(image.source())
    if image.mask is None:
        return pixels
    mask = read_image(image.mask).convert("L").resize(pixels.size, Image.Resampling.NEAREST)
    is_object = np.asarray(mask)[..., None] >= _BLACK_BELOW
    return Image.fromarray(np.where(is_object, np.asarray(pixels), 0).astype(np.uint8))


def _clip_box(image: AnnotatedImage, size: tuple[int, int]) -> Box:
    """The box clipped to the image; the whole image where there is no box."""
    width, height = size
    box = image.box
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    left, top, right, bottom = box
    inside = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        raise BadFileError(f"the box {shown(box)} of {image.name} is not in the image; see that the lists are whole")
    return inside


def _landmarks_in_box(image: AnnotatedImage, size: tuple[int, int], box: Box) -> Float[ndarray, "P 2"] | None:
    """The landmarks as fractions of the box."""
    if image.points is None:
        return None
    pixels = image.points if image.length is None else image.points / image.length * np.array(size)
    return (pixels - np.array(box[:2])) / (np.array(box[2:]) - np.array(box[:2]))


def _table_file(folder: Path) -> Path:
    return folder.with_name(f"landmarks_{folder.name}.csv")


def _landmark_table(results: Iterable[tuple[AnnotatedImage, _Outcome]], names: tuple[str, ...]) -> str:
    """A landmark table, in the form that :mod:`autolink_gen.data.landmarks` reads."""
    rows = [(image.name, outcome.points) for image, outcome in results if outcome.points is not None]
    count = len(rows[0][1])
    heads = [f"{name}_{axis}" for name in names for axis in "xy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *(heads or [f"{axis}{point}" for point in range(count) for axis in "xy"])])
    for name, points in rows:
        values = ("" if np.isnan(value) else f"{value:.6g}" for value in points.ravel())
        writer.writerow([to_cell(f"{name}.jpg"), *values])
    return text.getvalue()


def download_set(entry: ImageSet, base: Path) -> None:
    """Download a set with torchvision into a data root; ValueError where it has none, or the transfer fails."""
    if entry.torchvision is None:
        raise ValueError(f"torchvision has no download of this set; get it from {entry.where}")
    import torchvision.datasets

    base.mkdir(parents=True, exist_ok=True)
    try:
        getattr(torchvision.datasets, entry.torchvision)(str(base), download=True)
    except Exception as error:  # torchvision raises anything that urllib, gdown or a checksum does
        raise ValueError(f"torchvision could not fetch the set ({error}); get it from {entry.where}") from error
