"""The curve of a run: taken up to the step that a run goes on from; a damaged one is one line and stays as it is."""

import json

import pytest
from helpers.messages import raises_mentioning

from autolink_gen.config import GraphRunConfig
from autolink_gen.studies.seeds import SEEDS_NAME, check_kept
from autolink_gen.training.curve import Curve


def test_it_goes_on_from_the_step_of_the_save(tmp_path):
    curve = Curve(tmp_path, "l1", marks={"copied": "copied"})
    curve.begin(copied=0.5)
    for step in (2, 4, 6):
        curve.add(step, 1 / step)
    again = Curve(tmp_path, "l1", marks={"copied": "copied"})
    assert again.take_up(4)
    assert again.values == {"copied": 0.5, "curve": [{"step": 2, "l1": 0.5}, {"step": 4, "l1": 0.25}]}
    assert not again.take_up(0)
    again.add(6, 0.1)
    assert [row["step"] for row in json.loads((tmp_path / "l1.json").read_text())["curve"]] == [2, 4, 6]


def test_nothing_is_written_through_a_link_in_a_run(tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("l1.json", "l1.png"):
        (run / name).symlink_to(outside)
    Curve(run, "l1", marks={}).add(2, 0.5)
    assert outside.read_text() == "mine"
    assert json.loads((run / "l1.json").read_text())["curve"] == [{"step": 2, "l1": 0.5}]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"7",
        b'{"curve": 7}',
        b'{"curve": [7]}',
        b'{"curve": [{"step": 1}]}',
        b'{"curve": [{"step": 1e999, "l1": 1}]}',
        b'{"curve": [{"step": 1, "l1": "far"}]}',
        b'{"curve": [{"step": ' + b"1" * 5000 + b', "l1": 1}]}',
    ],
    ids=lambda text: text[:40].decode("latin1"),
)
def test_a_damaged_curve_is_one_line_and_stays(tmp_path, text):
    (tmp_path / "l1.json").write_bytes(text)
    with raises_mentioning(ValueError, "l1.json", "readable", "curve", "away") as caught:
        Curve(tmp_path, "l1", marks={}).take_up(3)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert (tmp_path / "l1.json").read_bytes() == text


@pytest.mark.parametrize("text", [b"", b"\xff", b"[" * 100_000, b"{}", b"[7]", b'[{"seed": "x"}]', b"null"])
def test_a_damaged_list_of_seeds_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr("autolink_gen.studies.seeds.changed_settings", lambda *args, **kwargs: [])
    (tmp_path / SEEDS_NAME).write_bytes(text)
    with pytest.raises(ValueError, match=r"seeds\.json|the seeds were") as caught:
        check_kept(tmp_path, GraphRunConfig(), [1])
    assert "\n" not in str(caught.value)
