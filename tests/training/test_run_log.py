"""What a run shows while it trains: the loss, and when it will stop; a bar for people, lines for files."""

from pathlib import Path

import pytest
from helpers.messages import assert_mentions

from autolink_gen.common.progress import hide_progress
from autolink_gen.config import RunLengthConfig
from autolink_gen.training import run_display
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_display import Bar, Lines
from autolink_gen.training.run_log import RunLog


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_display, "shows_bars", lambda: True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr(run_display.time, "monotonic", lambda: seconds[0])
    return seconds


def shown_of(
    folder: Path, capsys: pytest.CaptureFixture[str], *, max_minutes: float | None = None, progress: bool = True
) -> str:
    length = RunLengthConfig(steps=4, batch_size=2, log_every=2)
    launch = Launch(folder=folder, max_minutes=max_minutes, progress=progress)
    run_log = RunLog(folder, length, first=0, launch=launch)
    for step in (1, 2, 3, 4):
        run_log.note(step, {"loss": 0.25 / step}, waited_s=0.0, skipped_steps=0)
    run_log.close()
    return capsys.readouterr().err


def test_the_bar_says_when_a_run_stops_before_its_last_step(tmp_path, capsys, terminal):
    bar = shown_of(tmp_path, capsys, max_minutes=90.0)
    assert "stops_in=1:29:" in bar and "4/4" in bar
    assert "loss=0.0625" in bar, "that of the last step that is a multiple of log_every"


def test_the_bar_of_other_runs_does_not_speak_of_it(tmp_path, capsys, terminal):
    bar = shown_of(tmp_path, capsys)
    assert "4/4" in bar and "loss=0.0625" in bar and "stops_in" not in bar


def test_a_file_gets_a_line_each_time_that_metrics_are_written(tmp_path, capsys):
    lines = shown_of(tmp_path, capsys)
    assert "\r" not in lines and len(lines.splitlines()) == 2
    for line, step, loss in zip(lines.splitlines(), (2, 4), ("0.1250", "0.0625"), strict=True):
        assert_mentions(line, f"step {step} of 4", f"loss {loss}")


def test_no_progress_is_no_bar(tmp_path, capsys, terminal):
    assert shown_of(tmp_path, capsys, progress=False) == ""


def test_no_progress_is_no_lines(tmp_path, capsys):
    assert shown_of(tmp_path, capsys, progress=False) == ""
    hide_progress(True)
    try:
        assert shown_of(tmp_path, capsys) == ""
    finally:
        hide_progress(False)


def test_the_time_left_is_not_reckoned_from_what_was_compiled():
    bar = Bar(steps=5, first=0)
    seconds = [bar._bar._time()]
    bar._bar._time = lambda: seconds[0]
    bar.compiling("the detector")
    seconds[0] += 60
    bar.compiled(took_s=60)
    seconds[0] += 2
    bar.step(1, {}, left_s=None)
    rate = bar._bar.format_dict["rate"]
    bar.close()
    assert rate == pytest.approx(0.5, rel=0.1), "steps a second"


def test_a_line_says_the_rate_and_the_time_left_without_what_was_compiled(clock, capsys):
    lines = Lines(steps=110, first=100)
    lines.compiling("the detector")
    clock[0] += 60
    lines.compiled(took_s=60)
    clock[0] += 20
    lines.step(105, {"loss": 1.0}, left_s=None)
    lines.step(106, {}, left_s=None)
    compiling, compiled, line = capsys.readouterr().err.splitlines()
    assert_mentions(compiling, "the detector")
    assert_mentions(compiled, "01:00")
    assert_mentions(line, "step 105 of 110", "4000 ms", "00:20 left")


@pytest.mark.parametrize(("left_s", "said"), [(10.0, "stops in 00:10"), (60.0, "00:20 left")])
def test_a_line_says_what_comes_first_the_limit_or_the_last_step(clock, capsys, left_s, said):
    lines = Lines(steps=110, first=100)
    clock[0] += 20
    lines.step(105, {"loss": 1.0}, left_s=left_s)
    assert_mentions(capsys.readouterr().err, said)


def test_the_bar_says_what_is_compiled_and_how_long_it_took(tmp_path, capsys, terminal):
    length = RunLengthConfig(steps=2, batch_size=2)
    run_log = RunLog(tmp_path, length, first=0, launch=Launch(folder=tmp_path))
    with pytest.raises(RuntimeError), run_log.compiling("the detector"):
        raise RuntimeError
    run_log.note(1, {}, waited_s=0.0, skipped_steps=0)
    run_log.close()
    bar = capsys.readouterr().err
    assert "0/2" in bar and "compiling the detector" in bar and "compiled_in=00:00" in bar
