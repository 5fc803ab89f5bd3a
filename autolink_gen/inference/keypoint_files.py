"""Detected keypoints on disk, as CSV and as JSON, written while they are found."""

import csv
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from autolink_gen.inference.detect import Detection
from autolink_gen.text import to_cell
from autolink_gen.viz import edges_by_weight


class KeypointFiles:
    """Writes `keypoints.csv` and `keypoints.json` into a folder, record by record, in a `with` block.

    The CSV has the columns file, frame, time_s (empty for a picture), width_px, height_px, x0_px, y0_px,
    x1_px, ...: pixels of the original, (0, 0) the centre of its first pixel. The JSON has the same under
    "pictures", beside "model", "num_keypoints", "edges" (every pair of keypoints and its weight, the heaviest
    first) and "skipped" (files that could not be read, with the reason). Keypoints that are ``dropped`` have no
    columns and no edges, and are null in the JSON, which lists them under "dropped"; the others keep their
    numbers. In the CSV names are fit for a spreadsheet and a terminal, control characters escaped and a ' before what
    would be a formula; in the JSON they are exact. Named landmarks, where there are any, follow as <name>_x_px,
    <name>_y_px, and in the JSON by name under "landmarks_px". Both take their names when the block ends well; until
    then, and after an error, the folder holds what it held, or is gone where there was none.
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
        self.paths = (folder / "keypoints.csv", folder / "keypoints.json")
        self.num_records = 0
        self.skipped: list[tuple[Path, str]] = []
        self._landmark_names = tuple(landmark_names)
        self._kept = [k for k in range(len(edge_weights)) if k not in set(dropped)]
        self._places = (0, 0, 0)
        self._made_folder = None if folder.exists() else folder
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in self.paths]
        self._csv, self._json = (_open(path) for path in self._temporary)
        names = [f"{axis}{k}_px" for k in self._kept for axis in "xy"]
        names += [f"{name}_{axis}_px" for name in landmark_names for axis in "xy"]
        self._write_row(["file", "frame", "time_s", "width_px", "height_px", *names])
        edges = [
            {"keypoints": [i, j], "weight": weight}
            for i, j, weight in edges_by_weight(edge_weights)
            if i in self._kept and j in self._kept
        ]
        lines = ",\n".join(f"  {json.dumps(edge)}" for edge in edges)
        self._json.write(f'{{\n "model": {json.dumps(model_name)},\n "num_keypoints": {len(edge_weights)},\n')
        self._json.write(f' "dropped": {json.dumps(sorted(dropped))},\n')
        self._json.write(f' "edges": [\n{lines}\n ],\n "pictures": [')

    def __enter__(self) -> "KeypointFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                skipped = [{"file": path.as_posix(), "reason": reason} for path, reason in self.skipped]
                self._json.write("\n ],\n" + json.dumps({"skipped": skipped}, indent=1)[2:] + "\n")
                self._replace()
        finally:
            self._csv.close()
            self._json.close()
            for path in self._temporary:
                path.unlink(missing_ok=True)
            if kind is not None and self._made_folder is not None:
                with suppress(OSError):  # what else was written keeps it
                    self._made_folder.rmdir()

    def add(self, found: Detection, landmarks_px: Float[ndarray, "P 2"] | None = None) -> None:
        """Append one picture's keypoints, and its landmarks in the order of their names."""
        source = found.source
        record: dict[str, Any] = {
            "file": source.file.as_posix(),
            "frame": source.frame,
            "time_s": None if source.time_s is None else round(source.time_s, 6),
            "width_px": found.width_px,
            "height_px": found.height_px,
        }
        points = _rounded(found.keypoints_px)
        kept = [points[k] for k in self._kept]
        listed = [point if k in self._kept else None for k, point in enumerate(points)]
        named = dict(zip(self._landmark_names, [] if landmarks_px is None else _rounded(landmarks_px), strict=True))
        self._write_row([*record.values(), *(value for point in (*kept, *named.values()) for value in point)])
        values = {**record, "keypoints_px": listed, **({"landmarks_px": named} if named else {})}
        self._json.write(f"{',' if self.num_records else ''}\n  {json.dumps(values)}")
        self.num_records += 1

    def begin_file(self) -> None:
        """Remember this place: a video that turns out to be damaged is taken back to it."""
        self._places = (self._csv.tell(), self._json.tell(), self.num_records)

    def take_back(self) -> None:
        """Forget the records since `begin_file`."""
        for file, place in zip((self._csv, self._json), self._places, strict=False):
            file.seek(place)
            file.truncate()
        self.num_records = self._places[2]

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that could not be read."""
        self.skipped.append((path, reason))

    def _write_row(self, row: list[Any]) -> None:
        cells = (to_cell(value) if isinstance(value, str) else value for value in row)
        csv.writer(self._csv, lineterminator="\n").writerow(cells)

    def _replace(self) -> None:
        for file in (self._csv, self._json):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        for temporary, path in zip(self._temporary, self.paths, strict=True):
            temporary.replace(path)


def _rounded(points: Float[ndarray, "N 2"]) -> list[list[float | None]]:
    """Pixels to a thousandth; None for what is not known."""
    return [[round(float(value), 3) if math.isfinite(value) else None for value in point] for point in points]


def _open(path: Path) -> TextIOWrapper:
    return path.open("w", encoding="utf-8", newline="")
