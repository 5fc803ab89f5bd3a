import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.config import GraphRunConfig, build, to_yaml
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig

CONFIG = AutoLinkConfig(num_keypoints=5, image_size=64, width=0.05)


def _model() -> AutoLink:
    """Strong edges 0-1, 0-2 and 3-4, faint ones elsewhere."""
    torch.manual_seed(0)
    model = AutoLink(CONFIG)
    raw = torch.full((5, 5), -9.0)
    for i, j, value in ((0, 1, 3.0), (0, 2, 2.0), (1, 2, 1.0), (3, 4, 2.5)):
        raw[i, j] = value
    with torch.no_grad():
        model.raw_edge_weights.copy_(raw / CONFIG.edge_weight_rate)
    return model


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        draw = np.random.default_rng(i)
        Image.fromarray(draw.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def _save_config(folder: Path, *, data: str) -> None:
    model = {"num_keypoints": 5, "image_size": 64, "width": 0.05}
    (folder / "config.yaml").write_text(to_yaml(build(GraphRunConfig, {"model": model, "data": {"name": data}})))


@pytest.fixture
def run_folder(tmp_path: Path, pictures: Path) -> Path:
    """A run with a tiny model, trained on nothing, that says it saw the pictures."""
    folder = tmp_path / "runs" / "graph" / "tiny"
    save_model(folder / "model.safetensors", _model())
    _save_config(folder, data=str(pictures))
    return folder


def _view(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["view-graph", *map(str, arguments)])


def _edges(folder: Path) -> list[dict[str, str]]:
    with (folder / "edges.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_pictures_and_table_are_written_into_the_run(run_folder: Path, pictures: Path) -> None:
    result = _view(run_folder, "--data", pictures)
    assert result.exit_code == 0, result.output
    out = run_folder / "graph"
    assert sorted(path.name for path in out.iterdir()) == [
        "edge_matrix.png",
        "edges.csv",
        "graph-settings.json",
        "graph.png",
    ]
    rows = _edges(out)
    assert [(row["keypoint_a"], row["keypoint_b"]) for row in rows[:4]] == [
        ("0", "1"), ("3", "4"), ("0", "2"), ("1", "2"),
    ]  # fmt: skip
    assert len(rows) == 10
    assert float(rows[0]["weight"]) == pytest.approx(np.log1p(np.exp(3.0)), rel=1e-5)
    assert [float(row["share_of_largest"]) for row in rows] == sorted(
        (float(row["share_of_largest"]) for row in rows), reverse=True
    )
    assert "cluster_a" not in rows[0]
    assert "4 of 10 edges have at least 10% of the largest weight" in result.output and "more in" not in result.output
    assert result.output.index("0 -  1") < result.output.index("3 -  4") < result.output.index("0 -  2")
    for name in ("edge_matrix.png", "edges.csv", "graph.png"):
        assert f"wrote {out / name}" in result.output
        assert (out / name).stat().st_size > 0


def test_the_heaviest_edges_are_printed_and_all_are_in_the_table(tmp_path: Path, pictures: Path) -> None:
    model = tiny_graph(8)
    with torch.no_grad():
        model.raw_edge_weights.copy_(torch.linspace(2, 3, 64).view(8, 8) / CONFIG.edge_weight_rate)
    save_model(tmp_path / "model.safetensors", model)
    result = _view(tmp_path / "model.safetensors", "--data", pictures)
    assert result.exit_code == 0, result.output
    rows = _edges(tmp_path / "graph")
    assert "28 of 28 edges" in result.output and len(rows) == 28
    lines = result.output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.split()[:1] == ["keypoints"]) + 1
    printed = [line.split("%")[0].replace("-", " ").split()[:2] for line in lines[first : first + 20]]
    assert printed == [[row["keypoint_a"], row["keypoint_b"]] for row in rows[:20]]
    assert lines[first + 20] == "  ... and 8 more in edges.csv"


def test_clusters_are_printed_and_coloured(tmp_path: Path, run_folder: Path, pictures: Path) -> None:
    drawn = {}
    for clusters in (1, 2):
        out = tmp_path / str(clusters)
        result = _view(run_folder, "--data", pictures, "--out", out, "--clusters", clusters)
        assert result.exit_code == 0, result.output
        drawn[clusters] = np.asarray(Image.open(out / "graph.png"))
    assert "cluster 0: keypoints 0, 1, 2\n" in result.output
    assert "cluster 1: keypoints 3, 4\n" in result.output
    assert (_edges(out)[1]["cluster_a"], _edges(out)[1]["cluster_b"]) == ("1", "1")
    assert (drawn[1] != drawn[2]).any()


def test_the_runs_own_pictures_give_the_mean_pose(tmp_path: Path, run_folder: Path, pictures: Path) -> None:
    own = _view(run_folder, "--out", tmp_path / "own")
    assert own.exit_code == 0, own.output
    assert "circle" not in own.output
    named = _view(run_folder, "--out", tmp_path / "named", "--data", pictures)
    assert named.exit_code == 0, named.output
    (run_folder / "config.yaml").unlink()
    circle = _view(run_folder, "--out", tmp_path / "circle")
    assert circle.exit_code == 0, circle.output
    assert "laid on a circle" in circle.output
    assert "config.yaml is missing" in circle.output
    assert "--data" in circle.output
    drawn = [(tmp_path / name / "graph.png").read_bytes() for name in ("own", "named", "circle")]
    assert drawn[0] == drawn[1] != drawn[2]


def test_pictures_that_are_gone_are_asked_for(run_folder: Path, pictures: Path) -> None:
    moved = pictures.rename(pictures.with_name("moved"))
    for gone, code, told in (
        (pictures, 1, f"was trained on {pictures}, which is not there any more: give --data"),
        ("./gone", 1, "was trained on ./gone, which cannot be opened: give --data with its place now"),
    ):
        _save_config(run_folder, data=str(gone))
        result = _view(run_folder)
        assert result.exit_code == code and told in result.output, result.output
        assert not (run_folder / "graph").exists() and "circle" not in result.output
    assert _view(run_folder, "--data", moved).exit_code == 0, "nothing is in the way"


def test_the_same_command_goes_over_its_own_files(run_folder: Path) -> None:
    graph = run_folder / "graph" / "graph.png"
    assert _view(run_folder).exit_code == 0
    drawn = graph.read_bytes()
    graph.write_bytes(b"")
    again = _view(run_folder)
    assert again.exit_code == 0 and graph.read_bytes() == drawn, again.output
    other = _view(run_folder, "--threshold", 0.5)
    assert other.exit_code == 1 and "is there already" in other.output and graph.read_bytes() == drawn
    model = _model()
    with torch.no_grad():
        model.raw_edge_weights.add_(0.01)
    save_model(run_folder / "model.safetensors", model)
    trained_on = _view(run_folder)
    assert trained_on.exit_code == 1 and "is there already" in trained_on.output and graph.read_bytes() == drawn
    assert _view(run_folder, "--overwrite").exit_code == 0 and _view(run_folder).exit_code == 0


def test_a_weights_file_alone_and_the_newest_run(
    tmp_path: Path, run_folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lone = tmp_path / "lone" / "model.safetensors"
    save_model(lone, _model())
    assert _view(lone).exit_code == 0
    assert (lone.parent / "graph" / "graph.png").is_file()
    monkeypatch.chdir(tmp_path)
    result = _view("--data", pictures)
    assert result.exit_code == 0, result.output
    assert "(newest)" in result.output
    assert (run_folder / "graph" / "graph.png").is_file()


def test_two_keypoints_make_one_edge(tmp_path: Path, pictures: Path) -> None:
    weights = tmp_path / "model.safetensors"
    save_model(weights, tiny_graph(2))
    result = _view(weights, "--data", pictures, "--clusters", 2)
    assert result.exit_code == 0, result.output
    assert "1 of 1 edges" in result.output
    assert "cluster 1: keypoints 1" in result.output


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("RUN", "--clusters", "6"), ("clusters", "keypoints", 5, 6)),
        (("RUN", "--clusters", "0"), ("--clusters", 0, "x>=1")),
        (("RUN", "--threshold", "-1"), ("--threshold", "-1.0", "0<=x<=1")),
        (("RUN", "--data", "gone/away"), ("gone/away",)),
        (("gone",), ("no run gone",)),
        (("theirs.ckpt",), ("autolink-gen import-official",)),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], things: tuple
) -> None:
    monkeypatch.chdir(run_folder.parent)
    Path("theirs.ckpt").write_bytes(b"PK")
    result = _view(*(run_folder if argument == "RUN" else argument for argument in arguments))
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)
    assert not (run_folder / "graph").exists()


def test_pictures_and_tables_that_are_there_stay(run_folder: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "edges.csv").write_text("mine")
    result = _view(run_folder, "--data", pictures, "--out", out)
    assert result.exit_code == 1 and "keypoints" not in result.output
    assert_line_mentions(result, out / "edges.csv", "already", "--out", "--overwrite")
    assert [(one.name, one.read_text()) for one in out.iterdir()] == [("edges.csv", "mine")]
    assert _view(run_folder, "--data", pictures, "--out", out, "--overwrite").exit_code == 0
    assert len(_edges(out)) == 10


def test_each_parting_has_a_folder_of_its_own(run_folder: Path, pictures: Path) -> None:
    for more in ((), ("--clusters", 2), ("--clusters", 3), ("--clusters", 2, "--drop-cluster", 1)):
        result = _view(run_folder, "--data", pictures, *more)
        assert result.exit_code == 0, result.output
    parted = {one.parent.name for one in run_folder.glob("*/graph.png")}
    assert parted == {"graph", "graph-2-clusters", "graph-3-clusters", "graph-without-1-of-2"}
    assert (
        "cluster_a" not in _edges(run_folder / "graph")[0] and "cluster_a" in _edges(run_folder / "graph-2-clusters")[0]
    )
