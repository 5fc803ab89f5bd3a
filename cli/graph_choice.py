"""What the commands that train on a graph share: how a plan is run, and a dry run."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autolink_gen.cli.cluster_choice import cluster_choice, drop_errors
from autolink_gen.cli.shared import echo
from autolink_gen.cli.training_options import print_parameters, run_and_report, say

if TYPE_CHECKING:
    from torch import nn

    from autolink_gen.config import GanRunConfig, TransferRunConfig
    from autolink_gen.models.autolink import AutoLink
    from autolink_gen.training.engine import Run
    from autolink_gen.training.launch import Launch
    from autolink_gen.training.painting_plans import GraphWish, PaintingPlan

Config = TypeVar("Config", "GanRunConfig", "TransferRunConfig")


def graph_wish(options: dict[str, Any]) -> "GraphWish":
    """Which graph the options ask for."""
    from autolink_gen.training.painting_plans import GraphWish

    dropped = cluster_choice(options["clusters"], options["dropped_clusters"])
    return GraphWish(options["graph_run"], dropped, resume=options["resume"], is_needed=not options["dry_run"])


def run_plan(
    make: "Callable[[], PaintingPlan[Config]]",
    options: dict[str, Any],
    train: "Callable[[Config, AutoLink, Launch], Run]",
    *,
    networks: "Callable[[Config], dict[str, nn.Module]]",
    files: dict[str, str],
    then: Callable[[Path], str],
) -> None:
    """Train what a plan says, or print it; ``then`` is the command to type next, ``networks`` are counted."""
    with drop_errors():
        plan = make()
    say(*plan.notes)
    if options["dry_run"]:
        _show(plan, options, networks)
        return
    graph = plan.graph
    assert graph is not None
    say(f"recipe: {plan.recipe}", f"run: {plan.folder}")
    run_and_report(
        lambda launch: train(plan.config, graph, launch),
        plan.folder,
        options,
        steps=plan.config.training.steps,
        files={"model.safetensors": "the weights to use, the graph's among them", **files},
        then=then(plan.folder),
    )


def _show(
    plan: "PaintingPlan[Config]", options: dict[str, Any], networks: "Callable[[Config], dict[str, nn.Module]]"
) -> None:
    """Print the configuration, itself a recipe, and the parameters by block."""
    from autolink_gen.config import to_yaml

    if plan.graph is None:
        say("# no graph yet: autolink-gen learn-graph makes one")
        if choice := cluster_choice(options["clusters"], options["dropped_clusters"]):
            say(f"# {choice} of its keypoints will be left out")
    echo(f"# recipe: {plan.recipe}", f"# {plan.folder}", *to_yaml(plan.config).splitlines())
    print_parameters(networks(plan.config))
