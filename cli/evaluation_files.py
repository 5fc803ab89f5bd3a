"""Where an evaluation writes, and whether it may: over what it wrote itself, and over nothing else unasked."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_NOT_SETTINGS = (
    "run",
    "gan_run",
    "transfer_run",
    "regressor",
    "json_file",
    "picture",
    "overwrite",
    "batch_size",
    "device",
)


class EvaluationFiles:
    """The places of an evaluation's results, by option: as given, else in ``evaluation/`` of the run's folder.

    ``endings`` are those of the names there, by option. ``LABEL-settings.json`` beside them holds the weights and the
    settings that they are of: the same evaluation may be repeated over them. ``with_graphs``: a second picture lies
    beside the first. Raises ValueError for a file that is there already, unless it may be replaced.
    """

    def __init__(
        self,
        run: Path,
        label: str,
        *,
        endings: Mapping[str, str],
        given: Mapping[str, Path | None],
        options: Mapping[str, Any],
        with_graphs: bool = False,
    ) -> None:
        folder = (run if run.is_dir() else run.parent) / "evaluation"
        self._note = folder / f"{label}-settings.json"
        self._mark = weights_and_settings(run, options)
        self._given = {option: place for option in endings if (place := given.get(option)) is not None}
        self._own = {option: folder / (label + end) for option, end in endings.items() if option not in self._given}
        self._with_graphs = with_graphs
        self._check(overwrite=options["overwrite"])

    def place(self, option: str) -> Path:
        """Where to write what ``option`` names; the settings are noted first."""
        from autolink_gen.common.files import write_text_atomically

        if option in self._given:
            return self._given[option]
        write_text_atomically(self._note, json.dumps(self._mark, indent=2) + "\n")
        return self._own[option]

    def _check(self, *, overwrite: bool) -> None:
        from autolink_gen.common.files import check_free

        for option, place in self._given.items():
            check_free(*self._written(option, place), overwrite=overwrite, option=f"--{option}")
        taken = [file for option, place in self._own.items() for file in self._written(option, place) if file.exists()]
        if taken and not overwrite and self._mark != noted(self._note):
            raise ValueError(
                f"{taken[0]} is there already, of other weights or settings (see {self._note.name}): name another "
                f"place by {', '.join(f'--{option}' for option in self._own)}, or --overwrite to replace it"
            )

    def _written(self, option: str, place: Path) -> list[Path]:
        """All files that are written for an option."""
        return [place, graphs_beside(place)] if option == "picture" and self._with_graphs else [place]


def graphs_beside(picture: Path) -> Path:
    """Where the graphs on an even choice of pictures are drawn: beside the best and the worst."""
    return picture.with_name(f"{picture.stem}-graphs{picture.suffix}")


def weights_and_settings(run: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What tells one evaluation from another: the weights, how long they were trained, and the settings."""
    from autolink_gen.checkpoints import WEIGHTS_NAME, read_header
    from autolink_gen.common.digests import file_sha256

    file = run / WEIGHTS_NAME if run.is_dir() else run
    if not file.is_file():
        return {}  # whoever loads it says so
    settings = {name: value for name, value in options.items() if name not in _NOT_SETTINGS and value is not None}
    texts = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    return {"weights_sha256": file_sha256(file), "step": read_header(file).step, "settings": texts}


def noted(note: Path) -> Any:
    """What was noted; None where nothing was, or nothing that can be read."""
    with suppress(OSError, ValueError):
        return json.loads(note.read_text(encoding="utf-8"))
    return None
