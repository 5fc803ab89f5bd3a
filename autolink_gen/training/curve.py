"""A number measured at every save of a run, kept beside the marks to compare it with, and drawn."""

import json
from pathlib import Path
from typing import Any

from autolink_gen.charts import distance_curve
from autolink_gen.files import write_picture, write_text_atomically


class Curve:
    """``NAME.json`` and ``NAME.png`` in a run's folder; ``marks`` names the values to draw as levels."""

    def __init__(self, folder: Path, name: str, *, marks: dict[str, str]) -> None:
        self.folder, self.name, self.marks = folder, name, marks
        self.values: dict[str, Any] = {"curve": []}

    def take_up(self, step: int) -> bool:
        """Go on with the curve that is there, up to a step; whether there is one."""
        file = self.folder / f"{self.name}.json"
        if not step or not file.is_file():
            return False
        self.values = json.loads(file.read_text())
        self.values["curve"] = [row for row in self.values["curve"] if row["step"] <= step]
        return True

    def begin(self, **values: object) -> None:
        """Start anew, with what is known at the start, and write it: it is not known again."""
        self.values = {**values, "curve": []}
        self._write()

    def add(self, step: int, value: float) -> None:
        """Add a value, and write both files."""
        self.values["curve"].append({"step": step, self.name: value})
        self._write()
        known = {label: self.values.get(key) for key, label in self.marks.items()}
        marks = {label: float(mark) for label, mark in known.items() if isinstance(mark, float)}
        write_picture(
            self.folder / f"{self.name}.png", distance_curve(self.values["curve"], key=self.name, marks=marks)
        )

    def _write(self) -> None:
        write_text_atomically(self.folder / f"{self.name}.json", json.dumps(self.values, indent=1) + "\n")
