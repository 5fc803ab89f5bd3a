"""Published sets made ready: each part a folder of small square pictures with a table of landmarks beside it."""

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
from autolink_gen.data.published.readers import Annotated, Box, located
from autolink_gen.data.published.sets import Layout, PictureSet
from autolink_gen.data.published.trees import missing_from, tree_error
from autolink_gen.data.published.written_files import PartFiles
from autolink_gen.data.video.prepare import MAX_SIZE, MIN_SIZE

PREPARED = "prepared"  # the folder of the data root where sets made ready lie
_STATE_NAME = "prepared.json"
_MAX_STATE_BYTES = 10_000
_REMEDY = "free some space and repeat the command"
_BLACK_BELOW = 128
_QUALITY = 95


@dataclass(frozen=True)
class PreparedPart:
    """What became of one part: pictures written now, those that were there, and why others could not be read.

    `removed` pictures were there and are no longer in the set's lists.
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
        """The part in words, beside the `published` number of its images where that is known."""
        kept = f", {self.were_there} of them there before" if self.were_there else ""
        lines = [f"{self.name}: {counted(self.total, 'image')} in {self.folder}{kept}"]
        if published is not None:
            differs = f"published: {published:,}; this is another selection"
            lines.append(f"  {'as published' if self.total == published else differs}")
        if self.removed:
            lines.append(f"  {counted(self.removed, 'image')} of an earlier call removed: the set lists them no more")
        if self.errors:
            lines.append(f"  {counted(len(self.errors), 'image')} could not be read: {self.errors[0]}")
        return lines


def find_layout(name: str, entry: PictureSet, base: Path) -> tuple[Path, Layout]:
    """The set's folder in a data root, or the root itself, and the form it has; ValueError with both trees if none."""
    homes = [home for folder in (name, *entry.homes) if (home := base / folder).is_dir()]
    for home in (*homes, base):
        for layout in entry.layouts:
            if not missing_from(home, layout.tree, located):
                return home, layout
    trees = [layout.tree for layout in entry.layouts]
    raise tree_error(name, trees, homes[0] if homes else base, located, homes=(*entry.homes, name))


def prepare_set(
    name: str,
    entry: PictureSet,
    base: Path,
    *,
    size: int = 128,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[PreparedPart]:
    """Write the parts of a published set below `base`/prepared/`name`, as JPEG of (size, size) pixels.

    Pictures are stretched, as in the authors' code. Those that are there are kept, so that an interrupted call may be
    repeated, but for those that an earlier call wrote and that are in the set's lists no more. One that cannot be read
    is left out. Nothing that others put there is removed. With `overwrite` pictures of another size are made anew, and
    tables of landmarks replaced that nothing is known of.

    Raises:
        ValueError: the set is not below `base` in a published form, pictures are there that were made otherwise or
            by others, or more than 5 % of the pictures (and more than one) cannot be read.
        OSError: they cannot be written.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"--size is {size}; it must be {MIN_SIZE} to {MAX_SIZE} pixels")
    home, layout = find_layout(name, entry, base)
    parts = layout.read(home, progress)
    for part, pictures in parts.items():
        _check(f"{name}, part {part}", pictures, home)
    target = base / PREPARED / name
    files = {
        part: PartFiles(target / part, [f"{picture.name}.jpg" for picture in pictures])
        for part, pictures in parts.items()
    }
    _claim(target, files, size=size, overwrite=overwrite)
    for of_part in files.values():
        of_part.check()
    prepared = [_prepare_part(part, parts[part], files[part], entry.names, size, progress) for part in parts]
    _note(target, size, complete=True)
    return prepared


def _claim(target: Path, files: dict[str, PartFiles], *, size: int, overwrite: bool) -> None:
    """Note the size that is made now; ValueError where another was, or tables lie there that nothing is known of."""
    found = _state(target)
    is_ours = (target / _STATE_NAME).is_file() or any(of_part.manifest.is_file() for of_part in files.values())
    check_free(*(_table_file(target / part) for part in files), overwrite=overwrite or is_ours, option="--data-root")
    if found and found.get("size") != size:
        if not overwrite:
            raise ValueError(
                f"{target} holds pictures of {shown(found.get('size'))} pixels, not {size}; give --overwrite to make "
                "them anew, or move that folder away"
            )
        write_text_atomically(
            target / _STATE_NAME, json.dumps({**found, "complete": False}) + "\n", remedy=_REMEDY, follow_links=False
        )
        for of_part in files.values():
            of_part.remove_all()
    _note(target, size, complete=False)


def is_prepared(name: str, base: Path) -> bool:
    """Whether a set was made ready, to the end."""
    return bool(_state(base / PREPARED / name).get("complete"))


def _state(target: Path) -> dict[str, Any]:
    try:
        with reading(target / _STATE_NAME, "note", remedy="repeat the command"):
            found = json.loads(read_bytes(target / _STATE_NAME, most=_MAX_STATE_BYTES))
    except BadFileError:
        return {}
    return found if isinstance(found, dict) else {}


def _note(target: Path, size: int, *, complete: bool) -> None:
    text = json.dumps({"size": size, "complete": complete}) + "\n"
    write_text_atomically(target / _STATE_NAME, text, remedy=_REMEDY, follow_links=False)


def _check(part: str, pictures: Sequence[Annotated], home: Path) -> None:
    """ValueError where the lists of a part name no picture, or one twice, or give landmarks of no sense."""
    if not pictures:
        raise ValueError(f"the lists in {home} name no pictures for {part}; see that they are whole")
    for picture in pictures:
        inner_name(picture.name, str(home))
        if from_cell(to_cell(picture.name)) != picture.name:  # it would be another one in the table of landmarks
            raise ValueError(
                f"{home}: '{shown(picture.name)}' has characters that cannot be shown; rename that picture"
            )
    name, count = Counter(picture.name for picture in pictures).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{home} lists {name} {count} times for {part}; its lists are damaged")
    counts = Counter(len(picture.points) for picture in pictures if picture.points is not None)
    usual = counts.most_common(1)[0][0] if counts else 0
    for picture in pictures:
        if picture.points is None:
            continue
        if len(picture.points) != usual:
            raise ValueError(
                f"{home}: {picture.name} has {len(picture.points)} landmarks and others {usual}; its lists are damaged"
            )
        if picture.length and np.nanmax(np.abs(picture.points), initial=0) > 2 * picture.length:
            raise ValueError(
                f"{home}: landmarks of {picture.name} go up to {np.nanmax(picture.points):g}, and they are in units of "
                f"which the picture has {picture.length:g}; give them as `autolink-gen data info` says"
            )


def _prepare_part(
    part: str, pictures: Sequence[Annotated], files: PartFiles, names: tuple[str, ...], size: int, progress: Progress
) -> PreparedPart:
    folder = files.folder
    files.note()
    work = partial(_prepare, folder=folder, size=size)
    found: list[tuple[Annotated, _Outcome]] = []
    errors: list[str] = []
    tolerance = Tolerance(len(pictures), what=f"pictures of {part}")
    for picture, outcome in zip(pictures, progress(_each(work, pictures), len(pictures), part), strict=True):
        if outcome.error:
            errors.append(outcome.error)
            tolerance.add(picture.name, outcome.error)
        else:
            found.append((picture, outcome))
    if any(outcome.points is not None for _, outcome in found):
        write_text_atomically(_table_file(folder), _table(found, names), remedy=_REMEDY, follow_links=False)
    written = sum(outcome.written for _, outcome in found)
    removed = files.remove_others(set(files.listed))
    return PreparedPart(part, folder, written, len(found) - written, removed, tuple(errors))


def _each(work: "partial[_Outcome]", pictures: Sequence[Annotated]) -> Iterator["_Outcome"]:
    """Threads suffice: decoding and resizing leave the interpreter free."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        ahead = 1000  # at once: a set has hundreds of thousands
        for start in range(0, len(pictures), ahead):
            yield from pool.map(work, pictures[start : start + ahead])


@dataclass(frozen=True)
class _Outcome:
    """`points` are in [0, 1] of what was written."""

    written: bool
    points: Float[ndarray, "P 2"] | None = None
    error: str = ""


def _prepare(picture: Annotated, *, folder: Path, size: int) -> _Outcome:
    target = folder / f"{picture.name}.jpg"
    try:
        if target.is_file():
            original = _size_of(picture)
            return _Outcome(False, _points(picture, original, _inside(picture, original)))
        image = _pixels(picture)
        box = _inside(picture, image.size)
        small = image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
        # Without the care for a power cut, which would cost more than all else.
        with whole(target, remedy=_REMEDY, sync=False) as temporary, temporary.open("xb") as file:
            small.save(file, format="JPEG", quality=_QUALITY)
        return _Outcome(True, _points(picture, image.size, box))
    except (ImageError, BadFileError) as error:
        return _Outcome(False, error=str(error))


def _size_of(picture: Annotated) -> tuple[int, int]:
    if isinstance(picture.source, Path):
        header = read_header(picture.source)
        return header.width, header.height
    height, width = picture.source().shape[:2]
    return width, height


def _pixels(picture: Annotated) -> Image.Image:
    """The whole picture, RGB, the background black where there is a mask."""
    image = read_image(picture.source) if isinstance(picture.source, Path) else Image.fromarray(picture.source())
    if picture.mask is None:
        return image
    mask = read_image(picture.mask).convert("L").resize(image.size, Image.Resampling.NEAREST)
    shown = np.asarray(mask)[..., None] >= _BLACK_BELOW
    return Image.fromarray(np.where(shown, np.asarray(image), 0).astype(np.uint8))


def _inside(picture: Annotated, size: tuple[int, int]) -> Box:
    """The part of a box that is in the picture; the whole picture where there is no box."""
    width, height = size
    box = picture.box
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    left, top, right, bottom = box
    inside = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        raise BadFileError(
            f"the box {shown(box)} of {picture.name} is not in the picture; see that the lists are whole"
        )
    return inside


def _points(picture: Annotated, size: tuple[int, int], box: Box) -> Float[ndarray, "P 2"] | None:
    """The landmarks in [0, 1] of the box."""
    if picture.points is None:
        return None
    pixels = picture.points if picture.length is None else picture.points / picture.length * np.array(size)
    return (pixels - np.array(box[:2])) / (np.array(box[2:]) - np.array(box[:2]))


def _table_file(folder: Path) -> Path:
    return folder.with_name(f"landmarks_{folder.name}.csv")


def _table(found: Iterable[tuple[Annotated, _Outcome]], names: tuple[str, ...]) -> str:
    """Landmarks in the form that :mod:`autolink_gen.data.landmarks` reads."""
    rows = [(picture.name, outcome.points) for picture, outcome in found if outcome.points is not None]
    count = len(rows[0][1])
    heads = [f"{name}_{axis}" for name in names for axis in "xy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *(heads or [f"{axis}{point}" for point in range(count) for axis in "xy"])])
    for name, points in rows:
        values = ("" if np.isnan(value) else f"{value:.6g}" for value in points.ravel())
        writer.writerow([to_cell(f"{name}.jpg"), *values])
    return text.getvalue()


def download_set(entry: PictureSet, base: Path) -> None:
    """Fetch a set that torchvision knows into a data root; ValueError where it knows none, or the transfer fails."""
    if entry.torchvision is None:
        raise ValueError(f"torchvision has no download of this set; get it from {entry.where}")
    import torchvision.datasets

    base.mkdir(parents=True, exist_ok=True)
    try:
        getattr(torchvision.datasets, entry.torchvision)(str(base), download=True)
    except Exception as error:  # torchvision raises anything that urllib, gdown or a checksum does
        raise ValueError(f"torchvision could not fetch the set ({error}); get it from {entry.where}") from error
