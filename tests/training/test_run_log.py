"""The progress bar of a run: the loss, and when it will stop."""

from pathlib import Path

import pytest

from autolink_gen.config import RunLengthConfig
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_log import RunLog


def bar_of(folder: Path, capsys: pytest.CaptureFixture[str], *, max_minutes: float | None) -> str:
    length = RunLengthConfig(steps=4, batch_size=2, log_every=2)
    run_log = RunLog(folder, length, first=0, launch=Launch(folder=folder, max_minutes=max_minutes))
    for step in (1, 2, 3, 4):
        run_log.note(step, {"loss": 0.25 / step}, waited_s=0.0, skipped_steps=0)
    run_log.close()
    return capsys.readouterr().err


def test_the_bar_says_when_a_run_stops_before_its_last_step(tmp_path, capsys):
    bar = bar_of(tmp_path, capsys, max_minutes=90.0)
    assert "stops_in=1:29:" in bar and "4/4" in bar
    assert "loss=0.0625" in bar, "that of the last step that is a multiple of log_every"


def test_the_bar_of_other_runs_does_not_speak_of_it(tmp_path, capsys):
    bar = bar_of(tmp_path, capsys, max_minutes=None)
    assert "4/4" in bar and "loss=0.0625" in bar and "stops_in" not in bar


def test_the_time_left_is_not_reckoned_from_what_was_compiled(tmp_path):
    run_log = RunLog(tmp_path, RunLengthConfig(steps=5, batch_size=2), first=0, launch=Launch(folder=tmp_path))
    seconds = [run_log._bar._time()]
    run_log._bar._time = lambda: seconds[0]
    with run_log.compiling("the detector"):
        seconds[0] += 60
    seconds[0] += 2
    run_log.note(1, {}, waited_s=0.0, skipped_steps=0)
    rate = run_log._bar.format_dict["rate"]
    run_log.close()
    assert rate == pytest.approx(0.5, rel=0.1), "steps a second"


def test_the_bar_says_what_is_compiled_and_how_long_it_took(tmp_path, capsys):
    length = RunLengthConfig(steps=2, batch_size=2)
    run_log = RunLog(tmp_path, length, first=0, launch=Launch(folder=tmp_path))
    with pytest.raises(RuntimeError), run_log.compiling("the detector"):
        raise RuntimeError
    run_log.note(1, {}, waited_s=0.0, skipped_steps=0)
    run_log.close()
    bar = capsys.readouterr().err
    assert "0/2" in bar and "compiling the detector" in bar and "compiled_in=00:00" in bar
