"""Pose files of a detection: one a video, each written when that video is done, and one of all images."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.common.files import whole
from autolink_gen.inference.detect import Detection
from autolink_gen.inference.pose_formats import FORMATS
from autolink_gen.inference.pose_journal import PoseJournal, journal_path
from autolink_gen.inference.pose_names import images_without
from autolink_gen.inference.pose_tables import PoseRecord, PoseTable, Skeleton
from autolink_gen.inference.sources import InputFile

_IMAGES = "keypoints"  # the name of what all images have together


class PoseFiles:
    """Collects the records of a file, and writes them in each of the ``formats`` when it is done.

    A video's files are named as its overlay is, and those of all images together ``keypoints``. A file that is there
    stays, unless ``overwrite``: `is_finished` tells whose all are. Until all images are done a journal has their
    points, and `is_taken_up` tells which an earlier command left there. Raises ValueError where the journal is of
    another model, of other options or of other images.
    """

    def __init__(
        self,
        out: Path,
        sources: Sequence[InputFile],
        *,
        formats: Sequence[str],
        skeleton: Skeleton,
        overwrite: bool = False,
        overlays: bool = True,
        min_likelihood: float = 0.0,
    ) -> None:
        self.paths: tuple[Path, ...] = ()
        self.num_kept = 0
        """Number of records in the files that were written."""
        self.skipped: list[tuple[Path, str]] = []
        self._files = pose_paths(out, sources, formats)
        self._skeleton, self._overwrite = skeleton, overwrite
        self._overlays = overlays
        self.drawn_before = set() if overwrite else {each.path for each in sources if (out / each.overlay).is_file()}
        """Files whose overlays are there."""
        self._pending: list[PoseRecord] = []
        self._image_files = [source.path for source in sources if not source.is_video]
        self._journal: PoseJournal | None = None
        if not all(self.is_finished(source) for source in sources if not source.is_video):
            self._journal = PoseJournal(
                journal_path(out), self._image_files, skeleton, min_likelihood=min_likelihood, overwrite=overwrite
            )
        self.num_records = 0 if self._journal is None else len(self._journal.records)

    def is_finished(self, source: InputFile) -> bool:
        """Whether all that is to be written of a source is there."""
        is_drawn = not self._overlays or source.path in self.drawn_before
        return not self._overwrite and is_drawn and all(file.is_file() for file in self._files[source.path].values())

    def missing_images(self) -> list[Path]:
        """Images whose files are there, and do not hold them: they are new, or could not be read."""
        if self._overwrite or self._journal is not None or not self._image_files:
            return []
        return images_without(self._files[self._image_files[0]], self._image_files)

    def is_taken_up(self, source: InputFile) -> bool:
        """Whether an image need not be looked at again, as its points are in the journal."""
        is_drawn = not self._overlays or source.path in self.drawn_before
        return is_drawn and self._journal is not None and source.path in self._journal.records

    def __enter__(self) -> "PoseFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.close()
            if self._journal.records:
                self.paths += (self._journal.path,)
                self.num_kept += len(self._journal.records)

    def add(self, detection: Detection, landmarks_px: Float[ndarray, "L 2"] | None = None) -> None:
        """Take one image's points, landmarks in the order of their names."""
        kept, parts = self._skeleton.kept, self._skeleton.landmark_parts
        likelihoods = detection.likelihoods
        assert likelihoods is not None
        points, sure = [detection.keypoints_px[kept]], [likelihoods[kept]]
        if landmarks_px is not None and parts is not None:
            points.append(landmarks_px)
            sure.append(parts @ likelihoods)
        source = detection.source
        record = PoseRecord(
            source.file,
            source.frame,
            source.time_s,
            detection.width_px,
            detection.height_px,
            np.concatenate(points),
            np.concatenate(sure),
        )
        self._pending.append(record)
        self.num_records += 1

    def begin_file(self) -> None:
        """Begin a file."""
        self._pending = []

    def end_file(self) -> None:
        """Write the records since `begin_file`: a video's as its files, an image's as a line of the journal."""
        if self._pending and self._pending[0].time_s is not None:
            self._write(self._pending, is_video=True)
        elif self._journal is not None:
            for record in self._pending:
                self.num_records -= record.file in self._journal.records
                self._journal.add(record)
        self._pending = []

    def end_images(self) -> None:
        """Write the files of all images, and remove their journal."""
        if self._journal is None:
            return
        records = self._journal.records
        if records:
            self._write([records[file] for file in self._image_files if file in records], is_video=False)
        self._journal.remove()
        self._journal = None

    def take_back(self) -> None:
        """Forget the records since `begin_file`."""
        self.num_records -= len(self._pending)
        self._pending = []

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that could not be read."""
        self.skipped.append((path, reason))

    def _write(self, records: list[PoseRecord], *, is_video: bool) -> None:
        table = PoseTable(self._skeleton, is_video, records)
        for name, file in self._files[records[0].file].items():
            if self._overwrite or not file.is_file():
                with whole(file, follow_links=True) as temporary:
                    FORMATS[name].write(temporary, table)
                self.paths += (file,)
        self.num_kept += len(records)


def pose_paths(out: Path, sources: Sequence[InputFile], formats: Sequence[str]) -> dict[Path, dict[str, Path]]:
    """The files to write for each source, by format: none for an image in a format of videos alone."""
    taken, stems = {_IMAGES}, {}
    for source in sources:
        stem = PurePosixPath(_IMAGES)
        if source.is_video:
            stem = source.overlay.with_suffix("")
            while str(stem).lower() in taken:
                stem = stem.with_name(f"{stem.name}-video")
            taken.add(str(stem).lower())
        stems[source.path] = stem
    return {
        source.path: {
            name: out / stems[source.path].with_name(stems[source.path].name + FORMATS[name].ending)
            for name in formats
            if source.is_video or FORMATS[name].takes_images
        }
        for source in sources
    }
