"""The settings of an evaluation, and the kinds of run that each is for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from autolink_gen.data.published.sets import PUPPETS
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source
from autolink_gen.data.sources.puppets import PuppetSource
from autolink_gen.runs import Kind, RunFolder

FewShotCounts = Sequence[int | Literal["all"] | None]
_OF_GRAPHS = ("landmarks", "fit_data", "fit_landmarks", "protocol", "few_shot", "regressor", "hold_out", "max_fit")
_OF_GANS = ("witness", "fid_weights")
_OF_LANDMARKS = ("landmarks", "fit_data", "fit_landmarks", "protocol", "few_shot", "hold_out")
_OF_FILES = ("data_root", "landmarks", "fit_data", "fit_landmarks", "protocol", "hold_out")
_OF_SPLITS = ("landmarks", "fit_data", "fit_landmarks")
_NAMES: dict[Kind, str] = {"graph": "graph", "gan": "GAN", "transfer": "transfer network"}


class SettingError(ValueError):
    """A setting that does not go with the run, with the data or with another setting."""


@dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation, see `evaluate`; None: chosen from the data and the run."""

    data: str | None = None
    data_root: Path | None = None
    landmarks: Path | None = None
    fit_data: Path | None = None
    fit_landmarks: Path | None = None
    protocol: str | None = None
    hold_out: int | None = None
    max_fit: int | None = None
    max_test: int | None = None
    few_shot: tuple[int | None, ...] | None = None
    witness: str | None = None
    fid_weights: Path | None = None
    classes: tuple[str, ...] | None = None

    def check_kind(self, run: RunFolder, *, regressor: Path | None) -> None:
        """SettingError for a setting of another kind of model than the run's."""
        others = (() if run.kind == "graph" else _OF_GRAPHS) + (() if run.kind == "gan" else _OF_GANS)
        for name in others:
            if (regressor if name == "regressor" else getattr(self, name)) is not None:
                owner = "graphs" if name in _OF_GRAPHS else "GANs"
                raise SettingError(
                    f"{_option(name)} is for {owner}: leave it out, as {run.path} is a {_NAMES[run.kind]}, or name "
                    f"another run"
                )

    def on_data_of(self, run: RunFolder, *, default: str | None = None) -> "EvaluationSettings":
        """The same on the data that the run was trained on, where none are named.

        Where the run does not say, they are the ``default``; ValueError without one.
        """
        if self.data is not None:
            return replace(self, hold_out=self.hold_out or None)
        run_data = run.data()
        if run_data is None:
            if default is None:
                raise ValueError("the weights alone do not say what they were trained on; give --data")
            return replace(self, data=default, hold_out=self.hold_out or None)
        hold_out = run_data.hold_out if self.hold_out is None else self.hold_out
        root = self.data_root or (run_data.root if run_data.name != PUPPETS else None)
        return replace(
            self, data=run_data.name, data_root=root, classes=run_data.classes or None, hold_out=hold_out or None
        )

    @cached_property
    def source(self) -> Source:
        """The data, opened; they must be named by now."""
        assert self.data is not None
        return open_source(self.data, root=self.data_root, classes=self.classes or ())

    def has_landmarks(self) -> bool:
        """Whether the images have a table of landmarks, or a setting speaks of one."""
        if any(getattr(self, name) is not None for name in _OF_LANDMARKS):
            return True
        return self.source.landmarks("test") is not None

    def check_puppets(self) -> None:
        """SettingError for settings that need files, as puppets have none."""
        for name in _OF_FILES:
            if isinstance(self.source, PuppetSource) and getattr(self, name) is not None:
                raise SettingError(f"{_option(name)} is for images on disk; leave it out with puppets")

    def check_hold_out(self) -> None:
        """SettingError for settings that do not go with held-out people."""
        for name in _OF_SPLITS:
            if self.hold_out and getattr(self, name) is not None:
                raise SettingError(f"--hold-out splits the training images: leave {_option(name)} out")

    @property
    def trial(self) -> str:
        """A suffix for the results of a trial on fewer or other images, so that they replace no others."""
        limits = {"hold": self.hold_out, "fit": self.max_fit, "test": self.max_test}
        return "".join(f"-{name}{limit}" for name, limit in limits.items() if limit is not None)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values; the data's name holds in any working folder."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["data"] = None if self.data is None else self.source.full_name
        return {name: _plain(value) for name, value in values.items() if value is not None}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
