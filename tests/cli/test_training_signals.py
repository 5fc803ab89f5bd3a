"""How a training command ends after a signal: at once, with the exit status of a shell."""

from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from autolink_gen.cli.options import train_and_report
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_progress import TrainingProgress


def end(folder: Path, stopped_by: str | None, *, skipped: int = 0) -> tuple[Result, list[object]]:
    """The command's end after a run that was stopped so, and what was scored."""
    run = SimpleNamespace(
        fabric=SimpleNamespace(is_global_zero=True),
        stopped_by=stopped_by,
        progress=TrainingProgress(step=3, skipped_steps=skipped),
        first_step=0,
        length=SimpleNamespace(steps=9),
    )
    scored: list[object] = []

    @click.command()
    def command() -> None:
        (folder / "model.safetensors").touch()
        files = {"model.safetensors": "the weights"}
        train_and_report(lambda launch: run, Launch(folder), steps=9, files=files, then="look", score=scored.append)  # type: ignore[arg-type,return-value]

    return CliRunner().invoke(command), scored


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_after_a_signal_nothing_long_is_begun(tmp_path: Path, name: str, status: int) -> None:
    result, scored = end(tmp_path, name)
    assert (result.exit_code, scored) == (status, [])
    assert f"{name} at step 3 of 9" in result.output and f"{tmp_path}/model.safetensors" in result.output


@pytest.mark.parametrize("stopped_by", [None, "the time limit"])
def test_otherwise_the_run_is_scored(tmp_path: Path, stopped_by: str | None) -> None:
    result, scored = end(tmp_path, stopped_by)
    assert (result.exit_code, len(scored)) == (0, 1)


@pytest.mark.parametrize(("skipped", "said"), [(0, ""), (1, "1 step was skipped"), (7, "7 steps were skipped")])
def test_skipped_steps_are_said(tmp_path: Path, skipped: int, said: str) -> None:
    output = end(tmp_path, None, skipped=skipped)[0].output
    assert said in output and ("skipped: " in output) == bool(skipped)
