"""Trainings from Python that take two steps of a tiny network, for running what the documentation shows."""

import functools

import pytest

import autolink_gen

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
    """Let `autolink_gen.learn_graph`, `train_gan` and `train_transfer` take two steps, unless a call says how many."""
    for name, settings in _TINY.items():
        options = {"recipe": "cpu", "settings": settings, "steps": 2, "batch_size": 2, "progress": False}
        monkeypatch.setattr(
            autolink_gen, name, functools.partial(getattr(autolink_gen, name), **options), raising=False
        )
