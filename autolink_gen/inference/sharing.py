"""Models handed on: a folder that the Hugging Face hub takes, with a model card, and models read from there."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autolink_gen.checkpoints import GRAPH_NAME, GRAPH_SHA256, WEIGHTS_NAME, load_graph_model, read_described_header
from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import check_free, whole, write_text_atomically
from autolink_gen.common.text import shown
from autolink_gen.config import to_yaml
from autolink_gen.inference.generate import Gan, load_gan
from autolink_gen.inference.transfer import Transfer, load_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.pretrained.hub import PREFIX, may_be_on_hub
from autolink_gen.runs import CONFIG_NAME, Kind, RunConfig, RunFolder

CARD_NAME = "README.md"  # as the hub has it
_PICTURES: dict[Kind, str] = {"graph": "graph.png", "gan": "grid.png", "transfer": "grid.png"}
_WHAT: dict[Kind, str] = {
    "graph": "Keypoints and the graph that links them, learned without labels",
    "gan": "A GAN that paints on a learned graph of keypoints",
    "transfer": "A network that moves one video by another, on a learned graph of keypoints",
}
_USE: dict[Kind, tuple[str, str]] = {
    "graph": ("load_graph_model", "autolink-gen detect photos/ --model {model}"),
    "gan": ("load_gan", "autolink-gen generate --model {model} --seeds 0-5"),
    "transfer": ("load_transfer", "autolink-gen transfer source.mp4 driver.mp4 --model {model}"),
}


def from_pretrained(name: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> AutoLink | Gan | Transfer:
    """The model "user/name" of the Hugging Face hub, of whatever kind, in eval mode; also a folder of that name.

    "user/name@revision" is one version of it; a name without a slash is that of a run, or "puppets", the graph that
    comes with the package. Its file is checked as any other, and nothing of it is run. Raises ValueError where there
    is no such folder or run, where it cannot be fetched, and where it is no model of autolink-gen.
    """
    run = RunFolder.find(_local_or_on_hub(name))
    if run.kind == "gan":
        return load_gan(run, device=device)
    if run.kind == "transfer":
        return load_transfer(run, device=device)
    return load_graph_model(run, device=device)


def _local_or_on_hub(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """What is there, or only can be a run's name, as it is; what else may be on the hub with its prefix."""
    text = os.fspath(name)
    if isinstance(name, RunFolder) or Path(text).exists() or not may_be_on_hub(text):
        return name
    return PREFIX + text


def save_pretrained(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    kind: Kind | None = None,
    name: str = "user/name",
    licence: str | None = None,
    picture: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write what the Hugging Face hub needs of a run to a folder, and return the model card in it.

    The weights, the settings without paths of this machine, the run's ``picture``, which shows training images, and
    README.md: data, settings, scores of `evaluate` where there are some, and the ``licence``, to be filled in where
    none is given. ``kind`` says which model where a name stands for several: "puppets" is the package's graph, with
    "gan" or "transfer" its other models. ``name`` is what it will be called on the hub; ``hf upload user/name FOLDER``
    brings it there. Raises ValueError where there is no such run, and for files that are there without ``overwrite``.
    """
    found, place = RunFolder.find(run, kind=kind), Path(folder)
    header = read_described_header(found.weights)[1]
    sources = {WEIGHTS_NAME: found.weights}
    if header.config is not None and GRAPH_SHA256 in header.config:
        sources[GRAPH_NAME] = found.weights.with_name(GRAPH_NAME)
    drawn = found.folder / _PICTURES[found.kind]
    if picture and drawn.is_file():
        sources[drawn.name] = drawn
    check_free(*(place / each for each in [*sources, CONFIG_NAME, CARD_NAME]), overwrite=overwrite)
    place.mkdir(parents=True, exist_ok=True)
    for target, source in sources.items():
        with whole(place / target) as temporary:
            shutil.copyfile(source, temporary)
    config = _public_config(found.config())
    if config is not None:
        write_text_atomically(place / CONFIG_NAME, to_yaml(config))
    lines = _card(
        found, header.step, config, name=name, licence=licence, picture=drawn.name if drawn.name in sources else ""
    )
    write_text_atomically(place / CARD_NAME, "\n".join(lines) + "\n")
    return place / CARD_NAME


def _public_config(config: RunConfig | None) -> RunConfig | None:
    """The settings without paths of this machine: of data in a folder, the folder's name alone."""
    if config is None:
        return None
    names = "+".join(Path(part.strip()).name for part in config.data.name.split("+"))
    changes: dict[str, Any] = {"data": replace(config.data, name=names, root=None)}
    if hasattr(config, "graph"):
        changes["graph"] = replace(config.graph, run=Path(config.graph.run).name)
    if hasattr(config, "perceptual"):
        changes["perceptual"] = replace(config.perceptual, weights=None)
    return replace(config, **changes)


def _card(
    run: RunFolder, step: int | None, config: RunConfig | None, *, name: str, licence: str | None, picture: str
) -> list[str]:
    """The lines of a model card."""
    load, command = _USE[run.kind]
    lines = [
        "---",
        f"license: {licence}" if licence else "license: other  # fill in",
        "library_name: autolink-gen",
        f"tags: [keypoints, unsupervised, autolink, {run.kind}]",
        "---",
        f"# {name.rpartition('/')[2]}",
        "",
        f"{_WHAT[run.kind]}, by autolink-gen{f': {step} training steps' if step is not None else ''}.",
        "",
        *([f"![What it looks like after training]({picture})", ""] if picture else []),
        "```",
        "pip install 'autolink-gen[hub]'",
        command.format(model=PREFIX + name),
        "```",
        "",
        "```python",
        f"from autolink_gen import {load}",
        "",
        f'model = {load}("{PREFIX}{name}")',
        "```",
        "",
    ]
    if config is not None:
        lines += [
            "## Data and settings",
            "",
            f"Trained on {shown(config.data.name)}: say here what these images are, and",
        ]
        lines += [f"where they come from. Every setting is in [{CONFIG_NAME}]({CONFIG_NAME}).", ""]
    if scores := _scores(run):
        lines += ["## Scores", "", "As `autolink-gen evaluate` has them.", "", "| score | value |", "|---|---|"]
        lines += [f"| {score} | {value:.4g} |" for score, value in scores.items()] + [""]
    if licence is None:
        lines += ["## Licence", "", "To be filled in, here and in the first lines: what the training images allow.", ""]
    return lines[:-1]


def _scores(run: RunFolder) -> dict[str, float]:
    """The scores of these weights in the run's folder, without those of single images and clips."""
    found: dict[str, float] = {}
    for note in sorted((run.folder / "evaluation").glob("*-settings.json")):
        with suppress(OSError, ValueError, KeyError):
            if json.loads(note.read_text(encoding="utf-8"))["weights_sha256"] == file_sha256(run.weights):
                scores = note.with_name(note.name.replace("-settings.json", ".json"))
                found |= _numbers(json.loads(scores.read_text(encoding="utf-8")))
    return found


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{prefix}{name}: ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[prefix + name] = float(value)
    return numbers
