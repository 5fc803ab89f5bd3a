"""``autolink-gen learn-graph``: pictures in, keypoints and their graph out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolink_gen.cli.options import echo, say
from autolink_gen.cli.training_options import choices_of, run_and_report, training_options
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import typed

if TYPE_CHECKING:
    from autolink_gen.training.plans import GraphPlan

_FILES = {"model.safetensors": "the weights to use", "graph.png": "the learned graph on pictures of the data set"}


@click.command()
@training_options
@click.option("--num-keypoints", type=int, help="Number of keypoints, 2 to 64.")
@click.option("--image-size", type=int, help="Width and height in pixels: 64, 128 or 256.")
@click.option("--batch-size", type=int, help="Pictures a step, over all devices.")
@click.option("--hold-out", type=int, metavar="N",
              help="Leave every Nth person of the training part out, for evaluate --hold-out N.")  # fmt: skip
@click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Train so many runs, one after the other, each with its seed, and compare them.")  # fmt: skip
@click.option("--keep-best", is_flag=True, help="Of the --seeds keep the run that repaints best and delete the others.")
def learn_graph(**options: Any) -> None:
    """Learn keypoints and the graph that links them from unlabelled pictures of one kind of object.

    Without --data, learns the skeleton of the embedded puppets. Ends with graph.png in the run's folder: the graph
    on 40 of the pictures. Repeating the command goes on where it stopped.

    \b
    Examples:
      autolink-gen learn-graph
      autolink-gen learn-graph --data photos/ --num-keypoints 16 --max-minutes 45
      autolink-gen learn-graph --recipe paper --data photos/ --devices 8
      autolink-gen learn-graph --data photos/ --seeds 4 --keep-best
    """
    from autolink_gen.training.plans import plan_graph

    _check_seeds(options)
    chosen = {name: options[name] for name in ("num_keypoints", "image_size", "hold_out")}
    plan = plan_graph(choices_of(options), **chosen)
    if options["dry_run"]:
        from autolink_gen.config import to_yaml

        echo(f"# recipe: {plan.recipe}", f"# {plan.folder}", *to_yaml(plan.config).splitlines())  # a recipe itself
        return
    say(f"recipe: {plan.recipe}", f"run: {plan.folder}")
    if options["num_seeds"] == 1:
        _train(plan, options)
    else:
        _train_seeds(plan, options)


def _check_seeds(options: dict[str, Any]) -> None:
    """UsageError where options do not go with the number of seeds."""
    if options["num_seeds"] == 1 and options["keep_best"]:
        raise click.UsageError("--keep-best is for several runs; give --seeds 4 with it")
    if options["num_seeds"] > 1 and (
        options["devices"] not in ("auto", "1", "cpu", "cuda", "mps") or options["nodes"] != 1
    ):
        raise click.UsageError("--seeds trains on one device: leave --devices and --nodes out, or start a run a seed")


def _train_seeds(plan: "GraphPlan", options: dict[str, Any]) -> None:
    """Train a run a seed, then say how far they are apart and which repaints best."""
    from dataclasses import replace

    from autolink_gen.studies import seeds
    from autolink_gen.studies.seed_table import claim_table
    from autolink_gen.training.folders import move_aside

    config, folder = plan.config, plan.folder
    first, count = config.training.seed, options["num_seeds"]
    numbers = range(first, first + count)
    seeded = [replace(config, training=replace(config.training, seed=number)) for number in numbers]
    folders = [folder.with_name(f"{folder.name}-seed{number}") for number in numbers]
    table = folder.with_name(f"{folder.name}-{seeds.SEEDS_NAME}")
    if options["keep_best"] and (folder / seeds.SEEDS_NAME).is_file():
        if options["resume"]:
            seeds.check_kept(folder, config, numbers)
            say(f"finished already: {folder} holds the best of the seeds; --fresh starts anew")
            return
        move_aside(folder)
    if options["keep_best"]:
        seeds.check_free(folder)
    else:
        claim_table(table, dict(zip(numbers, folders, strict=True)), fresh=not options["resume"])
    minutes = options["max_minutes"] and options["max_minutes"] / count
    for one, own in zip(seeded, folders, strict=True):
        say(f"seed {one.training.seed}: {own}")
        seeded_plan = replace(plan, config=one, folder=own)
        _train(seeded_plan, {**options, "max_minutes": minutes}, tell=not options["keep_best"])
    losses = seeds.compare_seeds(config, folders, numbers, progress=progress_bar)
    mean, deviation = seeds.spread(losses)
    echo(f"reconstruction loss of {count} seeds on the same pictures: {mean:.4f} ± {deviation:.4f}")
    for loss in losses:
        echo(f"  seed {loss.seed}: {loss.loss:.4f}")
    best = folders[losses[0].seed - first]
    if options["keep_best"]:
        seeds.keep_best(folders, best, folder, losses)
        echo(f"kept seed {losses[0].seed} as {folder}, and deleted the others")
        echo(f"next: {_next(folder)}")
    else:
        seeds.write_losses(table, losses)
        echo(f"wrote {table}; the best is {best}")


def _train(plan: "GraphPlan", options: dict[str, Any], *, tell: bool = True) -> None:
    """Train one run and, to ``tell``, say which files it made and what to type next."""
    from autolink_gen.training.graph import train_graph

    begun = plan.as_begun() if options["resume"] else plan
    if begun is not plan:
        say("the run was begun with this recipe's earlier settings and goes on with them; --fresh takes today's")
    config = begun.config
    run_and_report(
        lambda launch: train_graph(config, launch),
        plan.folder,
        options,
        steps=config.training.steps,
        files=_FILES if tell else {},
        then=_next(plan.folder) if tell else "",
        score=lambda run: _score_puppets(run.usable) if config.data.name == "puppets" else None,
    )


def _next(folder: Path) -> str:
    run = typed(folder)
    return f"autolink-gen view-graph {run}; autolink-gen detect PICTURES --model {run}"


def _score_puppets(model: Any) -> None:
    """Print how much of the puppets' true skeleton was found."""
    from autolink_gen.evaluation.puppets import compare, evaluate_puppets, untrained_like

    model.eval()
    learned, untrained = (evaluate_puppets(m, progress=progress_bar).scores for m in (model, untrained_like(model)))
    for line in compare(learned, untrained):
        echo(line)
