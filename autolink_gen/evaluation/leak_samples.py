"""Keypoints, colours and classes or groups of images, for measuring the appearance leak."""

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
from autolink_gen.evaluation.leak import FOLDS, MAX_IMAGES
from autolink_gen.evaluation.splits import AnnotatedSplit
from autolink_gen.inference.detect_batches import detect_with_colours
from autolink_gen.models.autolink import AutoLink
from autolink_gen.ops.divergence import check_found

_MAX_CLASSES = 20  # a folder of more folders holds clips or people


@dataclass(frozen=True)
class LeakSamples:
    """Keypoints (x, y) in [-1, 1] and mean colours in [0, 1] of N images.

    `classes` or `groups` of the images are given where they are known, never both. `groups` are people or clips, whose
    images look alike.
    """

    keypoints: Float[ndarray, "N K 2"]
    colours: Float[ndarray, "N 3"]
    classes: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.keypoints)


def samples_of_images(
    graph: AutoLink,
    dataset: Dataset[Tensor],
    *,
    source: Source,
    max_images: int = MAX_IMAGES,
    batch_size: int = 32,
    progress: Progress = no_progress,
) -> LeakSamples:
    """Samples from at most `max_images` of a data set, evenly spread.

    `dataset` holds the images of `source`. Raises ValueError if there are none.
    """
    rows = _spread(len(dataset), max_images)  # type: ignore[arg-type]
    read = (np.asarray(dataset[row].permute(1, 2, 0)) for row in progress(rows, len(rows), "keypoints"))
    keypoints, _, colours = detect_with_colours(graph, read, batch_size=batch_size)
    check_found(keypoints, name="the model")
    names = [_folder(dataset, row) for row in rows]
    if isinstance(dataset, RandomFrames) or _holds_clips(source):
        return LeakSamples(keypoints, colours, groups=_as_groups(names))
    return LeakSamples(keypoints, colours, classes=_as_classes(names))


def samples_of_annotations(
    split: AnnotatedSplit, annotations: Annotations, *, max_images: int = MAX_IMAGES
) -> LeakSamples:
    """Samples from at most `max_images` of an annotated split; ValueError without colours."""
    if annotations.colours is None:
        raise ValueError("the annotations have no colours; annotate keeps them")
    rows = _spread(len(split), max_images)
    keypoints, colours = annotations.detected[rows], annotations.colours[rows]
    if any(split.table.people):
        return LeakSamples(keypoints, colours, groups=_as_groups([split.table.people[row] for row in rows]))
    names = [_first_folder(split.paths[row], split.folder) for row in rows]
    return LeakSamples(keypoints, colours, classes=_as_classes(names))


def samples_of_puppets(fit: Annotations, test: Annotations, *, max_images: int = MAX_IMAGES) -> LeakSamples:
    """Samples from at most `max_images` puppets; ValueError without colours."""
    if fit.colours is None or test.colours is None:
        raise ValueError("the annotations have no colours; evaluate_puppets keeps them")
    rows = _spread(len(fit.true) + len(test.true), max_images)
    keypoints, colours = np.concatenate([fit.detected, test.detected]), np.concatenate([fit.colours, test.colours])
    return LeakSamples(keypoints[rows], colours[rows])


def _spread(count: int, most: int) -> list[int]:
    """The numbers of so many images, evenly spread, or of all."""
    most = min(count, most)
    return [i * count // most for i in range(most)]


# ---- what images show ----


def _folder(dataset: Dataset[Tensor], index: int) -> str:
    """The folder of an image, which is its class or clip; "" if there is none."""
    if isinstance(dataset, RandomFrames):
        return dataset.clips[index % len(dataset.clips)].name
    if isinstance(dataset, ConcatDataset):
        member = dataset.datasets[bisect_right(dataset.cumulative_sizes, index)]
        return member.folder.name if isinstance(member, ImageFolder) else ""
    return _first_folder(dataset.paths[index], dataset.folder) if isinstance(dataset, ImageFolder) else ""


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
    """The names, if they are two classes or more, each with enough images to hold out."""
    counts = Counter(names)
    is_useful = "" not in counts and 2 <= len(counts) <= _MAX_CLASSES and min(counts.values()) >= FOLDS
    return tuple(names) if is_useful else None
