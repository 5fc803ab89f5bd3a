"""Trainings from Python that take two steps of a tiny network, for running what the documentation shows."""

import functools
from collections.abc import Mapping
from typing import Any

import pytest

import autolink_gen
from autolink_gen.studies import sweep as sweeps

_TINY = {
    "learn_graph": {"model.width": 0.05, "perceptual.features": "random", "model.detector": "residual"},
    "train_gan": {"model.width": 0.02, "adversarial.structure": 0.0, "progress.pictures": 0},
    "train_transfer": {
        "model.width": 0.05,
        "model.appearance_width": 0.05,
        "weights.discriminator_width": 0.02,
        "perceptual.features": "random",
        "progress.pictures": 0,
    },
}


def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `autolink_gen.learn_graph`, `train_gan`, `train_transfer` and `sweep` take two steps, or as a call says."""
    for name, settings in _TINY.items():
        options = {"recipe": "cpu", "settings": settings, "steps": 2, "batch_size": 2, "progress": False}
        monkeypatch.setattr(
            autolink_gen, name, functools.partial(getattr(autolink_gen, name), **options), raising=False
        )
    plain = sweeps.sweep

    def tiny_sweep(settings: Mapping[str, Any], *data: Any, **options: Any) -> sweeps.SweepReport:
        return plain({**_TINY["learn_graph"], **settings}, *data, **{"steps": 2, "batch_size": 2, **options})

    monkeypatch.setattr(sweeps, "sweep", tiny_sweep)
