"""The base class of evaluation reports."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolink_gen.data.identity import public_data


@dataclass(frozen=True, kw_only=True)
class Evaluation(ABC):
    """The scores of one run on data, with `notes` on them and the `files` that were written."""

    model: str
    data: str
    notes: tuple[str, ...] = ()
    files: tuple[tuple[Path, str], ...] = ()

    @abstractmethod
    def scores(self) -> dict[str, Any]:
        """The scores as plain values; those that were not measured are left out."""

    @abstractmethod
    def lines(self) -> list[str]:
        """The scores in words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the keys of ``evaluate --json``."""
        return {"model": self.model, "data": public_data(self.data), **self.scores()}

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        return "\n".join([*self.notes, *self.lines(), *(f"wrote {file}: {what}" for file, what in self.files)])
