"""``autolink-gen train-transfer``: a learned graph and videos in, a network that moves one with another out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.graph_choice import choose_graph
from autolink_gen.cli.training_options import (
    announce_resume,
    data_label,
    default_recipe,
    given_settings,
    launch_of,
    print_parameters,
    report_end,
    say,
    training_options,
    whole_path,
)

if TYPE_CHECKING:
    from autolink_gen.config import TransferRunConfig
    from autolink_gen.models.autolink import AutoLink


@click.command()
@training_options
@click.option("--graph", "graph_run", metavar="RUN", help="Graph run, by name or folder. [default: the newest one]")
@click.option("--image-size", type=int, help="Pixels, the graph's own size. [default: that]")
@click.option("--batch-size", type=int, help="Pairs of frames a step, over all devices.")
@click.option("--mirror/--no-mirror", default=None, help="Mirror every second pair. [default: the recipe's]")
def train_transfer(**options: Any) -> None:
    """Train a network that paints one video's motion with another's appearance.

    --data is a folder of videos, of folders of frames (as data prepare-videos makes them), or a named set. Needs a
    run of learn-graph. Ends with grid.png in the run's folder and l1.png, the error on held-out clips through
    training. Repeating the command goes on where it stopped.

    \b
    Examples:
      autolink-gen train-transfer
      autolink-gen train-transfer --data voxceleb2 --data-root ~/data --max-minutes 90
      autolink-gen train-transfer --data clips/ --graph clips-k16
    """
    recipe = options["recipe"] or default_recipe()
    if options["dry_run"]:
        _dry_run(recipe, options)
        return
    config, graph, folder = _prepare(recipe, options)
    say(f"recipe: {recipe}\nrun: {folder}")
    from autolink_gen.training.transfer import train_transfer as train

    launch = launch_of(options, folder)
    first = announce_resume(launch, steps=config.training.steps)
    run = train(config, graph, launch)
    if not run.fabric.is_global_zero:
        return
    report_end(run)
    verb = "wrote" if run.progress.step > first else "kept"
    says = {
        "model.safetensors": "the weights to use, the graph's among them",
        "grid.png": "sources, frames with their graph, those painted; another's frames, and those painted",
        "l1.png": "the error on held-out clips through training",
    }
    for name, text in says.items():
        if (folder / name).is_file():
            click.echo(f"{verb} {folder / name}: {text}")
    click.echo(f"next: autolink-gen transfer SOURCE DRIVER --model {folder}")


def _prepare(recipe: str, options: dict[str, Any]) -> tuple["TransferRunConfig", "AutoLink", Path]:
    """The configuration, the graph, and the run's folder."""
    from autolink_gen.training.graph_copy import with_graph

    data = whole_path(options["data"]) or "puppets"
    folder = _folder(options, data)
    graph, named = choose_graph(options, folder=folder, data=data, kind="the network")
    config = with_graph(_configuration(recipe, options, graph), graph, run=named)
    return config, graph, _folder(options, config.data.name)


def _folder(options: dict[str, Any], data: str) -> Path:
    folder: Path = options["out"] / "transfer" / (options["name"] or data_label(data))
    return folder


def _configuration(recipe: str, options: dict[str, Any], graph: "AutoLink | None") -> "TransferRunConfig":
    from autolink_gen.config import TransferRunConfig, build, merge, parse_overrides, read_recipe

    flip = {True: 0.5, False: 0.0, None: None}[options["mirror"]]
    given = given_settings(options, model={"image_size": options["image_size"]}, data={"flip": flip})
    size = {"image_size": graph.config.image_size} if graph is not None else {}
    values = merge({"model": size}, read_recipe("transfer", recipe))
    return build(TransferRunConfig, merge(merge(values, given), parse_overrides(options["settings"])))


def _dry_run(recipe: str, options: dict[str, Any]) -> None:
    from autolink_gen.checkpoints import find_run
    from autolink_gen.config import to_yaml
    from autolink_gen.models.transfer import TransferNetwork

    try:
        find_run("graph", options["graph_run"], runs=options["out"])
    except ValueError:
        if options["graph_run"] is not None:
            raise
        say("# no graph yet: autolink-gen learn-graph makes one")
        config = _configuration(recipe, options, None)
        folder = _folder(options, config.data.name)
    else:
        config, _, folder = _prepare(recipe, options)
    click.echo(f"# recipe: {recipe}\n# {folder}\n{to_yaml(config)}", nl=False)  # a recipe itself
    print_parameters({"network": TransferNetwork(config.model)})
