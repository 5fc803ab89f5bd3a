"""What the shell offers: commands, and values of --model, --recipe and --data."""

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from autolink_gen.cli.main import cli
from autolink_gen.inference.pose_formats import FORMATS


def offered(*words: str) -> list[tuple[str, str]]:
    """Types and values for the last of the words."""
    completion = ShellComplete(cli, {}, "autolink-gen", "_AUTOLINK_GEN_COMPLETE")
    return [(item.type, item.value) for item in completion.get_completions([*words[:-1]], words[-1])]


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("graph/birds", "graph/bees", "graph/big\x1b[2J", "graph/two words", "gan/barns"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "model.safetensors").touch()
    (tmp_path / "runs" / "graph" / "package-puppets" / "onnx").mkdir(parents=True)  # of no run: what export writes
    (tmp_path / "runs" / "graph" / "beside.txt").touch()


def test_commands_are_offered() -> None:
    assert offered("view") == [("plain", "view-graph")]
    assert ("plain", "check") in offered("data", "")


def test_a_model_is_a_run_of_its_kind_or_a_file() -> None:
    assert offered("detect", "--model", "b") == [("file", "b"), ("plain", "bees"), ("plain", "birds")]
    assert offered("generate", "--model", "") == [("file", ""), ("plain", "barns"), ("plain", "puppets")]
    assert offered("train-gan", "--graph", "bi") == [("file", "bi"), ("plain", "birds")]
    assert offered("view-graph", "p") == [("file", "p"), ("plain", "puppets")]
    assert [value for _, value in offered("evaluate", "b")] == ["b", "barns", "bees", "birds"]


def test_where_no_run_is_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert offered("detect", "--model", "b") == [("file", "b")]
    assert offered("detect", "--model", "p") == [("file", "p"), ("plain", "puppets")], "the package's model"


def test_a_recipe_is_one_of_the_command_s() -> None:
    assert ("plain", "official") in offered("learn-graph", "--recipe", "o")
    assert offered("train-gan", "--recipe", "o") == [("file", "o")]
    assert {("plain", "paper"), ("plain", "puppets")} <= set(offered("train-transfer", "--recipe", "p"))


def test_data_are_a_named_set_or_a_folder_or_several() -> None:
    assert offered("learn-graph", "--data", "celeba-w") == [("dir", "celeba-w"), ("plain", "celeba-wild")]
    assert ("plain", "photos+puppets") in offered("learn-graph", "--data", "photos+pup")
    assert ("plain", "faces68") in offered("evaluate", "--data", "f")


def test_values_of_smooth_and_format_are_offered() -> None:
    assert offered("detect", "--smooth", "m") == [("plain", "median")]
    assert {value for _, value in offered("detect", "--format", "")} == set(FORMATS)
    assert offered("detect", "--format", "c") == [("plain", "csv"), ("plain", "coco")]
    assert ("plain", "csv,coco") in offered("detect", "--format", "csv,c")
    assert ("plain", "csv,csv") not in offered("detect", "--format", "csv,c")
