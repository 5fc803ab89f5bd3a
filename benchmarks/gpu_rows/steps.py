"""A step of the graph learner alone: forward, loss, backward and update, recipe ``official``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.models import autolink
from autolink_gen.models.autolink import AutoLink
from autolink_gen.recipes import merge, read_recipe
from autolink_gen.training.graph_loss import GraphLoss, parts_of
from autolink_gen.training.optimisers import fuse, make_optimiser
from gpu_rows.edge_maps import EdgeMap, dense_in_three_cases
from gpu_rows.measuring import Case, Setting, SkippedError, Values, median_ms, peak_mb, rounded, seconds
from gpu_rows.stand_ins import provide_weights

_SMALL: dict[str, Any] = {
    "model": {"width": 0.05, "decoder_width": 0.05, "image_size": 64, "features": "random", "features_size": 64},
    "perceptual": {"features": "random", "resize": 64},
    "training": {"batch_size": 2},
}


def graph_config(recipe: str, setting: Setting, changes: dict[str, Any]) -> GraphRunConfig:
    """A recipe of the graph learner with changes, small where all is."""
    values = merge(read_recipe("graph", recipe), _SMALL if setting.small else {})
    return build(GraphRunConfig, merge(values, changes))


def compile_parts(model: AutoLink, loss_of: GraphLoss) -> None:
    """Compile what a run of the graph learner compiles."""
    torch.compiler.reset()
    for network in (model.detector, model.decoder):
        network.compile(dynamic=False)
    for part in parts_of(loss_of.perceptual).values():
        setattr(part.__self__, part.__name__, torch.compile(part, dynamic=False))  # type: ignore[attr-defined]


def make_step(config: GraphRunConfig, device: str, *, compiled: bool) -> Callable[[], None]:
    """A step on one batch of noise, again and again."""
    torch.manual_seed(0)
    model = AutoLink(config.model).to(device, memory_format=torch.channels_last)
    loss_of = GraphLoss(config, model, device=device)
    model.to(device)
    optimiser = make_optimiser(model, config.optimiser, own_rates=[])
    if device == "cuda":
        fuse(optimiser)
    if compiled:
        compile_parts(model, loss_of)
    size = config.model.input_size
    images = torch.rand(config.training.batch_size, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    draw = torch.Generator().manual_seed(0)

    def step() -> None:
        views = loss_of.views(images, generator=draw)
        with torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext():
            loss = loss_of(model, views)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


@contextmanager
def drawing_with(edge_map: EdgeMap) -> Iterator[None]:
    """Let models draw their graphs otherwise."""
    plain = autolink.edge_map
    autolink.edge_map = edge_map
    try:
        yield
    finally:
        autolink.edge_map = plain


def measure(number: int, setting: Setting, *, compiled: bool = False, edge_map: EdgeMap | None = None) -> Values:
    """A step at one number of keypoints."""
    if compiled and not setting.on_cuda:
        raise SkippedError("a CPU gains nothing from compiling")
    note = None if setting.small else provide_weights(setting.folder)
    config = graph_config("official", setting, {"model": {"num_keypoints": number}})
    step = make_step(config, setting.device, compiled=compiled)
    with drawing_with(edge_map) if edge_map else nullcontext():
        first_s = seconds(step, setting.device)
        step_ms = median_ms(step, setting, least_s=0.5)
        peak = peak_mb(step, setting.device)
    return {**rounded({"step ms": step_ms, "peak MB": peak, "first step s": first_s}), "weights": note}


def cases(setting: Setting) -> Iterator[Case]:
    """As it is, with the edge map as the authors have it, and compiled; what takes long comes last."""
    numbers = setting.pick((16, 32, 8, 64), (4, 5, 3, 6))
    for number in numbers:
        yield Case(f"as it is, K = {number}", partial(measure, number, setting))
        name = f"our model, all edges at once as the authors, K = {number}"
        yield Case(name, partial(measure, number, setting, edge_map=dense_in_three_cases))
    for number in numbers:
        yield Case(f"compiled, K = {number}", partial(measure, number, setting, compiled=True))
