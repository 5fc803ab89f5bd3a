"""``autolink-gen learn-graph``: pictures in, keypoints and their graph out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.shared import progress_bar
from autolink_gen.cli.training_options import training_options

if TYPE_CHECKING:
    from autolink_gen.config import GraphRunConfig
    from autolink_gen.training.launch import Launch


@click.command()
@training_options
@click.option("--num-keypoints", type=int, help="Number of keypoints, 2 to 64.")
@click.option("--image-size", type=int, help="Width and height in pixels: 64, 128 or 256.")
@click.option("--batch-size", type=int, help="Pictures a step, over all devices.")
def learn_graph(**options: Any) -> None:
    """Learn keypoints and the graph that links them from unlabelled pictures of one kind of object.

    Without --data, learns the skeleton of the embedded puppets. Ends with graph.png in the run's folder: the graph
    on 40 of the pictures. Repeating the command goes on where it stopped.

    \b
    Examples:
      autolink-gen learn-graph
      autolink-gen learn-graph --data photos/ --num-keypoints 16 --max-minutes 45
      autolink-gen learn-graph --recipe paper --data photos/ --devices 8
    """
    recipe = options["recipe"] or _default_recipe(options["data"])
    config = _configuration(recipe, options)
    folder = options["out"] / "graph" / (options["name"] or _run_name(config))
    if options["dry_run"]:
        from autolink_gen.config import to_yaml

        click.echo(f"# recipe: {recipe}\n# {folder}\n{to_yaml(config)}", nl=False)  # a recipe itself
        return
    _say(f"recipe: {recipe}\nrun: {folder}")
    _train(config, folder, options)


def _say(text: str) -> None:
    """Print a line once, however many processes train."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank_zero_only(click.echo)(text)


def _configuration(recipe: str, options: dict[str, Any]) -> "GraphRunConfig":
    from autolink_gen.config import GraphRunConfig, build, merge, parse_overrides, read_recipe

    root = options["data_root"]
    given = {
        "model": {"num_keypoints": options["num_keypoints"], "image_size": options["image_size"]},
        "data": {"name": _whole_path(options["data"]), "root": str(root) if root else None},
        "training": {
            "seed": options["seed"],
            "steps": options["steps"],
            "batch_size": options["batch_size"],
        },
    }
    given = {group: {k: v for k, v in values.items() if v is not None} for group, values in given.items()}
    values = merge(merge(read_recipe("graph", recipe), given), parse_overrides(options["settings"]))
    return build(GraphRunConfig, values)


def _whole_path(data: str | None) -> str | None:
    """A folder as a path that holds wherever a later command is typed; names of data sets as they are."""
    from autolink_gen.data.catalog import own_path

    folder = own_path(data) if data else None
    return str(folder.resolve()) if folder is not None and folder.is_dir() else data


def _default_recipe(data: str | None) -> str:
    if data in (None, "puppets"):
        return "puppets"
    import torch

    return "paper" if torch.cuda.is_available() else "cpu"


def _run_name(config: "GraphRunConfig") -> str:
    parts = Path(config.data.name).resolve().parts if Path(config.data.name).is_dir() else (config.data.name,)
    generic = parts[-1] in ("train", "test", "val", "images", "img")
    stem = "-".join(parts[-2:]) if generic and len(parts) > 2 else parts[-1]
    return f"{stem}-k{config.model.num_keypoints}"


def _train(config: "GraphRunConfig", folder: Path, options: dict[str, Any]) -> None:
    from autolink_gen.training.graph import train_graph
    from autolink_gen.training.launch import Launch

    launch = Launch(
        folder=folder,
        devices=options["devices"],
        nodes=options["nodes"],
        precision=options["precision"],
        max_minutes=options["max_minutes"],
        fresh=not options["resume"],
    )
    first = _announce_resume(config, launch)
    run = train_graph(config, launch)
    if not run.fabric.is_global_zero:
        return
    done = run.progress.step
    if run.stopped_by:
        click.echo(
            f"stopped by {run.stopped_by} at step {done} of {config.training.steps}; repeat the command to go on"
        )
    if run.progress.skipped_steps:
        click.echo(f"{run.progress.skipped_steps} steps were skipped: their loss was not finite")
    if config.data.name == "puppets":
        _score_puppets(run.usable)
    verb = "wrote" if done > first else "kept"
    click.echo(f"{verb} {folder / 'model.safetensors'}: the weights to use")
    if (folder / "graph.png").is_file():
        click.echo(f"{verb} {folder / 'graph.png'}: the learned graph on pictures of the data set")
    click.echo(f"next: autolink-gen view-graph {folder}; autolink-gen detect PICTURES --model {folder}")


def _announce_resume(config: "GraphRunConfig", launch: "Launch") -> int:
    """Say what a repeated command finds; returns the step of the newest save, 0 where there is none."""
    from autolink_gen.training.saves import step_folders

    found = [] if launch.fresh else step_folders(launch.folder / "checkpoints")
    step = int(found[-1].name.removeprefix("step-")) if found else 0
    if step >= config.training.steps:
        _say(f"finished already, at step {step}: more --steps go on, --fresh starts anew")
    elif step:
        _say(f"going on from step {step} of {config.training.steps}")
    return step


def _score_puppets(model: Any) -> None:
    """Print how much of the puppets' true skeleton was found."""
    from autolink_gen.evaluation.puppets import compare, evaluate_puppets, untrained_like

    model.eval()
    learned, untrained = (evaluate_puppets(m, progress=progress_bar).scores for m in (model, untrained_like(model)))
    for line in compare(learned, untrained):
        click.echo(line)
