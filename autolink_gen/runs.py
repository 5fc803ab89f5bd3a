"""Runs on disk: resolves a run's name to its folder, its weights and their kind."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from autolink_gen.checkpoints import GRAPH_NAME, WEIGHTS_NAME, read_described_header, read_header, training_command
from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import write_text_atomically
from autolink_gen.config import DataConfig, GanRunConfig, GraphRunConfig, TransferRunConfig, build
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.base import Source
from autolink_gen.pretrained.hub import fetch_from_hub, is_on_hub
from autolink_gen.pretrained.shipped import PREFIX, SHIPPED, is_prefixed, is_shipped, shipped_weights
from autolink_gen.recipes import read_settings

CONFIG_NAME = "config.yaml"
Kind = Literal["graph", "gan", "transfer"]
RunConfig: TypeAlias = GraphRunConfig | GanRunConfig | TransferRunConfig
_KINDS: tuple[Kind, ...] = get_args(Kind)
_CONFIGS: dict[Kind, type[RunConfig]] = {"graph": GraphRunConfig, "gan": GanRunConfig, "transfer": TransferRunConfig}


@dataclass(frozen=True)
class RunFolder:
    """A run with weights: its folder, the file of its weights, and what kind of model they are.

    ``weights`` may also be a file without a run, the graph that a GAN's or a transfer network's run keeps, or a model
    that comes with the package or from the hub, whose name is ``called``.
    ``newest``: no name was given, and this is the newest run. Loaders take it, as whatever takes a path does.
    """

    kind: Kind
    folder: Path
    weights: Path
    newest: bool = False
    called: str = ""

    @classmethod
    def find(
        cls, name: "str | os.PathLike[str] | None" = None, *, kind: Kind | None = None, runs: Path = Path("runs")
    ) -> "RunFolder":
        """The run of a name, a folder or a .safetensors file; None is the newest of its kind, or the newest graph.

        With the kind "graph", the run of a GAN or a transfer network stands for the graph that it keeps. Where no run
        is called "puppets", the package's model is; "package:puppets" is always that. "hf:user/name" is fetched from
        the hub. Raises ValueError if there is no such run, with the command that makes one, and if its weights are of
        another kind.
        """
        if name is None:
            finished = cls.finished(kind or "graph", runs=runs)
            if not finished:
                raise ValueError(
                    f"there is no finished run in {runs / (kind or 'graph')}; name one elsewhere, name {SHIPPED} for "
                    f"the {kind or 'graph'} of the embedded puppets that comes with autolink-gen, or make one: "
                    f"{training_command(kind or 'graph')}"
                )
            return replace(finished[0], newest=True)
        if isinstance(name, RunFolder) and kind in (name.kind, None):
            return name
        if is_on_hub(name):
            return replace(cls._open(fetch_from_hub(name), kind), called=os.fspath(name))
        found = cls._open(_place(Path(name), kind, runs), kind)
        return replace(found, called=PREFIX + SHIPPED) if found.is_shipped else found

    @classmethod
    def finished(cls, kind: Kind, *, runs: Path = Path("runs")) -> "list[RunFolder]":
        """All runs of a kind with weights to use, the newest first."""
        files = [path for path in (runs / kind).glob(f"*/{WEIGHTS_NAME}") if path.is_file()]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [cls(kind, path.parent, path) for path in files]

    @classmethod
    def _open(cls, place: Path, kind: Kind | None) -> "RunFolder":
        copy = place / GRAPH_NAME
        file = copy if kind == "graph" and copy.is_file() else place
        weights, header = read_described_header(file, kind=kind)
        if header.kind not in _KINDS:
            raise ValueError(f"{weights} holds a model of another kind than {', '.join(_KINDS)}: give another run")
        return cls(cast(Kind, header.kind), weights.parent, weights)

    @property
    def path(self) -> Path:
        """The folder, the file of weights that are not the folder's own, or what it is ``called``."""
        if self.called:
            return Path(self.called)
        return self.folder if self.weights.name == WEIGHTS_NAME else self.weights

    @property
    def is_shipped(self) -> bool:
        """Whether it is no run, but a model that comes with the package."""
        return is_shipped(self.weights)

    def output(self, name: str) -> Path:
        """A file or folder of that name in the run's folder; of what is ``called`` something, in a folder in runs/."""
        if self.called:
            return Path("runs", self.kind, re.sub(r"\W+", "-", self.called), name)
        return self.folder / name

    def config(self) -> RunConfig | None:
        """The settings that the run was trained with; None if its folder does not hold them.

        Raises ValueError if they cannot be read.
        """
        file = self.weights.with_suffix(".yaml") if self.is_shipped else self.folder / CONFIG_NAME
        if not file.is_file():
            return None
        values = read_settings(file)
        try:
            return build(_CONFIGS[self._trained_kind()], values)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def data(self) -> DataConfig | None:
        """The data that the run was trained on; None if its folder does not say.

        Raises ValueError if they are a path that is not there any more.
        """
        config = self.config()
        if config is None:
            return None
        if lost := open_source(config.data.name).lost:
            raise ValueError(
                f"the run {self.path} was trained on {lost[0]}, which is not there any more: give --data with its "
                f"place now, or with other data"
            )
        return config.data

    def source(self, *, root: Path | None = None) -> Source | None:
        """The same data, opened; ``root`` is where named sets lie now, if it is given. Raises ValueError as `data`."""
        data = self.data()
        return None if data is None else open_source(data.name, root=root or data.root, classes=data.classes)

    def _trained_kind(self) -> Kind:
        """The kind of the run itself: a graph may be the one that another run keeps."""
        if self.weights.name != GRAPH_NAME or self.is_shipped:
            return self.kind
        weights = self.folder / WEIGHTS_NAME
        kind = read_described_header(weights)[1].kind if weights.is_file() else self.folder.parent.name
        return cast(Kind, kind) if kind in _KINDS else self.kind

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"{self.path} (newest)" if self.newest else str(self.path)


def _place(name: Path, kind: Kind | None, runs: Path) -> Path:
    """The place of a named run, a path or below the folder of its kind, or in the package; ValueError if there is none.

    A run comes before the package's model of its name, also one that has no weights yet.
    """
    places = [name, *(runs / each / name for each in ([kind] if kind else _KINDS))]
    shipped = shipped_weights(name, kind)
    has_run = _holds_weights(name) or any(place.exists() for place in places[1:])
    if shipped is not None and (is_prefixed(name) or not has_run):
        return shipped
    existing = [place for place in places if place.exists()]
    if not existing:
        looked, commands = ", ".join(map(str, places[:-1])), training_command(kind or "graph")
        raise ValueError(f"there is no run {name} (looked for {looked} and {places[-1]}); make one: {commands}")
    # A folder of data may have the run's name: one that holds weights comes first.
    return min(existing, key=lambda place: not _holds_weights(place))


def _holds_weights(place: Path) -> bool:
    return place.is_file() or any(place.glob("*.safetensors"))


@dataclass(frozen=True)
class ResultNote:
    """A note beside results of a run, in ``file``: of which weights and settings they are."""

    file: Path
    content: Mapping[str, Any]

    @classmethod
    def of(cls, file: Path, run: RunFolder, settings: Mapping[str, Any]) -> "ResultNote":
        """The note on results of a run's weights with these settings, in plain values."""
        weights = {"weights_sha256": file_sha256(run.weights), "step": read_header(run.weights).step}
        return cls(file, {**weights, "settings": settings})

    @property
    def is_there(self) -> bool:
        """Whether the file says the same: the results beside it may be replaced by the same again."""
        with suppress(OSError, ValueError):
            return bool(json.loads(self.file.read_text(encoding="utf-8")) == self.content)
        return False

    def write(self) -> None:
        """Write it, before the results."""
        write_text_atomically(self.file, json.dumps(self.content, indent=2) + "\n")
