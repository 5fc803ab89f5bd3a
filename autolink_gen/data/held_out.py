"""Persons held out of the training part of a data set, so that settings are tuned without the test persons."""

import logging
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset, Subset

from autolink_gen.data.folders import split_images
from autolink_gen.data.found import tell
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.images import FIT
from autolink_gen.data.landmarks import LandmarkTable, find_landmarks_csv, match_pictures, read_landmarks_csv
from autolink_gen.data.published.sets import SETS, Embedded
from autolink_gen.data.source import find_pictures, has_shards, parts_of

logger = logging.getLogger(__name__)


def find_persons(data: str | Path, *, root: Path | None = None) -> tuple[Path, Path]:
    """The folder of a data set's training pictures, and the table that names the person in each.

    Raises ValueError for data without such a table, and for several sets at once.
    """
    if len(parts_of(data)) > 1 or has_shards(data) or isinstance(SETS.get(str(data)), Embedded):
        raise ValueError(f"hold_out leaves persons out, and {data} is no folder of pictures with persons: leave it out")
    folder = find_pictures(data, root=root, split="train")
    try:
        return folder, find_landmarks_csv(folder)
    except ValueError as error:
        raise ValueError(f"hold_out leaves persons out, and nothing names those of {data}: {error}") from error


def held_out_rows(table: LandmarkTable, every: int, *, source: Path) -> list[bool]:
    """Which pictures of a table show persons held out: of the persons sorted by name the first, and every Nth from it.

    Raises ValueError for `every` below 2, a picture without a person, and a single person; `source` is the table.
    """
    if every < 2:
        raise ValueError(f"hold_out={every} leaves no person to learn from; give 2 or more, 5 for every fifth")
    if nameless := sum(not person for person in table.persons):
        raise ValueError(
            f"{source} has no person for {nameless} of {len(table)} pictures, and hold_out leaves persons out: fill "
            f"the column person, or leave hold_out out"
        )
    persons = sorted(set(table.persons))
    if len(persons) < 2:
        raise ValueError(f"{source} has one person alone, and hold_out leaves persons out: leave it out")
    held = frozenset(persons[::every])
    return [person in held for person in table.persons]


def training_files(data: str | Path, *, root: Path | None = None, every: int = 0) -> set[tuple[str, int]]:
    """The pictures that a run is trained on, by their names below the set's folder and their sizes in bytes.

    With `every`, those of the persons held out are none of them. Several sets give all of theirs; shards, and what is
    not there any more, give none.
    """
    files: set[tuple[str, int]] = set()
    for part in parts_of(data):
        with suppress(ValueError):
            folder = find_pictures(part, root=root, split="train")
            paths = split_images(folder)[0]
            if every:
                table = read_landmarks_csv(find_landmarks_csv(folder))
                held = held_out_rows(table, every, source=folder)
                pairs = zip(match_pictures(table, folder), held, strict=True)
                paths = [path for path, is_held in pairs if not is_held]
            files |= {(str(path.relative_to(folder)), path.stat().st_size) for path in paths}
    return files


def open_persons(
    data: str | Path,
    *,
    root: Path | None = None,
    every: int,
    held_out: bool,
    image_size: int,
    fit: FIT = "crop",
    classes: Collection[str] = (),
) -> Dataset[Tensor]:
    """The training pictures of the persons held out, or of all others, as :func:`open_dataset` gives them.

    Pictures that the table does not name are in neither. Raises ValueError as `find_persons` and `held_out_rows` do,
    where a picture of the table is missing, and for `classes`.
    """
    if classes:
        raise ValueError("hold_out is for sets of persons, which have no classes; leave one of the two out")
    folder, source = find_persons(data, root=root)
    table = read_landmarks_csv(source)
    held = held_out_rows(table, every, source=source)
    pictures = ImageFolder(folder, image_size=image_size, fit=fit)
    tell(pictures.found)
    paths = match_pictures(table, pictures.folder)
    wanted = {path for path, is_held in zip(paths, held, strict=True) if is_held == held_out}
    rows = [index for index, path in enumerate(pictures.paths) if path in wanted]
    persons = {person for person, is_held in zip(table.persons, held, strict=True) if is_held == held_out}
    logger.info(
        "%s: %d pictures of %d of %d persons", "held out" if held_out else "without those held out", len(rows),
        len(persons), len(set(table.persons)),
    )  # fmt: skip
    return Subset(pictures, rows)
