"""Makes the models that travel in the package, from the embedded puppets alone: a graph, a GAN, a transfer network.

Run from the repository, about 40 minutes on two cores; a stopped one goes on when it is repeated:
    python benchmarks/make_puppet_models.py --out autolink_gen/pretrained/puppets

The commands are those of the README, with a smaller detector and a smaller transfer network, so that all three models
fit into 4 MB, and with more steps of GAN and transfer network. The graph's seed is the best of 0, 1 and 2.

In --out: NAME.safetensors in half precision, NAME.yaml with every setting, card.json with the commands, steps, sizes
and scores. GAN and transfer network share the graph's file: it is not stored three times.
"""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import torch

import autolink_gen
from autolink_gen.checkpoints import GRAPH_NAME, GRAPH_SHA256, read_described, read_described_header, write_described
from autolink_gen.common.digests import file_sha256
from autolink_gen.common.files import write_text_atomically
from autolink_gen.runs import CONFIG_NAME

MAX_BYTES = 4_000_000  # of all files of weights
MAX_TEST = {"graph": 200, "gan": 200, "transfer": 10}  # puppets, poses and clips to score on
COMMANDS = {
    "graph": "learn-graph --name puppets --set model.features_maps=2 --seed 1",
    "gan": f"train-gan --name puppets --data puppets --graph {GRAPH_NAME} --steps 6000 --set progress.pictures=0",
    "transfer": f"train-transfer --name puppets --data puppets --graph {GRAPH_NAME} --steps 1350 "
    "--set model.width=0.15 --set model.appearance_width=0.15 --set progress.pictures=0",
}
NOTE = (
    "Trained on drawn puppets alone: no image of a person or an animal went into what was learned. The detector looks "
    "at frozen features, the first two layers of AlexNet as torchvision has it (BSD 3-Clause, trained on ImageNet)."
)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("puppet-runs"),
              show_default=True, help="Folder to train in.")  # fmt: skip
@click.option("--extra", multiple=True, metavar="KIND:OPTIONS", help="More options of a training, as 'gan:--steps 9'.")
def main(out: Path, work: Path, extra: tuple[str, ...]) -> None:
    """Train, store, score."""
    more = dict(text.split(":", 1) for text in extra)
    commands = {kind: f"{command} {more.get(kind, '')}".strip() for kind, command in COMMANDS.items()}
    work.mkdir(parents=True, exist_ok=True)
    for kind, command in commands.items():
        subprocess.run([sys.executable, "-m", "autolink_gen", *shlex.split(command)], cwd=work, check=True)
        pack(kind, work / "runs" / kind / "puppets", out)
        if kind == "graph":  # the others are trained on it as it is stored
            (work / GRAPH_NAME).write_bytes((out / GRAPH_NAME).read_bytes())
    write_card(out, commands, work)


def pack(kind: str, run: Path, out: Path) -> Path:
    """Store a run's weights in half precision, without the graph's unless it is the graph, and its settings."""
    file, config, tensors = read_described(run, kind=kind)
    header = read_described_header(file)[1]
    out.mkdir(parents=True, exist_ok=True)
    if kind != "graph":
        tensors = _without_graph(tensors, out / GRAPH_NAME, source=file)
        config = {**config, GRAPH_SHA256: file_sha256(out / GRAPH_NAME)}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    stored = out / f"{kind}.safetensors"
    more = {"likelihood": header.likelihood} if kind == "graph" else {}  # the others find it there
    write_described(stored, halves, kind=kind, config=config, step=header.step, more=more)
    write_text_atomically(stored.with_suffix(".yaml"), (run / CONFIG_NAME).read_text(encoding="utf-8"))
    return stored


def _without_graph(
    tensors: Mapping[str, torch.Tensor], graph_file: Path, *, source: Path
) -> Mapping[str, torch.Tensor]:
    """The weights but those of the graph, which must be those in ``graph_file``."""
    graph = {f"graph.{name}": value for name, value in read_described(graph_file, kind="graph")[2].items()}
    others = {name for name in tensors if name.startswith("graph.")}
    if others != set(graph) or not all(torch.equal(tensors[name].half(), graph[name].half()) for name in others):
        raise click.ClickException(f"{source} was not trained on {graph_file}: give --extra '...:--fresh'")
    return {name: value for name, value in tensors.items() if name not in others}


def scores_of(file: Path, kind: str, work: Path) -> dict[str, Any]:
    """The scores of a stored model by `evaluate`; those of the same file are taken from where they were noted."""
    note = work / f"{kind}-{file_sha256(file)[:12]}.json"
    if not note.is_file():
        report = autolink_gen.evaluate(file, data="puppets", device="cpu", max_test=MAX_TEST[kind])
        print(report)
        write_text_atomically(note, json.dumps(report.scores()))
    scores = json.loads(note.read_text(encoding="utf-8"))
    return {name: value for name, value in scores.items() if name != "clips"}


def write_card(out: Path, commands: Mapping[str, str], work: Path) -> None:
    """Score what was stored, and write it beside it; ClickException where it is too large."""
    models: dict[str, Any] = {}
    for kind, command in commands.items():
        file = out / f"{kind}.safetensors"
        models[kind] = {
            "command": f"autolink-gen {command}",
            "bytes": file.stat().st_size,
            "step": read_described_header(file)[1].step,
            "scores": scores_of(file, kind, work),
        }
    total = sum(model["bytes"] for model in models.values())
    if total >= MAX_BYTES:
        raise click.ClickException(f"the models have {total} bytes, and {MAX_BYTES} are too many: make them smaller")
    card = {
        "made_by": "python benchmarks/make_puppet_models.py",
        "version": autolink_gen.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "seed": 0,
        "licence": "MIT",
        "note": NOTE,
        "total_bytes": total,
        "models": models,
    }
    write_text_atomically(out / "card.json", json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
