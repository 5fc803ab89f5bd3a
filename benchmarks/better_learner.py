"""What lowers the landmark error of the graph learner at equal cost, over the paper's method with the same network.

Run from the repository, to try variants on people held out of the training split:
    python benchmarks/better_learner.py --data faces68 --hold-out 5
and once, with those that won, on the test split:
    python benchmarks/better_learner.py --data faces68 --only plain,recipe
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from autolink_gen.checkpoints import load_graph_model
from autolink_gen.common.files import write_text_atomically
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.data.landmarks import find_landmarks_csv
from autolink_gen.data.source import open_source
from autolink_gen.evaluation.score import score_graph
from autolink_gen.recipes import merge, read_recipe
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch

# Settings over the recipe cpu. "plain" is the paper's way with the painter, batch and features of the recipe.
_RESIDUAL = {
    "model": {"detector": "residual"},
    "training": {"precision": "32-true"},
    "views": {"recolour": 0.0},
}
_PAPER = {
    "model": {"mask_ratio": 0.8, "detector": "residual"},
    "data": {"flip": 0.0},
    "perceptual": {"distance": "mse", "unit_length": False},
    "optimiser": {"lr": 1e-4, "edge_weight_lr": None, "schedule": "constant", "warmup_steps": 0},
    "training": {"ema": 0.0, "precision": "32-true"},
    "thickness": {"start": None},
    "edges": {"dropout": 0.0, "length_weight": 0.0},
    "views": {"recolour": 0.0},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": _PAPER,
    "residual": _RESIDUAL,
    "recipe": {},
    "single precision": {"training": {"precision": "32-true"}},
    "edges dropped": {"edges": {"dropout": 0.3}},
    "short edges": {"edges": {"dropout": 0.3, "length_weight": 1e-3, "length_floor": 0.1}},
    "colours as they are": {"views": {"recolour": 0.0}},
    "consistency 0.1": {"views": {"consistency": 0.1}},
    "two masks": {"views": {"masks": 2}},
    "mask 0.9": {"model": {"mask_ratio": 0.9}},
    "lr 2e-3": {"optimiser": {"lr": 2e-3}},
    "batch 4": {"training": {"batch_size": 4}},
    "decoder 1/4": {"model": {"decoder_width": 0.25}},
    "first three maps": {"model": {"features_maps": 3}},
    "painter of 128 pixels": {"model": {"image_size": 128}},
    "maps of 192 pixels": {"model": {"features_size": 192}, "perceptual": {"resize": 192}},
    "wider maps": {"model": {"width": 0.5}},
}
_BASE = {"training": {"save_every": 10_000, "grid_every": 10_000}}
_FEW, _MORE = 4, 34  # steps whose difference in time is that of a step


def hold_out(data: str, root: Path | None, folder: Path, *, every: int) -> Path:
    """A folder with parts train and test of a set's training split: every so many-th person is in test."""
    source = open_source(data, root=root).folder("train")
    header, *rows = find_landmarks_csv(source).read_text(encoding="utf-8").splitlines()
    columns = header.split(",")
    name, person = columns.index("file"), columns.index("person")
    persons = sorted({row.split(",")[person] for row in rows})
    held_out = set(persons[::every])
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        chosen = [row for row in rows if (row.split(",")[person] in held_out) == (part == "test")]
        write_text_atomically(folder / f"landmarks_{part}.csv", "\n".join([header, *chosen]) + "\n")
        for row in chosen:
            link = folder / part / row.split(",")[name]
            if not link.exists():
                link.symlink_to((source / link.name).resolve())
        print(f"{part}: {len(chosen)} images of {len(persons) - len(held_out) if part == 'train' else len(held_out)} "
              f"people")  # fmt: skip
    return folder


def configure(settings: Mapping[str, Any], data: str, *, steps: int, seed: int, keypoints: int) -> GraphRunConfig:
    """The recipe cpu with a variant's settings."""
    values = merge(merge(read_recipe("graph", "cpu"), _BASE), settings)
    own = {"model": {"num_keypoints": keypoints}, "data": {"name": data}, "training": {"steps": steps, "seed": seed}}
    return build(GraphRunConfig, merge(values, own))


def step_costs(names: list[str], data: str, *, rounds: int, keypoints: int) -> dict[str, float]:
    """What a step of each variant takes, in steps of the recipe: medians of interleaved rounds of processor time.

    Variants with other rates alone do the same work.
    """
    same = {name: 1.0 for name in names if set(VARIANTS[name]) <= {"optimiser"}}
    timed = [name for name in names if name not in same]
    timed = ["recipe", *timed] if timed else []
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name in timed:
            few, more = (_cpu_time(VARIANTS[name], data, steps, keypoints) for steps in (_FEW, _MORE))
            taken[name].append((more - few) / (_MORE - _FEW))
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return {name: seconds / medians["recipe"] for name, seconds in medians.items()} | same


def _cpu_time(settings: Mapping[str, Any], data: str, steps: int, keypoints: int) -> float:
    config = configure(settings, data, steps=steps, seed=0, keypoints=keypoints)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        train_graph(config, Launch(Path(folder), progress=False))
        return time.process_time() - started


def scores(
    names: list[str], data: str, out: Path, *, budget: dict[str, int], seeds: int, keypoints: int
) -> Iterator[tuple[str, float]]:
    """The score of each variant and seed, trained unless it was before."""
    for seed in range(seeds):
        for name in names:
            folder = out / f"{name.replace(' ', '-').replace('/', '-')}-{budget[name]}-seed{seed}"
            config = configure(VARIANTS[name], data, steps=budget[name], seed=seed, keypoints=keypoints)
            run = train_graph(config, Launch(folder))
            if run.stopped_by:
                raise click.ClickException(f"stopped by {run.stopped_by}; repeat the command to go on")
            _, score = score_graph(load_graph_model(folder), open_source(data))
            print(f"{name}, seed {seed}, {budget[name]} steps: {score:.2f}", flush=True)
            yield name, score


@click.command()
@click.option("--data", default="faces68", show_default=True, help="A set with landmarks and people.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Where it lies.")
@click.option("--hold-out", "every", type=int, help="Score on every so many-th training person, not on the test split.")
@click.option("--only", default=",".join(VARIANTS), show_default=True, help="Variants, with commas between.")
@click.option("--steps", default=1200, show_default=True, help="Of the recipe; others get as many as cost as much.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--keypoints", default=8, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Of timing.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/better-learner"), show_default=True)
def main(data: str, data_root: Path | None, every: int | None, only: str, steps: int, seeds: int,
         keypoints: int, rounds: int, out: Path) -> None:  # fmt: skip
    """Train every variant at the same cost and print a table of their errors."""
    names = only.split(",")
    if every:
        data = str(hold_out(data, data_root, out / "persons", every=every).resolve())
    costs_file = out / "costs.json"  # measured once, so that a repeated command goes on with the same steps
    costs = json.loads(costs_file.read_text()) if costs_file.is_file() else {}
    if missing := [name for name in names if name not in costs]:
        costs |= step_costs(missing, data, rounds=rounds, keypoints=keypoints)
        out.mkdir(parents=True, exist_ok=True)
        write_text_atomically(costs_file, json.dumps(costs))
    budget = {name: round(steps / costs[name]) for name in names}
    found_scores: dict[str, list[float]] = {name: [] for name in names}
    for name, score in scores(names, data, out, budget=budget, seeds=seeds, keypoints=keypoints):
        found_scores[name].append(score)
    print(f"\nNME in % on {data}, K = {keypoints}, at the cost of {steps} steps of the recipe, {seeds} seeds\n")
    print("| variant | a step costs | steps | NME | seeds |")
    print("|---|---|---|---|---|")
    for name, values in found_scores.items():
        print(f"| {name} | {costs[name]:.2f} | {budget[name]} | {np.mean(values):.2f} ± {np.std(values):.2f} "
              f"| {', '.join(f'{value:.2f}' for value in values)} |")  # fmt: skip


if __name__ == "__main__":
    main()
