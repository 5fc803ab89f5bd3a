"""People held out of a source's training split, to tune settings without the test split."""

import logging
from contextlib import suppress
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset, Subset

from autolink_gen.data.folders import split_images
from autolink_gen.data.identity import public_data
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.images import FIT
from autolink_gen.data.landmarks import LandmarkTable, find_landmarks_csv, match_images, read_landmarks_csv
from autolink_gen.data.listing import log_listing
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.folder import SourceOfFiles

logger = logging.getLogger(__name__)


def people_table(source: Source) -> tuple[Path, Path]:
    """The folder of a source's training images, and the table that names the person in each.

    Raises ValueError for a source without such a table, and for several sources at once.
    """
    if not isinstance(source, SourceOfFiles):
        raise ValueError(
            f"hold_out leaves people out, and {public_data(source.text)} is no folder of images of people: leave it out"
        )
    folder = source.folder("train")
    try:
        return folder, find_landmarks_csv(folder)
    except ValueError as error:
        raise ValueError(f"hold_out leaves people out, and nothing names those of {source.text}: {error}") from error


def held_out_rows(table: LandmarkTable, every: int, *, table_path: Path) -> list[bool]:
    """Whether each image of a table shows a held-out person: every Nth by name, from the first.

    Raises ValueError for `every` below 2, an image without a person, and a single person.
    """
    if every < 2:
        raise ValueError(f"hold_out={every} leaves nobody to learn from; give 2 or more, 5 for every fifth person")
    if nameless := sum(not person for person in table.people):
        raise ValueError(
            f"{table_path} has no person for {nameless} of {len(table)} images, and hold_out leaves people out: fill "
            f"the column person, or leave hold_out out"
        )
    people = sorted(set(table.people))
    if len(people) < 2:
        raise ValueError(f"{table_path} has one person alone, and hold_out leaves people out: leave it out")
    held = frozenset(people[::every])
    return [person in held for person in table.people]


def training_files(source: Source, *, every: int = 0) -> set[tuple[str, int]]:
    """The images that a run is trained on, by their names below the set's folder and their sizes in bytes.

    With `every`, those of the people held out are none of them. Several sources give all of theirs; shards, and what is
    not there any more, give none.
    """
    files: set[tuple[str, int]] = set()
    for part in source.parts:
        with suppress(ValueError):
            folder = part.folder("train")
            paths = split_images(folder)[0]
            if every:
                table = read_landmarks_csv(find_landmarks_csv(folder))
                held = held_out_rows(table, every, table_path=folder)
                pairs = zip(match_images(table, folder), held, strict=True)
                paths = [path for path, is_held in pairs if not is_held]
            files |= {(str(path.relative_to(folder)), path.stat().st_size) for path in paths}
    return files


def open_people(source: Source, *, every: int, held_out: bool, size: int, fit: FIT = "crop") -> Dataset[Tensor]:
    """The training images of the people held out, or of all others, as `Source.images` gives them.

    Images that the table does not name are in neither. Raises ValueError as `people_table` and `held_out_rows` do,
    where an image of the table is missing, and for a source with classes.
    """
    if source.classes:
        raise ValueError("hold_out is for sets of people, which have no classes; leave one of the two out")
    folder, table_path = people_table(source)
    table = read_landmarks_csv(table_path)
    held = held_out_rows(table, every, table_path=table_path)
    images = ImageFolder(folder, image_size=size, fit=fit)
    log_listing(images.listing)
    selected = {
        path for path, is_held in zip(match_images(table, images.folder), held, strict=True) if is_held == held_out
    }
    rows = [index for index, path in enumerate(images.paths) if path in selected]
    people = {person for person, is_held in zip(table.people, held, strict=True) if is_held == held_out}
    logger.info(
        "%s: %d images of %d of %d people", "held out" if held_out else "without those held out", len(rows),
        len(people), len(set(table.people)),
    )  # fmt: skip
    return Subset(images, rows)
