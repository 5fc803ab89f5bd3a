"""`autolink-gen learn-graph` where a run is in use, cannot be gone on with, or would be written over."""

import os
from pathlib import Path

import pytest
from helpers.messages import assert_mentions, one_line
from helpers.tiny_learn_graph import learn_graph


def test_a_run_that_another_process_trains_is_one_line(pictures: Path) -> None:
    from autolink_gen.training.locks import locked_run

    folder = Path("runs/graph/photos-k3")
    learn_graph("--data", pictures, "--steps", 1)
    with locked_run(folder):
        for more in ((), ("--fresh",)):
            result = learn_graph("--data", pictures, "--steps", 2, *more)
            assert_mentions(one_line(result), folder, "in use", f"process {os.getpid()}")
    assert [path.name for path in folder.parent.iterdir()] == ["photos-k3"]


def test_saves_that_cannot_be_read_are_one_line(pictures: Path) -> None:
    learn_graph("--data", pictures, "--steps", 1)
    folder = Path("runs/graph/photos-k3")
    (folder / "checkpoints/step-00000001/training_state.pt").write_bytes(b"half")
    result = learn_graph("--data", pictures, "--steps", 2)
    assert_mentions(one_line(result), "checkpoints/step-00000001/training_state.pt", "read")
    assert (folder / "checkpoints/step-00000001/training_state.pt").read_bytes() == b"half"


def test_an_imported_graph_is_not_trained_over(pictures: Path) -> None:
    folder = Path("runs/graph/photos-k3")
    learn_graph("--data", pictures, "--steps", 1, "--name", "other")
    folder.mkdir(parents=True)
    weights = Path("runs/graph/other/model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    assert_mentions(one_line(learn_graph("--data", pictures, "--steps", 1)), folder, "trained weights")
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    assert learn_graph("--data", pictures, "--steps", 1, "--fresh").exit_code == 0
    assert Path("runs/graph/photos-k3.old1/model.safetensors").read_bytes() == weights


def test_seeds_are_not_deleted_while_another_process_trains_one(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import ExitStack

    from autolink_gen.studies import seed_runs
    from autolink_gen.training.locks import locked_run

    plain, held = seed_runs.compare_seeds, ExitStack()

    def compare(config: object, folders: list[Path], *args: object, **kwargs: object) -> object:
        held.enter_context(locked_run(folders[1]))
        return plain(config, folders, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(seed_runs, "compare_seeds", compare)
    command = ("--data", pictures, "--steps", 1, "--seeds", 2, "--keep-best")
    with held:
        assert_mentions(one_line(learn_graph(*command)), "runs/graph/photos-k3-seed1", "in use", "process")
        assert sorted(path.name for path in Path("runs/graph").iterdir()) == ["photos-k3-seed0", "photos-k3-seed1"]
    monkeypatch.undo()
    monkeypatch.chdir(pictures.parent / "work")  # undone with the rest
    result = learn_graph(*command)
    assert result.exit_code == 0, result.output
    assert [path.name for path in Path("runs/graph").iterdir()] == ["photos-k3"]
    assert not Path("runs/graph/photos-k3/.lock").exists()
