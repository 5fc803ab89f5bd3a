"""Imports the authors' checkpoints as runs."""

from dataclasses import dataclass
from pathlib import Path

from autolink_gen.checkpoints import WEIGHTS_NAME, save_model
from autolink_gen.official import read_official
from autolink_gen.training.folders import check_importable
from autolink_gen.training.naming import run_name


@dataclass(frozen=True)
class ImportedRun:
    """The weights that `import_official` wrote, and facts about the model."""

    weights: Path
    num_keypoints: int
    image_size: int
    sigma2: float


def import_official(
    checkpoint: str | Path, *, name: str | None = None, out: str | Path = "runs", overwrite: bool = False
) -> ImportedRun:
    """Make a run of a Lightning checkpoint of the AutoLink authors, without executing anything in it.

    `name` is the run's, by default the checkpoint's; `out` is the folder of all runs. Raises ValueError if the run is
    there already without `overwrite`, or is one that was trained here, and if the file is no such checkpoint.
    """
    checkpoint = Path(checkpoint)
    weights = Path(out) / "graph" / (name or run_name(checkpoint.stem)) / WEIGHTS_NAME
    check_importable(weights.parent, overwrite=overwrite)
    model = read_official(checkpoint)
    save_model(weights, model)
    return ImportedRun(weights, model.config.num_keypoints, model.config.image_size, model.config.sigma2)
