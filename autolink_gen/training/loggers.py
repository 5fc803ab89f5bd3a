"""Services that a run's numbers and pictures go to: TensorBoard, Weights & Biases, MLflow, Trackio.

None of their packages is needed, and each is imported only where it is named. Whoever has a service of their own
writes a class of three methods, :class:`Logger`.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

from autolink_gen.common.extras import needs
from autolink_gen.common.files import write_text_atomically
from autolink_gen.recipes import dotted, read_settings
from autolink_gen.runs import CONFIG_NAME

LoggerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
IDS_NAME = "loggers.json"
_PROJECT = "autolink-gen"
log = logging.getLogger(__name__)


class Logger(Protocol):
    """Takes the numbers of a run, and its pictures."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Take the metrics of a step."""

    def picture(self, step: int, name: str, file: Path) -> None:
        """Take a picture that the run has drawn at a step."""

    def close(self) -> None:
        """End: the run ends, or stops for now."""


class TensorBoard:
    """Writes events to the run's folder, which ``tensorboard --logdir`` shows."""

    def __init__(self, folder: Path, *, first: int) -> None:
        with needs("tensorboard", "writing TensorBoard's events"):
            from tensorboard.compat.proto.summary_pb2 import Summary
            from torch.utils.tensorboard import SummaryWriter
        self._summary = Summary
        self._events: Any = SummaryWriter(str(folder), purge_step=first + 1)  # of what a kill left after the save

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Write a point of each curve."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def picture(self, step: int, name: str, file: Path) -> None:
        """Write a picture: its file as it is, which `add_image` would decode and compress once more."""
        with Image.open(file) as image:
            width, height = image.size
        shown = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=file.read_bytes())
        summary = self._summary(value=[self._summary.Value(tag=name, image=shown)])
        self._events.file_writer.add_summary(summary, step)

    def close(self) -> None:
        """Write what is held back."""
        self._events.close()


class _RunElsewhere:
    """A run of a service that is called as Weights & Biases is; ``image`` makes a picture of a file."""

    def __init__(self, run: Any, image: Callable[[str], Any]) -> None:
        self._run, self._image = run, image

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Send the metrics of a step."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, file: Path) -> None:
        """Send a picture."""
        self._run.log({name: self._image(str(file))}, step=step)

    def close(self) -> None:
        """End the run there."""
        self._run.finish()


class WeightsAndBiases(_RunElsewhere):
    """Sends to Weights & Biases, or whatever WANDB_MODE says; a resumed run goes on as the same one."""

    def __init__(self, folder: Path, *, first: int) -> None:
        with needs("wandb", "sending to Weights & Biases"):
            import wandb
        known = _known_id(folder, "wandb")
        run = wandb.init(
            project=_PROJECT,
            name=folder.name,
            id=known,
            dir=str(folder),
            config=read_settings(folder / CONFIG_NAME),
            resume="allow" if known else None,
        )
        super().__init__(run, wandb.Image)
        _keep_id(folder, "wandb", run.id)


class MLflow:
    """Sends to MLflow, at the address in MLFLOW_TRACKING_URI; a resumed run goes on as the same one."""

    def __init__(self, folder: Path, *, first: int) -> None:
        with needs("mlflow", "sending to MLflow"):
            import mlflow
        self._mlflow = mlflow
        mlflow.set_experiment(_PROJECT)
        known = _known_id(folder, "mlflow")
        run = mlflow.start_run(run_id=known, run_name=folder.name)
        _keep_id(folder, "mlflow", run.info.run_id)
        mlflow.log_artifact(str(folder / CONFIG_NAME))
        if known is None:  # what MLflow has is never changed, and a run may go on with more steps
            mlflow.log_params(dict(dotted(read_settings(folder / CONFIG_NAME))))

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Send the metrics of a step."""
        self._mlflow.log_metrics(dict(values), step=step)

    def picture(self, step: int, name: str, file: Path) -> None:
        """Send a picture, to a folder of its name."""
        self._mlflow.log_artifact(str(file), name)

    def close(self) -> None:
        """End the run there."""
        self._mlflow.end_run()


class Trackio(_RunElsewhere):
    """Keeps the numbers in Trackio's local data base; a resumed run goes on as the one of its name."""

    def __init__(self, folder: Path, *, first: int) -> None:
        with needs("trackio", "keeping numbers in Trackio"):
            import trackio
        super().__init__(trackio, trackio.Image)
        settings = read_settings(folder / CONFIG_NAME)
        trackio.init(project=_PROJECT, name=folder.name, config=settings, resume="allow" if first else "never")


class Tolerant:
    """A logger whose service may fail: the first failure is told of, and it is left alone from then on."""

    def __init__(self, name: str, logger: Logger) -> None:
        self.name, self.logger = name, logger
        self.has_failed = False

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Pass the metrics on."""
        self._do(lambda: self.logger.numbers(step, values))

    def picture(self, step: int, name: str, file: Path) -> None:
        """Pass a picture on."""
        self._do(lambda: self.logger.picture(step, name, file))

    def close(self) -> None:
        """End it."""
        self._do(self.logger.close)

    def _do(self, call: Callable[[], None]) -> None:
        if self.has_failed:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a service's client raises anything at all, and training goes on
            self.has_failed = True
            log.warning("%s takes no more of this run: %s: %s", self.name, type(error).__name__, error)


_KINDS: dict[str, Callable[..., Logger]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "trackio": Trackio,
}
LOGGER_NAMES = tuple(_KINDS)


def check_installed(wanted: "str | Sequence[str | Logger] | None") -> None:
    """Raise MissingExtraError where the package of a service that is named is not installed; it imports none."""
    for name in [wanted] if isinstance(wanted, str) else wanted or ():
        if isinstance(name, str) and name in _KINDS and not _is_installed(name):
            with needs(name, f"sending a run to {name}"):
                raise ModuleNotFoundError(f"No module named {name!r}")


def _is_installed(package: str) -> bool:
    return sys.modules[package] is not None if package in sys.modules else find_spec(package) is not None


def open_logger(name: str, folder: Path, *, first: int) -> Logger:
    """The logger of this name for a run that trains from step ``first`` on.

    Raises ValueError for a name that there is not, MissingExtraError where its package is not installed, and what the
    service raises.
    """
    if name not in _KINDS:
        raise ValueError(f"there is no logger {name!r}: take of {', '.join(_KINDS)}")
    logger = _KINDS[name](folder, first=first)
    return logger if name == "tensorboard" else Tolerant(name, logger)  # which writes to the run's own folder


def _known_id(folder: Path, service: str) -> str | None:
    """The id that a service gave to the run, None for a new one."""
    known = _ids(folder).get(service)
    return known if isinstance(known, str) else None


def _keep_id(folder: Path, service: str, value: str) -> None:
    text = json.dumps({**_ids(folder), service: value}, indent=2)
    write_text_atomically(folder / IDS_NAME, text + "\n", follow_links=False)


def _ids(folder: Path) -> dict[str, Any]:
    try:
        ids = json.loads((folder / IDS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return ids if isinstance(ids, dict) else {}
