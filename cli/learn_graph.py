"""``autolink-gen learn-graph``: images in, keypoints and their graph out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import command
from autolink_gen.cli.options import TrainingOptions, echo, note, say, train_and_report, training_options
from autolink_gen.common.progress import progress_bar
from autolink_gen.common.text import typed

if TYPE_CHECKING:
    from autolink_gen.training.engine import Run
    from autolink_gen.training.plans import GraphPlan

_FILES = {"model.safetensors": "the weights to use", "graph.png": "the learned graph on images of the data set"}


@command()
@training_options()
@click.option("--num-keypoints", type=int, help="Number of keypoints, 2 to 64.")
@click.option("--image-size", type=int, help="Width and height in pixels: 64, 128 or 256.")
@click.option("--hold-out", type=int, metavar="N",
              help="Leave every Nth person of the training split out, for evaluate --hold-out N.")  # fmt: skip
@click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Train so many runs, one after the other, each with its seed, and compare them.")  # fmt: skip
@click.option("--keep-best", is_flag=True, help="Of the --seeds keep the run that repaints best and delete the others.")
def learn_graph(
    *,
    training: TrainingOptions,
    num_keypoints: int | None,
    image_size: int | None,
    hold_out: int | None,
    num_seeds: int,
    keep_best: bool,
) -> None:
    """Learn keypoints and the graph that links them from unlabelled images of one kind of object.

    Without --data, learns the skeleton of the embedded puppets. Ends with graph.png in the run's folder: the graph
    on 40 of the images. Repeating the command goes on where it stopped.

    \b
    Examples:
      autolink-gen learn-graph
      autolink-gen learn-graph --data photos/ --num-keypoints 16 --max-minutes 45
      autolink-gen learn-graph --recipe paper --data photos/ --devices 8
      autolink-gen learn-graph --data photos/ --seeds 4 --keep-best
    """
    _check_seeds(training, num_seeds, keep_best=keep_best)
    plan = verbs.plan_graph(training.choices(), num_keypoints=num_keypoints, image_size=image_size, hold_out=hold_out)
    if training.dry_run:
        echo(*plan.describe(training.launch(plan.folder)))
        return
    say(f"recipe: {plan.recipe}", f"run: {plan.folder}")
    if num_seeds == 1:
        _train(plan, training)
    else:
        _train_seeds(plan, training, num_seeds, keep_best=keep_best)


def _check_seeds(training: TrainingOptions, num_seeds: int, *, keep_best: bool) -> None:
    """UsageError where options do not go with the number of seeds."""
    if num_seeds == 1 and keep_best:
        raise click.UsageError("--keep-best is for several runs; give --seeds 4 with it")
    if num_seeds > 1 and (training.devices not in ("auto", "1", "cpu", "cuda", "mps") or training.nodes != 1):
        raise click.UsageError("--seeds trains on one device: leave --devices and --nodes out, or start a run a seed")


def _train_seeds(plan: "GraphPlan", training: TrainingOptions, count: int, *, keep_best: bool) -> None:
    """Train a run for each seed, then print how they differ and which repaints best."""
    study = verbs.SeedRuns(plan, count, keep_best)
    if study.is_finished(fresh=not training.resume):
        say(f"finished already: {plan.folder} holds the best of the seeds; --fresh starts anew")
        return
    share = replace(training, max_minutes=training.max_minutes and training.max_minutes / count)
    for seeded in study.plans():
        say(f"seed {seeded.config.training.seed}: {seeded.folder}")
        _train(seeded, share, tell=not keep_best)
    echo(*study.finish(progress=progress_bar))
    if keep_best:
        note(f"next: {_next(plan.folder)}")


def _train(plan: "GraphPlan", training: TrainingOptions, *, tell: bool = True) -> None:
    """Train one run; with ``tell``, print its files and the next command."""
    begun = plan.as_begun() if training.resume else plan
    if begun is not plan:
        say("the run was begun with this recipe's earlier settings and goes on with them; --fresh takes today's")
    train_and_report(
        begun.train,
        training.launch(plan.folder),
        steps=begun.config.training.steps,
        files=_FILES if tell else {},
        then=_next(plan.folder) if tell else "",
        score=_score_puppets if begun.config.data.name == "puppets" else lambda run: None,
    )


def _next(folder: Path) -> str:
    run = typed(folder)
    return f"autolink-gen view-graph {run}; autolink-gen detect IMAGES --model {run}"


def _score_puppets(run: "Run") -> None:
    """Print how much of the puppets' true skeleton was found."""
    echo(*verbs.beside_untrained(run.eval_network, progress=progress_bar))
