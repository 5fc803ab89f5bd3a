"""The weights and the training state of a run, collected for saves and restored from them."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from autolink_gen.training.optimisers import load_moments
from autolink_gen.training.run_progress import TrainingProgress

if TYPE_CHECKING:
    from autolink_gen.training.engine import Run

_CRITIC = "critic."  # before the names of the critic's weights in a save


def weights_of(run: "Run") -> dict[str, Tensor]:
    """The trained weights, the critic's included."""
    weights = dict(run.network.state_dict())
    if run.critic_network is not None:
        weights |= {_CRITIC + name: value for name, value in run.critic_network.state_dict().items()}
    return weights


def state_of(run: "Run") -> dict[str, Any]:
    """All other state that a run carries from step to step."""
    state = {
        "progress": vars(run.progress).copy(),
        "optimiser": run.optimiser.state_dict(),
        "average": run.average.state_dict() if run.average is not None else None,
        "loss_scale": run.fabric.strategy.precision.state_dict(),  # of half precision; else empty
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    if run.critic_optimiser is not None:
        state["critic_optimiser"] = run.critic_optimiser.state_dict()
    return state


def restore(run: "Run", weights: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Restore what :func:`weights_of` and :func:`state_of` collected; raises anything where it does not fit."""
    network_weights = {name: value for name, value in weights.items() if not name.startswith(_CRITIC)}
    run.network.load_state_dict(network_weights)
    load_moments(run.optimiser, state["optimiser"])
    if run.critic_network is not None:
        critic_weights = {
            name.removeprefix(_CRITIC): value for name, value in weights.items() if name not in network_weights
        }
        run.critic_network.load_state_dict(critic_weights)
        load_moments(run.critic_optimiser, state["critic_optimiser"])
    if run.average is not None and state["average"] is not None:
        run.average.load_state_dict(state["average"])
    if state.get("loss_scale"):
        run.fabric.strategy.precision.load_state_dict(state["loss_scale"])
    run.progress = TrainingProgress(**state["progress"])
    torch.set_rng_state(state["rng"])
    if torch.cuda.is_available() and state["cuda_rng"]:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
