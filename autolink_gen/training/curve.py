"""Curves of a number measured at every save of a run, as JSON and as a chart."""

import json
import logging
from pathlib import Path
from typing import Any

from autolink_gen.common.extras import MissingExtraError
from autolink_gen.common.files import reading, write_image, write_text_atomically
from autolink_gen.common.json_files import read_small_json
from autolink_gen.viz.charts import distance_curve

log = logging.getLogger(__name__)
_MOST = 2**24  # bytes; a row has fifty


class Curve:
    """``NAME.json`` and ``NAME.png`` in a run's folder; ``marks`` names the values to draw as levels."""

    def __init__(self, folder: Path, name: str, *, marks: dict[str, str]) -> None:
        self.folder, self.name, self.marks = folder, name, marks
        self.values: dict[str, Any] = {"curve": []}
        self._has_warned = False

    def take_up(self, step: int) -> bool:
        """Resume an existing curve up to a step; whether there is one."""
        file = self.folder / f"{self.name}.json"
        if not step or not file.is_file():
            return False
        with reading(file, "curve of a run", remedy="mend it, or move it away and repeat the command"):
            values = read_small_json(file, most_bytes=_MOST)
            rows = [{"step": int(row["step"]), self.name: float(row[self.name])} for row in values["curve"]]
            self.values = {**values, "curve": [row for row in rows if row["step"] <= step]}
        return True

    def begin(self, **values: object) -> None:
        """Start anew, with what is known at the start, and write it: it is not known again."""
        self.values = {**values, "curve": []}
        self._write()

    def add(self, step: int, value: float) -> None:
        """Add a value and write both files; without matplotlib the JSON alone."""
        self.values["curve"].append({"step": step, self.name: value})
        self._write()
        levels = {label: self.values.get(key) for key, label in self.marks.items()}
        marks = {label: float(mark) for label, mark in levels.items() if isinstance(mark, float)}
        try:
            chart = distance_curve(self.values["curve"], key=self.name, marks=marks)
        except MissingExtraError as error:
            if not self._has_warned:
                log.warning("%s; the curve is in %s", error, self.folder / f"{self.name}.json")
            self._has_warned = True
            return
        write_image(self.folder / f"{self.name}.png", chart, follow_links=False)

    def _write(self) -> None:
        text = json.dumps(self.values, indent=1) + "\n"
        write_text_atomically(self.folder / f"{self.name}.json", text, follow_links=False)
