"""Keypoints of pictures without landmarks, what the pictures look like, and which class, clip or person they show."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from autolink_gen.common.progress import Progress, no_progress
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.named import NamedSource
from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.evaluation.landmarks import Annotations
from autolink_gen.evaluation.leak import FOLDS, MAX_PICTURES
from autolink_gen.evaluation.splits import Part
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import check_found

_MAX_CLASSES = 20  # a folder of more folders holds clips or people


@dataclass(frozen=True)
class Seen:
    """Keypoints (x, y) in [-1, 1] and mean colours in [0, 1] of N pictures, with what each shows, where that is known.

    `groups` are people or clips, of which one has many pictures that look alike. Never both.
    """

    keypoints: Float[ndarray, "N K 2"]
    colours: Float[ndarray, "N 3"]
    classes: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.keypoints)


def see_pictures(
    graph: AutoLink,
    pictures: Dataset[Tensor],
    *,
    source: Source,
    max_pictures: int = MAX_PICTURES,
    batch_size: int = 32,
    progress: Progress = no_progress,
) -> Seen:
    """Detect on at most `max_pictures` spread over the images of `source`, which are `pictures`.

    Raises ValueError where there are none.
    """
    rows = _spread(len(pictures), max_pictures)  # type: ignore[arg-type]
    read = (np.asarray(pictures[row].permute(1, 2, 0)) for row in progress(rows, len(rows), "keypoints"))
    keypoints, _, colours = detect_with_colours(graph, read, batch_size=batch_size)
    check_found(keypoints, name="the model")
    names = [_folder(pictures, row) for row in rows]
    if isinstance(pictures, RandomFrames) or _holds_clips(source):
        return Seen(keypoints, colours, groups=_as_groups(names))
    return Seen(keypoints, colours, classes=_as_classes(names))


def see_annotated(part: Part, found: Annotations, *, max_pictures: int = MAX_PICTURES) -> Seen:
    """What was seen already of at most `max_pictures` spread over an annotated part; ValueError without colours."""
    if found.colours is None:
        raise ValueError("the annotations have no colours; annotate keeps them")
    rows = _spread(len(part), max_pictures)
    keypoints, colours = found.detected[rows], found.colours[rows]
    if any(part.table.persons):
        return Seen(keypoints, colours, groups=_as_groups([part.table.persons[row] for row in rows]))
    names = [_first_folder(part.paths[row], part.folder) for row in rows]
    return Seen(keypoints, colours, classes=_as_classes(names))


def see_puppets(fit: Annotations, test: Annotations, *, max_pictures: int = MAX_PICTURES) -> Seen:
    """What was seen already of at most `max_pictures` spread over puppets; ValueError without colours."""
    if fit.colours is None or test.colours is None:
        raise ValueError("the annotations have no colours; evaluate_puppets keeps them")
    rows = _spread(len(fit.true) + len(test.true), max_pictures)
    keypoints, colours = np.concatenate([fit.detected, test.detected]), np.concatenate([fit.colours, test.colours])
    return Seen(keypoints[rows], colours[rows])


def _spread(count: int, most: int) -> list[int]:
    """The numbers of so many pictures, evenly spread, or of all."""
    most = min(count, most)
    return [i * count // most for i in range(most)]


# ---- what pictures show ----


def _folder(pictures: Dataset[Tensor], index: int) -> str:
    """The class or the clip that a picture lies in, by the folder; "" where it lies in none, or nobody knows."""
    if isinstance(pictures, RandomFrames):
        return pictures.clips[index % len(pictures.clips)].name
    if isinstance(pictures, ConcatDataset):
        part = pictures.datasets[bisect_right(pictures.cumulative_sizes, index)]
        return part.folder.name if isinstance(part, ImageFolder) else ""
    return _first_folder(pictures.paths[index], pictures.folder) if isinstance(pictures, ImageFolder) else ""


def _first_folder(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def _holds_clips(source: Source) -> bool:
    """Whether the folders of a named set are clips, not classes."""
    return isinstance(source, NamedSource) and source.entry.depth > 0 and source.entry.level != "class"


def _as_groups(names: Sequence[str]) -> tuple[str, ...] | None:
    """The names where there are enough groups to hold some out."""
    return tuple(names) if len(set(names)) >= FOLDS else None


def _as_classes(names: Sequence[str]) -> tuple[str, ...] | None:
    """The names where they are those of two classes or more, each with some pictures to hold out."""
    counts = Counter(names)
    is_useful = "" not in counts and 2 <= len(counts) <= _MAX_CLASSES and min(counts.values()) >= FOLDS
    return tuple(names) if is_useful else None
