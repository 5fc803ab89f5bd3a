"""The points of images until all images are done: a line an image, from which a repeated command goes on."""

import io
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from autolink_gen.common.files import reading, reason_of, remedy_for
from autolink_gen.common.text import shown
from autolink_gen.inference.pose_tables import PoseRecord, Skeleton

_REMEDY = "give another --out, or --overwrite to begin anew"


def journal_path(out: Path) -> Path:
    """The journal in a folder of results."""
    return out / "keypoints.unfinished.jsonl"


class PoseJournal:
    """A file that grows by a line an image, each written at once, so that whatever ends the work leaves them.

    ``records`` are its images' points, first those that an earlier command left with the ``skeleton`` and the
    ``min_likelihood`` of this one. Raises ValueError where the file is of others, or holds images that are not among
    the ``images``; with ``overwrite`` it is begun anew instead, with the first record.
    """

    def __init__(
        self, path: Path, images: Sequence[Path], skeleton: Skeleton, *, min_likelihood: float, overwrite: bool = False
    ) -> None:
        self.path = path
        self.records: dict[Path, PoseRecord] = {}
        self._overwrite, self._num_points = overwrite, len(skeleton.names)
        self._head = _line(_head(skeleton, min_likelihood))
        self._num_bytes = 0
        self._file: io.FileIO | None = None
        if not overwrite and os.path.lexists(path):
            self._read()
            named = set(images)
            if strange := [file for file in self.records if file not in named]:
                names = f"{len(strange)} images that are not named here, {shown(str(strange[0]))} say"
                raise ValueError(f"{path} holds the points of {names}: name them too, {_REMEDY}")

    def add(self, record: PoseRecord) -> None:
        """Append an image's points; OSError where the disk is full."""
        try:
            if self._file is None:
                self._file = self._open()
            _write(self._file, _line(_to_json(record)))
            self._num_bytes = self._file.tell()
            self.records[record.file] = record
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, self._num_bytes)
            raise OSError(f"could not write {self.path}: {reason_of(error)}; {remedy_for(error, self.path)}") from error

    def close(self) -> None:
        """Keep the file as it is."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Remove the file, if it is this command's or was taken up."""
        self.close()
        if self._num_bytes:
            self.path.unlink(missing_ok=True)

    def _open(self) -> io.FileIO:
        if self._num_bytes:
            os.truncate(self.path, self._num_bytes)  # without a line that was not written to its end
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            with self.path.open("xb", buffering=0) as file:
                _write(file, self._head)
        return self.path.open("ab", buffering=0)

    def _read(self) -> None:
        if self.path.is_symlink() or not self.path.is_file():
            raise ValueError(f"{self.path} is no ordinary file: remove it, {_REMEDY}")
        content = self.path.read_bytes()
        if self._head.startswith(content):  # a command that came no further
            return
        if not content.startswith(self._head):
            raise ValueError(f"{self.path} is of another model, or of other options: {_REMEDY}")
        whole = content[: content.rindex(b"\n") + 1]
        with reading(self.path, "journal of detect", remedy=_REMEDY):
            for line in whole[len(self._head) :].splitlines():
                record = _from_json(json.loads(line), num_points=self._num_points)
                self.records[record.file] = record
        self._num_bytes = len(whole)


def _head(skeleton: Skeleton, min_likelihood: float) -> dict[str, Any]:
    """What images must have in common to stand in one file."""
    parts = skeleton.landmark_parts
    return {
        "format": "autolink-gen journal 1",
        "model": skeleton.model_name,
        "points": skeleton.names,
        "edge_weights": np.asarray(skeleton.edge_weights).tolist(),
        "landmark_parts": None if parts is None else np.asarray(parts).tolist(),
        "calibrated": skeleton.calibrated,
        "min_likelihood": min_likelihood,
    }


def _to_json(record: PoseRecord) -> dict[str, Any]:
    triples = np.column_stack([record.points_px, record.likelihoods]).tolist()
    return {
        "file": record.file.as_posix(),
        "size": [record.width_px, record.height_px],
        "points": [[value if math.isfinite(value) else None for value in triple] for triple in triples],
    }


def _from_json(values: dict[str, Any], *, num_points: int) -> PoseRecord:
    width_px, height_px = map(int, values["size"])
    points = np.array(values["points"], dtype=np.float64).reshape(num_points, 3)
    return PoseRecord(Path(values["file"]), 0, None, width_px, height_px, points[:, :2], points[:, 2])


def _line(values: dict[str, Any]) -> bytes:
    return (json.dumps(values) + "\n").encode()


def _write(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
