"""The files that an evaluation writes; it replaces only its own results unasked."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from autolink_gen.common.files import check_free, write_text_atomically
from autolink_gen.evaluation.reports import Evaluation
from autolink_gen.evaluation.settings import SettingError
from autolink_gen.runs import ResultNote, RunFolder

_logger = logging.getLogger(__name__)
Result: TypeAlias = Literal["json", "picture", "regressor"]


@dataclass(frozen=True)
class Outputs:
    """Where results go: to a named file, else to the folder ``out``, else nowhere."""

    out: Path | None = None
    json: Path | None = None
    picture: Path | None = None
    regressor: Path | None = None
    overwrite: bool = False

    def file_of(self, result: Result) -> Path | None:
        """The file that was named for a result."""
        places: dict[Result, Path | None] = {"json": self.json, "picture": self.picture, "regressor": self.regressor}
        return places[result]


class ResultFiles:
    """The files of one evaluation.

    ``endings`` are those of the names in ``out``, which begin with ``label``. LABEL-settings.json beside them holds
    the weights and the settings that they are of: the same evaluation may be repeated over them. ``with_graphs``: a
    second image lies beside the first. Raises ValueError for a file that is there already, unless it may be replaced,
    and SettingError for an image whose ending is not one of ``images``.
    """

    def __init__(
        self,
        run: RunFolder,
        label: str,
        outputs: Outputs,
        *,
        endings: Mapping[Result, str],
        images: tuple[str, ...],
        settings: Mapping[str, object],
        with_graphs: bool = False,
    ) -> None:
        if outputs.picture is not None and outputs.picture.suffix.lower() not in images:
            raise SettingError(f"--picture: {outputs.picture} must end in {' or '.join(images[:2])}")
        self.written: list[tuple[Path, str]] = []
        self._with_graphs = with_graphs
        self._named_files = {name: place for name in endings if (place := outputs.file_of(name)) is not None}
        self._default_files: dict[Result, Path] = {}
        if outputs.out is not None:
            self._default_files = {
                n: outputs.out / (label + end) for n, end in endings.items() if n not in self._named_files
            }
            self._note = ResultNote.of(outputs.out / f"{label}-settings.json", run, settings)
        self._check(overwrite=outputs.overwrite)

    def place(self, result: Result) -> Path | None:
        """Where to write a result, None: nowhere; the settings are noted first."""
        if result in self._named_files:
            return self._named_files[result]
        if result not in self._default_files:
            return None
        self._note.write()
        return self._default_files[result]

    def write_scores(self, report: Evaluation) -> None:
        """Write the scores, if requested; if that fails, log them, so that they are not lost."""
        try:
            if (file := self.place("json")) is not None:
                write_text_atomically(file, report.to_json() + "\n")
                self.written.append((file, "the scores"))
        except OSError:
            _logger.warning("%s", report)
            raise

    def _check(self, *, overwrite: bool) -> None:
        for result, place in self._named_files.items():
            check_free(*self._files(result, place), overwrite=overwrite, option=f"--{result}")
        taken = [
            file
            for result, place in self._default_files.items()
            for file in self._files(result, place)
            if file.exists()
        ]
        if taken and not overwrite and not self._note.is_there:
            raise ValueError(
                f"{taken[0]} is there already, of other weights or settings (see {self._note.file.name}): name another "
                f"place by {', '.join(f'--{result}' for result in self._default_files)}, or --overwrite to replace it"
            )

    def _files(self, result: Result, place: Path) -> list[Path]:
        """All files that are written for a result."""
        return [place, graphs_beside(place)] if result == "picture" and self._with_graphs else [place]


def graphs_beside(image: Path) -> Path:
    """The file of the graphs on evenly spread images, beside that of the best and worst."""
    return image.with_name(f"{image.stem}-graphs{image.suffix}")
