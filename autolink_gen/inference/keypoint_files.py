"""Detected keypoints as CSV and JSON files, written during detection."""

import csv
import io
import json
import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from autolink_gen.common.files import UnfinishedFile, reason_of, remedy_for, whole
from autolink_gen.common.text import to_cell, unicode_text
from autolink_gen.inference.detect import Detection
from autolink_gen.viz.graphs import edges_by_weight

logger = logging.getLogger(__name__)

_PAUSE_S = 2.0  # between two tables, at least
_TIMES = 20  # as long as the last took to write, so that tables of any size take a twentieth of the time at most
_CHUNK_BYTES = 2**16


class KeypointFiles:
    """Writes `keypoints.csv` and `keypoints.json` record by record, in a `with` block.

    The CSV has the columns file, frame, time_s (empty for an image), width_px, height_px, x0_px, y0_px,
    x1_px, ...: pixels of the original, (0, 0) the centre of its first pixel. The JSON has the same under
    "pictures", beside "model", "num_keypoints", "edges" (every pair of keypoints and its weight, the heaviest
    first) and "skipped" (files that could not be read, with the reason). Keypoints that are ``dropped`` have no
    columns and no edges, and are null in the JSON, which lists them under "dropped"; the others keep their
    numbers. In the CSV names are fit for a spreadsheet and a terminal, control characters escaped and a ' before what
    would be a formula; in the JSON they are exact, but for bytes that are no UTF-8, which both have as "\\udcff".
    Named landmarks, where there are any, follow as <name>_x_px, <name>_y_px, and in the JSON by name under
    "landmarks_px".

    Both take their names as soon as a file is finished, and are written anew while more are, at growing intervals, and
    when the block ends, be it by an error: they hold the records of whole files, and the JSON says "unfinished" until
    the block ends well. Where no file was finished, the folder holds what it held, or is gone where there was none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model_name: str,
        edge_weights: Float[ndarray, "K K"],
        dropped: Sequence[int] = (),
        landmark_names: Sequence[str] = (),
    ) -> None:
        self.paths = table_paths(folder)
        self.num_records = 0
        self.num_kept = 0
        """Number of records in the published tables; lags behind `num_records` while files are added."""
        self.skipped: list[tuple[Path, str]] = []
        self._landmark_names = tuple(landmark_names)
        self._keypoints = [k for k in range(len(edge_weights)) if k not in set(dropped)]
        self._num_marked = 0
        self._next_s = 0.0
        self._made_folder = None if folder.exists() else folder
        self._tables: list[_Table] = []
        try:
            self._tables += [_Table(self.paths[0])]
            self._tables += [_Table(self.paths[1])]
            self._write_heads(model_name, edge_weights, dropped)
        except BaseException:
            self._discard(failed=True)
            raise

    def _write_heads(self, model_name: str, edge_weights: Float[ndarray, "K K"], dropped: Sequence[int]) -> None:
        names = [f"{axis}{k}_px" for k in self._keypoints for axis in "xy"]
        names += [f"{name}_{axis}_px" for name in self._landmark_names for axis in "xy"]
        self._write_row(["file", "frame", "time_s", "width_px", "height_px", *names])
        edges = [
            {"keypoints": [i, j], "weight": weight}
            for i, j, weight in edges_by_weight(edge_weights)
            if i in self._keypoints and j in self._keypoints
        ]
        lines = ",\n".join(f"  {json.dumps(edge)}" for edge in edges)
        self._write_json(f'{{\n "model": {_to_json(model_name)},\n "num_keypoints": {len(edge_weights)},\n')
        self._write_json(f' "dropped": {json.dumps(sorted(dropped))},\n')
        self._write_json(f' "edges": [\n{lines}\n ],\n "pictures": [')

    def __enter__(self) -> "KeypointFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._mark()
                self._finish(unfinished=False)
            elif self._num_marked:
                self._finish_after_error()
        finally:
            self._discard(failed=kind is not None)

    def add(self, detection: Detection, landmarks_px: Float[ndarray, "P 2"] | None = None) -> None:
        """Append one image's keypoints, and its landmarks in the order of their names."""
        source = detection.source
        file = source.file.as_posix()
        record: dict[str, Any] = {
            "frame": source.frame,
            "time_s": None if source.time_s is None else round(source.time_s, 6),
            "width_px": detection.width_px,
            "height_px": detection.height_px,
        }
        points = _round_points(detection.keypoints_px)
        kept_points = [points[k] for k in self._keypoints]
        json_points = [point if k in self._keypoints else None for k, point in enumerate(points)]
        landmark_values = [] if landmarks_px is None else _round_points(landmarks_px)
        landmark_points = dict(zip(self._landmark_names, landmark_values, strict=True))
        landmarks = {unicode_text(name): point for name, point in landmark_points.items()}
        columns = [value for point in (*kept_points, *landmark_points.values()) for value in point]
        self._write_row([file, *record.values(), *columns])
        values = {
            "file": unicode_text(file),
            **record,
            "keypoints_px": json_points,
            **({"landmarks_px": landmarks} if landmarks else {}),
        }
        self._write_json(f"{',' if self.num_records else ''}\n  {json.dumps(values)}")
        self.num_records += 1

    def begin_file(self) -> None:
        """Mark the start of a file, for `take_back` if it turns out to be damaged."""
        self._mark()

    def end_file(self) -> None:
        """Keep the records since `begin_file`; publish the tables if it is time."""
        self._mark()
        now = time.monotonic()
        if now >= self._next_s:
            self._publish()
            ended = time.monotonic()
            self._next_s = ended + max(_PAUSE_S, _TIMES * (ended - now))

    def end_images(self) -> None:
        """Nothing: the tables hold images and videos together."""

    def take_back(self) -> None:
        """Remove the records since `begin_file`."""
        for table in self._tables:
            table.take_back()
        self.num_records = self._num_marked

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that could not be read."""
        self.skipped.append((path, reason))

    def _discard(self, *, failed: bool) -> None:
        for table in self._tables:
            table.discard()
        if failed and self._made_folder is not None:
            with suppress(OSError):  # what else was written keeps it
                self._made_folder.rmdir()

    def _mark(self) -> None:
        for table in self._tables:
            table.flush()
        for table in self._tables:  # both or none
            table.mark()
        self._num_marked = self.num_records

    def _publish(self) -> None:
        for table, tail in zip(self._tables, ("", self._tail(unfinished=True)), strict=True):
            table.publish(tail)
        self.num_kept = self._num_marked

    def _finish(self, *, unfinished: bool) -> None:
        for table, tail in zip(self._tables, ("", self._tail(unfinished=unfinished)), strict=True):
            table.finish(tail)
        self.num_kept = self._num_marked

    def _finish_after_error(self) -> None:
        """Publish the finished files' records; on a full disk the earlier tables stay."""
        try:
            self.take_back()
            self._finish(unfinished=True)
        except OSError as error:
            logger.warning("the tables end with record %d: %s", self.num_kept, error)

    def _tail(self, *, unfinished: bool) -> str:
        skipped = [{"file": unicode_text(path.as_posix()), "reason": unicode_text(why)} for path, why in self.skipped]
        values = {"skipped": skipped, **({"unfinished": True} if unfinished else {})}
        return "\n ],\n" + json.dumps(values, indent=1)[2:] + "\n"

    def _write_row(self, row: list[Any]) -> None:
        text = io.StringIO()
        cells = (to_cell(value) if isinstance(value, str) else value for value in row)
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._tables[0].write(text.getvalue())

    def _write_json(self, text: str) -> None:
        self._tables[1].write(text)


class _Table:
    """A growing temporary file that replaces its target with all content up to a mark."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marked_bytes = 0
        self._pending: list[bytes] = []
        self._num_pending = 0
        self._unfinished = UnfinishedFile(path, part=".part")
        self._file = self._unfinished.temporary.open("w+b", buffering=0)  # what a full disk refuses is in no buffer

    def write(self, text: str) -> None:
        self._pending.append(text.encode())
        self._num_pending += len(text)
        if self._num_pending >= _CHUNK_BYTES:
            self.flush()

    def mark(self) -> None:
        """Set the mark behind all that was flushed."""
        self._marked_bytes = self._file.tell()

    def take_back(self) -> None:
        self._pending.clear()
        self._num_pending = 0
        self._file.seek(self._marked_bytes)
        self._file.truncate()

    def publish(self, tail: str) -> None:
        """Replace the target with a copy up to the mark, and ``tail``."""
        if not self._unfinished.is_stream:
            with whole(self.path, follow_links=True) as temporary:
                self._copy(temporary, tail)

    def finish(self, tail: str) -> None:
        """Replace the target with the file itself and ``tail``; needs no space for a copy."""
        self.write(tail)
        self.flush()
        self._file.close()
        try:
            self._unfinished.keep()
        except OSError as error:
            raise self._with_path(error) from error

    def discard(self) -> None:
        self._file.close()
        self._unfinished.discard()

    def flush(self) -> None:
        content = memoryview(b"".join(self._pending))
        self._pending.clear()
        self._num_pending = 0
        try:
            while content:
                content = content[_write(self._file, content) :]
        except OSError as error:
            raise self._with_path(error) from error

    def _copy(self, target: Path, tail: str) -> None:
        with target.open("wb") as file, self._unfinished.temporary.open("rb") as source:
            num_left = self._marked_bytes
            while num_left:
                chunk = source.read(min(num_left, 16 * _CHUNK_BYTES))
                num_left -= len(chunk)
                file.write(chunk)
            file.write(tail.encode())

    def _with_path(self, error: OSError) -> OSError:
        return OSError(f"could not write {self.path}: {reason_of(error)}; {remedy_for(error, self.path)}")


def table_paths(folder: Path) -> tuple[Path, Path]:
    """The CSV and the JSON that `KeypointFiles` writes into a folder."""
    return folder / "keypoints.csv", folder / "keypoints.json"


def _write(file: io.FileIO, content: memoryview) -> int:
    return file.write(content) or 0


def _to_json(text: str) -> str:
    return json.dumps(unicode_text(text))


def _round_points(points: Float[ndarray, "N 2"]) -> list[list[float | None]]:
    """Pixels rounded to a thousandth; None for unknown values."""
    return [[round(float(value), 3) if math.isfinite(value) else None for value in point] for point in points]
