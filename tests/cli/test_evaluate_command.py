"""`autolink-gen evaluate`: annotated folders and puppets to scores, JSON and a picture; its errors."""

import csv
import json
import shutil
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
from autolink_gen.evaluation.landmarks import Annotations, nme


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the runs `old` and, newer, `tiny`: untrained networks with four keypoints."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("old", "tiny")):
        graph = tiny_graph(4, seed=seed)
        save_model(tmp_path / "runs" / "graph" / name / "model.safetensors", graph)
    return tmp_path


def write_part(folder: Path, *, count: int, num_landmarks: int, seed: int, table: Path | None = None) -> Path:
    """Pictures of blobs, some wider than high, with landmarks; returns the table."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        size = (60, 40) if index % 3 == 2 else (48, 48)
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(folder / f"{index:02}.png")
        rows.append([f"{index:02}.png", "somebody", *rng.uniform(0.2, 0.8, 2 * num_landmarks).round(4)])
    header = ["file", "person", *(f"{axis}{p}" for p in range(num_landmarks) for axis in "xy")]
    table = table or folder.parent / f"landmarks_{folder.name}.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return table


@pytest.fixture
def faces(home: Path) -> Path:
    """A data root with a set called faces68: 20 pictures to fit on, 7 to test on."""
    for name, count in (("train", 20), ("test", 7)):
        write_part(home / "data" / "faces68" / name, count=count, num_landmarks=68, seed=count)
    return home / "data"


def test_named_set_prints_scores_and_writes_them(faces: Path, home: Path) -> None:
    result = evaluate("--data", "faces68", "--data-root", faces, "--json", home / "out" / "scores.json")

    assert result.exit_code == 0, result.output
    assert "model: runs/graph/tiny (newest)" in result.output
    assert f"fit: 20 images of {faces / 'faces68' / 'train'}, landmarks of" in result.output
    scores = json.loads((home / "out" / "scores.json").read_text())
    assert (scores["protocol"], scores["num_fit"], scores["num_test"]) == ("faces68", 20, 7)
    assert scores["nme_percent"] == pytest.approx(100 * scores["score"])
    assert scores["nme_mean_pose_percent"] == pytest.approx(100 * scores["score_mean_pose"])
    assert len(scores["per_landmark_percent"]) == 68
    assert np.mean(scores["per_landmark_percent"]) == pytest.approx(scores["nme_percent"])
    assert set(scores["parts_percent"]) == {"jaw", "brows", "nose", "eyes", "mouth"}
    said = f"protocol faces68, NME, % of the eye distance: {scores['nme_percent']:.2f} (mean pose "
    assert said in result.output and "NME: " not in result.output, "once"
    assert f"mouth 48-67, mean {scores['parts_percent']['mouth']:.1f}: " in result.output
    assert f"wrote {home / 'out' / 'scores.json'}" in result.output
    picture = np.asarray(Image.open("runs/graph/tiny/evaluation/faces68.png"))
    assert picture.shape[1] > 6 * 200
    assert (picture == (60, 230, 90)).all(axis=-1).any()
    assert (picture == (255, 60, 60)).all(axis=-1).any()
    graphs = np.asarray(Image.open("runs/graph/tiny/evaluation/faces68-graphs.png"))
    assert graphs.shape[1] > 7 * 200  # seven test pictures in one row


def test_scores_are_those_of_the_model_and_the_table(faces: Path, home: Path) -> None:
    evaluate("old", "--data", "faces68", "--data-root", faces, "--json", "scores.json")

    from autolink_gen import load_graph_model
    from autolink_gen.data.landmarks import read_landmarks_csv

    graph = load_graph_model("runs/graph/old")
    parts = []
    for name in ("train", "test"):
        table = read_landmarks_csv(faces / "faces68" / f"landmarks_{name}.csv")
        pictures = [Image.open(faces / "faces68" / name / file) for file in table.files]
        tensors = [torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255 for picture in pictures]
        detected = np.stack([graph.detect(tensor).numpy() for tensor in tensors])
        parts.append(Annotations(detected, table.points))
    assert json.loads(Path("scores.json").read_text())["nme_percent"] == pytest.approx(100 * nme(*parts), rel=1e-4)


def test_few_labelled_pictures_and_the_map_that_detect_takes(faces: Path, home: Path) -> None:
    chosen = ("--data", "faces68", "--data-root", faces, "--few-shot", "1, 5,all,70", "--json", "scores.json")
    result = evaluate("tiny", *chosen)

    assert result.exit_code == 0, result.output
    few = json.loads(Path("scores.json").read_text())["few_shot"]
    assert [(score["num_pictures"], score["draws"]) for score in few] == [(1, 10), (5, 10), (20, 1)]
    assert "few-shot: 70 are more than the 20 images to fit on" in result.output
    assert f"1 image{few[0]['mean_percent']:>13.2f} ± {few[0]['deviation_percent']:.2f} (10 draws)" in result.output
    file = home / "runs/graph/tiny/evaluation/faces68-regressor.json"
    assert f"wrote {file.relative_to(home)}: landmarks from keypoints" in result.output

    picture = faces / "faces68" / "test" / "00.png"
    found = CliRunner().invoke(cli, ["detect", str(picture), "--model", "tiny", "--regressor", str(file)])
    assert found.exit_code == 0, found.output
    (record,) = json.loads(Path("detections/keypoints.json").read_text())["pictures"]
    assert len(record["landmarks_px"]) == 68 and len(record["landmarks_px"]["mouth_0"]) == 2
    (row,) = csv.DictReader(Path("detections/keypoints.csv").read_text().splitlines())
    assert float(row["mouth_0_x_px"]) == record["landmarks_px"]["mouth_0"][0]
    assert 0 < float(row["mouth_0_x_px"]) < 48

    other = CliRunner().invoke(cli, ["detect", str(picture), "--model", "old", "--regressor", str(file), "--overwrite"])
    assert_mentions(one_line(other), "another graph", "runs/graph/old")


def test_landmarks_keep_the_names_that_the_tables_give(faces: Path) -> None:
    for name in ("train", "test"):
        table = faces / "faces68" / f"landmarks_{name}.csv"
        header, *rows = csv.reader(table.open())
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([[*header[:2], "chin_x", "chin_y"], *(row[:4] for row in rows)])
    result = evaluate("tiny", "--data", "faces68", "--data-root", faces, "--regressor", "map.json")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("map.json").read_text())["names"] == ["chin"]
    assert_line_mentions(result, "mean distance", "landmark", "%")
    assert "\n  chin: " in result.output


def test_folder_takes_its_sibling_to_fit_on(faces: Path) -> None:
    test, train = faces / "faces68" / "test", faces / "faces68" / "train"
    places = ("--picture", "best.png", "--json", "scores.json", "--regressor", "map.json")
    for folder in (test, train, faces / "faces68"):
        result = evaluate("tiny", "--data", folder, *places, "--overwrite")
        assert result.exit_code == 0, result.output
        assert f"fit: 20 images of {train}," in result.output
        assert f"test: 7 images of {test}," in result.output
    assert Path("best.png").is_file()
    assert not Path("runs/graph/tiny/evaluation").exists()


def test_options_choose_pictures_tables_and_protocol(home: Path) -> None:
    tables = [
        write_part(home / name, count=count, num_landmarks=3, seed=count, table=home / f"{name}.table.csv")
        for name, count in (("here", 20), ("there", 9))
    ]
    tables_given = ("--landmarks", tables[1], "--fit-data", "here", "--fit-landmarks", tables[0])
    limits = ("--max-fit", 18, "--max-test", 5, "--batch-size", 2)
    choices = ("--data", "there", "--protocol", "taichi", "--json", "scores.json", "--device", "cpu")
    result = evaluate("runs/graph/tiny/model.safetensors", *choices, *tables_given, *limits)

    assert result.exit_code == 0, result.output
    assert_line_mentions(result, "fit", ("18 pictures", "18 images"), "here", "landmarks")
    scores = json.loads(Path("scores.json").read_text())
    assert (scores["protocol"], scores["num_fit"], scores["num_test"]) == ("taichi", 18, 5)
    assert 0 < scores["score"] < 6 * 255
    assert "mean_distance_percent" in scores
    assert "nme_percent" not in scores
    assert_line_mentions(result, "mean distance", "landmark", "%")
    assert "\n  from 0: " in result.output
    assert (home / "runs/graph/tiny/evaluation" / "there-fit18-test5.png").is_file()


def test_pictures_that_are_fitted_and_tested_on_are_mentioned(faces: Path) -> None:
    test, train = faces / "faces68" / "test", faces / "faces68" / "train"
    given = ("evaluate", "tiny", "--data", test, "--max-test", 5, "--regressor", "map.json", "--picture", "best.png")
    apart = evaluate(*given[1:], "--json", "apart.json")
    assert "fitted on as well" not in apart.output
    assert json.loads(Path("apart.json").read_text())["num_test_fitted"] == 0
    copies = train.with_name("copies")
    shutil.copytree(test, copies)
    table = faces / "faces68" / "landmarks_test.csv"
    both = evaluate(*given[1:], "--fit-data", copies, "--fit-landmarks", table, "--overwrite", "--json", "both.json")
    assert both.exit_code == 0, both.output
    assert_line_mentions(both, "note", "5 of the 5", "fitted")
    assert json.loads(Path("both.json").read_text())["num_test_fitted"] == 5


def test_few_pictures_to_fit_on_are_mentioned(faces: Path) -> None:
    result = evaluate("--data", "faces68", "--data-root", faces, "--max-fit", 10)
    assert result.exit_code == 0
    assert_line_mentions(result, "few", "4 keypoints")


def test_puppets_are_the_default_and_stand_beside_an_untrained_network(home: Path) -> None:
    result = evaluate("--max-fit", 30, "--max-test", 5, "--json", "scores.json", "--few-shot", "2")

    assert result.exit_code == 0, result.output
    scores = json.loads(Path("scores.json").read_text())
    assert scores["data"] == "puppets"
    assert (scores["num_fit"], scores["num_test"]) == (30, 5)
    assert 0 < scores["joint_error_percent"] < 50
    assert 0 <= scores["bone_share"] <= 1
    leak = {"appearance_leak", "appearance_leak_shuffled", "appearance_leak_pictures"}
    assert set(scores["untrained"]) == set(scores) - {"model", "data", "untrained", "equivariance", "few_shot"} - leak
    assert scores["appearance_leak"] <= 1 and scores["appearance_leak_pictures"] == 35
    assert [score["num_pictures"] for score in scores["few_shot"]] == [2]
    assert scores["equivariance"]["num_pictures"] == 5
    names = json.loads(Path("runs/graph/tiny/evaluation/puppets-fit30-test5-regressor.json").read_text())["names"]
    assert len(names) == 13 and "left_wrist" in names
    error, untrained = scores["joint_error_percent"], scores["untrained"]["joint_error_percent"]
    assert_line_mentions(result, "joint error", f"{error:.2f} %", f"untrained {untrained:.2f} %")
    assert Image.open("runs/graph/tiny/evaluation/puppets-fit30-test5.png").size[0] > 5 * 200


def test_a_run_is_scored_on_its_own_data(faces: Path, home: Path) -> None:
    (home / "runs/graph/tiny/config.yaml").write_text(f"data: {{name: faces68, root: {faces}}}\n")
    result = evaluate("tiny")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs/graph/tiny/evaluation/faces68.json").read_text())["num_test"] == 7


def test_pictures_without_landmarks_are_moved(faces: Path, home: Path) -> None:
    for table in (faces / "faces68").glob("landmarks_*.csv"):
        table.unlink()
    folder = faces / "faces68" / "test"
    result = evaluate("tiny", "--data", folder, "--json", "scores.json")
    assert result.exit_code == 0, result.output
    scores = json.loads(Path("scores.json").read_text())
    assert set(scores) == {"model", "data", "equivariance"}
    found = scores["equivariance"]
    assert found["num_pictures"] == 7 and found["shifted_percent"] > 0
    said = f"keypoints of 7 moved images, off in % of the width: shifted {found['shifted_percent']:.1f}, turned"
    assert "no landmarks: scored without" in result.output and said in result.output
    assert_line_mentions(result, "appearance leak", ("7 pictures", "7 images"), 10)
    assert not Path("runs/graph/tiny/evaluation").exists()
    both = evaluate("tiny", "--data", f"{folder}+{faces / 'faces68' / 'train'}", "--json", "both.json")
    assert "keypoints of 40 moved images" in both.output, "as many of each"
    assert json.loads(Path("both.json").read_text())["appearance_leak_pictures"] == 40
    asked = evaluate("tiny", "--data", folder, "--few-shot", "5")
    assert asked.exit_code == 1 and "no landmarks for" in asked.output


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (["--data", "nowhere/at/all"], ("nowhere/at/all",)),
        (
            ["--protocol", "mine", "--data", "data/faces68/test"],
            ("protocol", "mine", "celeba_wild"),
        ),
        (["--protocol", "h36m", "--data", "data/faces68/test"], ("protocol h36m", "32 landmarks")),
        (["--protocol", "cub", "--data", "puppets"], ("--protocol", "disk")),
        (["--device", "nonsense"], ("nonsense", "cpu")),
        (["--max-fit", "0"], ("--max-fit", 0, "range")),
        (["--few-shot", "1,few"], ("1,few", "1,5,10,50,all")),
        (["missing"], ("no run missing",)),
        (["--data", "alone"], ("train", "--fit-data")),
        (["--data", "data/faces68/test", "--picture", "best.docx"], ("best.docx", ".png")),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], things: tuple[str, ...], faces: Path, home: Path) -> None:
    write_part(home / "alone", count=2, num_landmarks=3, seed=0)
    result = evaluate(*arguments)
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)


def test_without_runs_the_message_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = evaluate()
    assert result.exit_code == 1
    assert "autolink-gen learn-graph" in result.output


def test_nothing_that_was_written_is_replaced_unasked(faces: Path, home: Path) -> None:
    own = home / "runs/graph/tiny/evaluation"
    given = ("tiny", "--data", "faces68", "--data-root", faces, "--max-fit", 16, "--max-test", 3)
    first = evaluate(*given)
    assert first.exit_code == 0, first.output
    names = {path.name for path in own.iterdir()}
    label = "faces68-fit16-test3"
    assert names == {f"{label}{end}" for end in (".json", ".png", "-graphs.png", "-regressor.json", "-settings.json")}

    (own / f"{label}.json").write_text("older")
    assert evaluate(*given, "--batch-size", 3).exit_code == 0, "the same evaluation of the same weights"
    assert json.loads((own / f"{label}.json").read_text())["num_test"] == 3
    before = {path: path.read_bytes() for path in own.iterdir()}
    refused = evaluate(*given, "--protocol", "cub")
    assert_mentions(one_line(refused), f"{label}.json", "already", "weights", "settings")
    assert "--overwrite" in refused.output and "test: 100%" not in refused.output
    other = tiny_graph(4, seed=5)
    save_model(home / "runs" / "graph" / "tiny" / "model.safetensors", other)
    assert evaluate(*given).exit_code == 1, "the run was trained further"
    assert before == {path: path.read_bytes() for path in own.iterdir()}
    assert evaluate(*given, "--overwrite").exit_code == 0
    assert json.loads((own / f"{label}.json").read_text()) != json.loads(before[own / f"{label}.json"])


@pytest.mark.parametrize("option", ["--json", "--picture", "--regressor"])
def test_a_file_that_an_option_names_is_not_replaced(option: str, faces: Path, home: Path) -> None:
    (home / "mine.png").write_text("mine")
    refused = evaluate("tiny", "--data", "faces68", "--data-root", faces, option, "mine.png")
    assert_mentions(one_line(refused), "mine.png", "already", option, "--overwrite")
    assert (home / "mine.png").read_text() == "mine" and not (home / "runs/graph/tiny/evaluation").exists()


def test_scores_go_to_the_standard_output(faces: Path) -> None:
    result = evaluate("tiny", "--data", "faces68", "--data-root", faces, "--max-test", 3, "--json", "-")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["num_test"] == 3, "and what is said goes elsewhere"


def test_help_ends_with_an_example() -> None:
    result = evaluate("--help")
    assert result.exit_code == 0
    assert "autolink-gen evaluate faces --data faces68" in result.output


def as_dlc(table: Path, folder: Path) -> Path:
    """The landmarks of a table, as DeepLabCut saves labels: in pixels."""
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    names = [name for name in header if name.startswith("x")]
    lines = [["scorer", *["me"] * 2 * len(names)]]
    lines += [["bodyparts", *(name for name in names for _ in "xy")], ["coords", *["x", "y"] * len(names)]]
    for name, _, *values in rows:
        size = Image.open(folder / name).size
        pixels = [float(value) * size[index % 2] - 0.5 for index, value in enumerate(values)]
        lines.append([f"labeled-data/film/{name}", *map(str, pixels)])
    labels = table.with_suffix(".labels.csv")
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return labels


def test_labels_of_another_tool_score_as_the_same_table_does(home: Path) -> None:
    scores = []
    parts = {name: write_part(home / name, count=12, num_landmarks=3, seed=seed) for seed, name in enumerate("ab")}
    for labels in (lambda name: parts[name], lambda name: as_dlc(parts[name], home / name)):
        given = ("--data", "b", "--fit-data", "a", "--landmarks", labels("b"), "--fit-landmarks", labels("a"))
        result = evaluate(*given, "--few-shot", 1, "--json", home / "scores.json", "--overwrite")
        assert result.exit_code == 0, result.output
        scores.append(json.loads((home / "scores.json").read_text()))
    assert scores[0]["score"] == pytest.approx(scores[1]["score"], rel=1e-6)
    assert scores[0]["few_shot"][0]["mean_percent"] == pytest.approx(scores[1]["few_shot"][0]["mean_percent"])
