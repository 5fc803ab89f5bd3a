"""Numbers that are not finite: a step that has them changes nothing, and nothing that holds them is kept or used."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from safetensors.torch import load_file, save_file

from autolink_gen import load_graph_model
from autolink_gen.checkpoints import WEIGHTS_NAME, read_weights, save_model, write_weights
from autolink_gen.common.files import BadFileError
from autolink_gen.config import GraphRunConfig, build
from autolink_gen.inference.generate import Gan, load_gan, save_gan
from autolink_gen.inference.transfer import Transfer, load_transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.training import graph as graph_training
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.guards import count_step
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_progress import TrainingProgress
from autolink_gen.training.run_state import state_of, weights_of
from autolink_gen.training.saves import DivergedError, find_newest, read_newest, step_folders, write_save

LENGTH = {"steps": 6, "batch_size": 2, "ema": 0.9, "save_every": 1, "keep_last": 9, "grid_every": 99, "log_every": 1}


def config(*, lr: float = 1e-3, **training: object) -> GraphRunConfig:
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": "puppets"},
            "perceptual": {"features": "random", "distance": "l1"},
            "optimiser": {"lr": lr},
            "training": {**LENGTH, **training},
        },
    )


def launch(folder: Path) -> Launch:
    return Launch(folder=folder, devices=1, progress=False)


def everything(run: Run) -> dict[str, torch.Tensor]:
    """Copies of all tensors that a run carries from step to step."""
    state = state_of(run)
    assert run.average is not None
    moments = {
        f"{number}.{name}": value
        for number, values in state["optimiser"]["state"].items()
        for name, value in values.items()
    }
    found = {**weights_of(run), **{f"average.{name}": value for name, value in state["average"].items()}, **moments}
    return {name: value.clone() for name, value in found.items()}


def overflow_at(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Give these batches a pixel that is not finite, as one that overflows is in the networks."""
    plain, step = graph_training.flip_some, iter(range(10**6))

    def flip(pictures: torch.Tensor, **options: object) -> torch.Tensor:
        if next(step) in steps:
            pictures[0, 0, 5, 5] = math.inf
        return plain(pictures, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graph_training, "flip_some", flip)


def test_a_step_that_overflows_leaves_everything_as_it_was(tmp_path, monkeypatch, guard):
    """Its forward pass has moved the batch norms' statistics by the time that its loss is looked at."""
    plain, seen = Run.update, {}

    def update(run: Run, loss: torch.Tensor, **options: object) -> bool:
        moved = any(not value.isfinite().all() for value in run.network.buffers())
        taken = plain(run, loss, **options)
        seen[run.progress.step] = (taken, moved, everything(run))
        return taken

    overflow_at(monkeypatch, {2})
    monkeypatch.setattr(Run, "update", update)
    run = train_graph(config(), launch(tmp_path / "run"))
    assert [(taken, moved) for taken, moved, _ in seen.values()] == [(n != 2, n == 2) for n in range(6)]
    before, after, later = (seen[step][2] for step in (1, 2, 3))
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert any(not torch.equal(after[name], later[name]) for name in after if "running_mean" in name)
    assert (run.progress.step, run.progress.skipped_steps) == (6, 1)
    assert all(value.isfinite().all() for value in load_file(run.folder / WEIGHTS_NAME).values())
    names = [save.name for save in step_folders(run.checkpoints)]
    assert "step-00000003" not in names and {"step-00000002", "step-00000004"} <= set(names), "good steps alone"


def test_a_finite_loss_with_a_statistic_that_is_not_is_skipped(tmp_path, monkeypatch, guard):
    """A variance that overflows makes a quotient of 0, of which the loss says nothing."""
    plain = Run.update

    def update(run: Run, loss: torch.Tensor, **options: object) -> bool:
        assert loss.isfinite()
        if run.progress.step == 1:
            variances = (value for name, value in run.network.named_buffers() if name.endswith("running_var"))
            next(variances).data[0] = math.inf  # of the data: the graph would see another change
        return plain(run, loss, **options)

    monkeypatch.setattr(Run, "update", update)
    run = train_graph(config(steps=3, save_every=3), launch(tmp_path / "run"))
    assert run.progress.skipped_steps == 1
    assert all(value.isfinite().all() for value in run.network.buffers())


def test_each_forward_pass_counts_once(tmp_path, guard):
    run = train_graph(config(steps=3, save_every=3, ema=0.0), launch(tmp_path / "run"))
    assert run.progress.skipped_steps == 0 and run.progress.recent_skips == []
    counts = [int(value) for name, value in run.network.named_buffers() if name.endswith("num_batches_tracked")]
    assert set(counts) == {3}, "each forward pass counts once"


def test_steps_that_fail_now_and_then_end_the_run_too(tmp_path, monkeypatch, caplog, guard):
    overflow_at(monkeypatch, set(range(1, 99, 2)))
    with raises_mentioning(ValueError, "step 10", 5, "loss", "step 9", "save", "optimiser.lr"):
        train_graph(config(steps=20, max_bad_steps=2, save_every=3), launch(tmp_path / "run"))
    assert "step 8 skipped: the loss" in caplog.text


def test_skipped_steps_are_counted_beyond_a_save(tmp_path, monkeypatch, guard):
    with monkeypatch.context() as patch:
        overflow_at(patch, {1, 3})
        train_graph(config(steps=5, max_bad_steps=2, save_every=5), launch(tmp_path / "run"))
    overflow_at(monkeypatch, {1, 3, 5})  # counted from step 5 on
    with pytest.raises(ValueError, match=r"step 11: 5 of the last 11 "):
        train_graph(config(steps=20, max_bad_steps=2, save_every=5), launch(tmp_path / "run"))


def count(progress: TrainingProgress, *, bad: bool, penalised: bool, most: int = 5) -> str | None:
    parts = ["the critic's loss with its gradient penalty"] if bad else []
    reason = count_step(progress, progress.step, skipped=parts, penalised=penalised, most=most)
    progress.step += 1
    return reason


@pytest.mark.parametrize(("every", "stops_at"), [(1, 4), (8, 32), (64, 256)])
def test_a_penalty_that_never_works_ends_the_run_however_seldom_it_is(every, stops_at):
    progress = TrainingProgress()
    for step in range(stops_at + 1):
        is_penalised = step % every == 0
        reason = count(progress, bad=is_penalised, penalised=is_penalised)
        assert (reason is not None) == (step == stops_at), step
    assert reason is not None and "5 steps" in reason


def test_single_steps_of_a_long_run_do_not_end_it():
    progress = TrainingProgress()
    assert all(count(progress, bad=step % 25 == 0, penalised=False) is None for step in range(2000))
    assert progress.skipped_steps == 80 and len(progress.recent_skips) == 8, "those of the last 200"


def test_progress_of_old_is_read():
    old = {"step": 3, "best_loss": 1.5, "best_step": 2, "skipped_steps": 1, "bad_in_a_row": 0, "recent_losses": [2.0]}
    progress = TrainingProgress(**old)
    assert (progress.step, progress.recent_skips, progress.bad_penalties) == (3, [], 0)


def test_a_run_that_diverges_says_which_save_is_the_last(tmp_path):
    """Steps of 1e20 leave weights that are finite, and with which nothing is."""
    with raises_mentioning(ValueError, "5 steps", "save", "step 1"):
        train_graph(config(lr=1e20, steps=20), launch(tmp_path / "run"))
    assert [save.name for save in step_folders(tmp_path / "run" / "checkpoints")] == ["step-00000001"]
    with raises_mentioning(ValueError, "5 steps", "no save"):
        train_graph(config(lr=1e20, steps=20, save_every=5), launch(tmp_path / "other"))
    assert not (tmp_path / "other" / WEIGHTS_NAME).exists()


def test_a_save_after_which_nothing_was_good_is_named(tmp_path, monkeypatch):
    overflow_at(monkeypatch, set(range(2, 99)))
    with raises_mentioning(ValueError, "step-00000002", "good", "away"):
        train_graph(config(max_bad_steps=3), launch(tmp_path / "run"))
    monkeypatch.undo()
    shutil.move(tmp_path / "run" / "checkpoints" / "step-00000002", tmp_path / "away")
    assert train_graph(config(max_bad_steps=3), launch(tmp_path / "run")).first_step == 1, "what it advises works"


def test_weights_that_overflow_at_the_last_step_are_not_kept(tmp_path, monkeypatch, caplog):
    plain = Run.update

    def update(run: Run, loss: torch.Tensor, **options: object) -> bool:
        taken = plain(run, loss, **options)
        if run.progress.step == 2:
            run.network.get_parameter("decoder.head.bias").data[0] = math.nan
        return taken

    monkeypatch.setattr(Run, "update", update)
    with raises_mentioning(ValueError, "step 3", "decoder.head.bias", "save", "step 2"):
        train_graph(config(steps=3), launch(tmp_path / "run"))
    assert "no save at step 3: decoder.head.bias" in caplog.text
    assert all(value.isfinite().all() for value in load_file(tmp_path / "run" / WEIGHTS_NAME).values())


def spoil(save: Path) -> None:
    """Make of a save one that older versions wrote after a batch had overflowed."""
    weights = read_weights(save / WEIGHTS_NAME)[1]
    next(value for name, value in weights.items() if name.endswith("running_mean"))[0] = math.nan
    save_file(weights, save / WEIGHTS_NAME)
    (save / "SHA256SUMS").unlink()


def test_a_run_of_old_goes_on_from_the_last_save_that_is_finite(tmp_path, caplog):
    train_graph(config(steps=2), launch(tmp_path / "run"))
    shutil.copytree(tmp_path / "run", tmp_path / "straight")
    straight = train_graph(config(steps=3), launch(tmp_path / "straight"))
    checkpoints = tmp_path / "run" / "checkpoints"
    spoil(checkpoints / "step-00000002")
    run = train_graph(config(steps=3), launch(tmp_path / "run"))
    assert (straight.first_step, run.first_step, run.progress.step) == (2, 1, 3)
    assert "step-00000002" in caplog.text and "not finite" in caplog.text
    assert (checkpoints / "damaged-step-00000002" / WEIGHTS_NAME).is_file(), "put aside, not deleted"
    (weights, _), (expected, _) = (read_newest(one.checkpoints) for one in (run, straight))  # type: ignore[misc]
    assert [name for name in expected if not torch.equal(weights[name], expected[name])] == []


def test_a_run_without_a_finite_save_says_so(tmp_path):
    train_graph(config(steps=1), launch(tmp_path / "run"))
    spoil(tmp_path / "run" / "checkpoints" / "step-00000001")
    with pytest.raises(ValueError, match=r"running_mean.*--fresh.*optimiser\.lr"):
        train_graph(config(steps=2), launch(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints" / "step-00000001").is_dir(), "nothing is moved"


@pytest.mark.parametrize("place", ["weights", "moments"])
def test_a_save_refuses_what_is_not_finite(tmp_path, place):
    bad = torch.tensor([1.0, -math.inf])
    weights = {"w": bad if place == "weights" else torch.ones(2)}
    state = {"optimiser": {"state": {0: {"exp_avg": bad if place == "moments" else torch.ones(2)}}}}
    with pytest.raises(DivergedError, match=r"step 7.*(w|optimiser\.state\.0\.exp_avg) "):
        write_save(tmp_path, 7, weights, state)
    assert list(tmp_path.iterdir()) == [] and find_newest(tmp_path) is None


def graph() -> AutoLink:
    return tiny_graph()


def a_gan() -> Gan:
    return tiny_gan()


def a_transfer() -> Transfer:
    return tiny_transfer()


@pytest.mark.parametrize(
    ("make", "write", "load"),
    [(graph, save_model, load_graph_model), (a_gan, save_gan, load_gan), (a_transfer, save_transfer, load_transfer)],
    ids=["graph", "gan", "transfer"],
)
def test_weights_that_are_not_finite_are_neither_written_nor_used(tmp_path, make, write, load):
    model, file = make(), tmp_path / WEIGHTS_NAME
    write(file, model, step=1)
    load(file)
    whole = file.read_bytes()
    name = next(name for name, value in model.state_dict().items() if value.is_floating_point() and value.ndim > 1)
    model.state_dict()[name].view(-1)[3] = math.nan
    with pytest.raises(ValueError, match=rf"{WEIGHTS_NAME} is not written: {name} .*not finite"):
        write(file, model, step=2)
    assert file.read_bytes() == whole
    metadata, tensors = read_weights(file)
    tensors[name].view(-1)[3] = math.nan
    write_weights(file, tensors, metadata)  # as older versions did
    with pytest.raises(BadFileError, match=rf"{WEIGHTS_NAME} cannot be used: {name} .*lower learning rate"):
        load(file)
