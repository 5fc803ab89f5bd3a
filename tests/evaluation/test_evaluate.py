"""`autolink_gen.evaluate`: reports of runs, and what is written where it is asked for."""

import json
from pathlib import Path

import pytest
from helpers.tiny_models import tiny_graph

import autolink_gen
from autolink_gen.checkpoints import save_model, write_described
from autolink_gen.common.progress import no_progress
from autolink_gen.evaluation.graph_reports import GraphEvaluation
from autolink_gen.evaluation.settings import SettingError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run `tiny`, an untrained network, in the working folder."""
    monkeypatch.chdir(tmp_path)
    graph = tiny_graph()
    save_model(tmp_path / "runs/graph/tiny/model.safetensors", graph)
    return tmp_path / "runs/graph/tiny"


def scored(run: Path | str, **settings: object) -> GraphEvaluation:
    """A small evaluation on puppets."""
    report = autolink_gen.evaluate(run, max_fit=8, max_test=4, progress=no_progress, **settings)  # type: ignore[arg-type]
    assert isinstance(report, GraphEvaluation)
    return report


def test_a_report_has_scores_lines_and_the_keys_of_the_command_and_writes_nothing(run: Path) -> None:
    report = scored("tiny", few_shot=(2, "all"))
    assert report.joint_error_percent is not None and 0 < report.joint_error_percent < 60
    assert report.nme_percent is None and report.pck_percent is None, "there are no landmarks"
    assert report.equivariance.num_pictures == 4
    assert report.few_shot is not None and [score.num_pictures for score in report.few_shot] == [2, 8]
    values = report.to_dict()
    assert (values["model"], values["data"]) == (str(Path("runs/graph/tiny")), "puppets")
    assert values["joint_error_percent"] == report.joint_error_percent
    assert json.loads(report.to_json()) == json.loads(json.dumps(values))
    assert f"{report.joint_error_percent:.2f}" in str(report) and "tiny" in str(report)
    assert report.files == () and {path.name for path in run.iterdir()} == {"model.safetensors"}


def test_results_are_written_where_they_are_asked_for(run: Path, tmp_path: Path) -> None:
    report = scored(run, out=tmp_path / "scores", json=tmp_path / "mine.json", data="puppets")
    assert json.loads((tmp_path / "mine.json").read_text()) == json.loads(report.to_json())
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    label = "puppets-fit8-test4"
    assert names == {f"{label}{end}" for end in (".png", "-graphs.png", "-regressor.json", "-settings.json")}
    assert {path for path, _ in report.files} >= {tmp_path / "mine.json", tmp_path / "scores" / f"{label}.png"}
    assert all(f"wrote {path}: " in str(report) for path, _ in report.files)
    with pytest.raises(ValueError, match=r"mine\.json.*--overwrite"):
        scored(run, json=tmp_path / "mine.json")
    with pytest.raises(ValueError, match=r"puppets-fit8-test4\.png.*--overwrite"):
        scored(run, out=tmp_path / "scores", data="puppets", few_shot=(2,))


def test_scores_that_cannot_be_written_are_not_lost(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full_disk(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autolink_gen.evaluation.outputs.write_text_atomically", full_disk)
    with pytest.raises(OSError, match="No space left"):
        scored(run, json="scores.json")
    assert "joint error" in caplog.text


@pytest.mark.parametrize(
    ("kind", "settings", "names"),
    [
        ("gan", {"protocol": "cub"}, ("--protocol", "GAN")),
        ("gan", {"regressor": "map.json"}, ("--regressor", "GAN")),
        ("transfer", {"witness": "tiny"}, ("--witness", "transfer")),
        ("graph", {"fid_weights": "inception.pth"}, ("--fid-weights", "graph")),
        ("graph", {"landmarks": "table.csv", "data": "puppets"}, ("--landmarks", "puppets")),
        ("graph", {"picture": "best.docx"}, ("best.docx", ".png")),
        ("transfer", {"picture": "best.png"}, ("best.png", ".mp4")),
    ],
)
def test_settings_of_another_kind_of_run_are_refused(
    run: Path, kind: str, settings: dict[str, str], names: tuple[str, ...]
) -> None:
    name = "tiny" if kind == "graph" else f"some-{kind}"
    if kind != "graph":
        write_described(Path(f"runs/{kind}/{name}/model.safetensors"), {}, kind=kind, config={})
    with pytest.raises(SettingError) as error:
        autolink_gen.evaluate(name, **settings)  # type: ignore[arg-type]
    assert all(text in str(error.value) for text in names)
