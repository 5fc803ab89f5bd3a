"""Poses of pictures and files, edits, seeds, and the way between."""

import json

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.inference.poses import PoseEdits, parse_edits, parse_seeds, points_between, read_poses, seeded_styles
from autolink_gen.models.autolink import AutoLink

POSE = [[0.0, 0.5], [-1.0, 1.0], [0.25, -0.25]]


@pytest.fixture(scope="module")
def graph() -> AutoLink:
    return tiny_graph().prepare_for_inference()


def written(tmp_path, values) -> object:
    file = tmp_path / "pose.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return file


def test_one_pose_or_several_from_json(tmp_path, graph):
    (pose,) = read_poses(written(tmp_path, {"keypoints": POSE}), graph)
    assert pose.name == "pose" and pose.keypoints.tolist() == POSE
    several = read_poses(written(tmp_path, {"keypoints": [POSE, POSE]}), graph)
    assert [pose.name for pose in several] == ["pose-0", "pose-1"]


def test_what_detect_writes_is_read_back_in_pixels(tmp_path, graph):
    pixels = [[50.0, 75.0], [0.0, 100.0], [62.5, 37.5]]
    item = {"file": "a/cat.jpg", "frame": 2, "width_px": 101, "height_px": 101, "keypoints_px": pixels}
    (pose,) = read_poses(written(tmp_path, {"pictures": [item]}), graph)
    assert pose.name == "cat-2"
    assert torch.allclose(pose.keypoints, torch.tensor(POSE))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_are_read_as_editors_save_them(tmp_path, graph, encoding):
    (tmp_path / "pose.json").write_bytes(json.dumps({"keypoints": POSE}).encode(encoding))
    (pose,) = read_poses(tmp_path / "pose.json", graph)
    assert pose.keypoints.tolist() == POSE
    rows = [
        "file;frame;time_s;width_px;height_px;x0_px;y0_px;x1_px;y1_px;x2_px;y2_px;;",
        ";;;;;;;;;;;;",
        "a/cat.mp4;12;0,48;101;101;50;75;0;100;62,5;37,5;;",
        "a/cat.mp4;13;0,52;101;101;50;75;0;100;62,5;37,5",
    ]
    (tmp_path / "edited.csv").write_bytes("\r\n".join(rows).encode(encoding))
    poses = read_poses(tmp_path / "edited.csv", graph)
    assert [pose.name for pose in poses] == ["cat-12", "cat-13"]
    assert all(torch.allclose(pose.keypoints, torch.tensor(POSE)) for pose in poses)


@pytest.mark.parametrize(
    ("content", "things"),
    [
        ("", ("column(s) file, frame, width_px, height_px, x0_px, y0_px",)),
        ("file,x0,y0\na.jpg,0,0\n", ("column(s) frame, width_px, height_px, x0_px, y0_px",)),
        ("file,frame,width_px,height_px,x0_px,y0_px\n", ("no pose",)),
        (
            "file,frame,width_px,height_px,x0_px,y0_px\n\na.jpg,0,9,9,left,0\n",
            ("row 3", "column x0_px", "left", "number"),
        ),
        ("file,frame,width_px,height_px,x0_px,y0_px\na.jpg,0,9,9,4\n", ("row 2", "column y0_px", "''", "number")),
        ("file,frame,width_px,height_px,x0_px,y0_px\na.jpg,0,9,9,4,4\n", (("1 keypoints", "1 keypoint"), 3)),
        (
            "file,frame,width_px,height_px,x0_px,y0_px,x2_px,y2_px\na.jpg,0,9,9,4,4,4,4\n",
            ("keypoints 1", "GAN"),
        ),
    ],
)
def test_bad_tables_of_keypoints_are_named_by_row(tmp_path, graph, content, things):
    (tmp_path / "edited.csv").write_text(content)
    with raises_mentioning(ValueError, tmp_path / "edited.csv", *things):
        read_poses(tmp_path / "edited.csv", graph)


def test_which_of_several_poses_is_wrong_is_said(tmp_path, graph):
    with pytest.raises(ValueError, match=r"pose\.json, pose pose-1, holds keypoints outside"):
        read_poses(written(tmp_path, {"keypoints": [POSE, [[0, 0], [0, 0], [1.5, 0]]]}), graph)


@pytest.mark.parametrize(
    ("file", "frame"),
    [("a/cat.jpg", "/../../../evil"), ("\x1b[31m\0.jpg", 0), ("..", "/"), ("c:\\x", 1), ("x" * 999, 0)],
)
def test_a_pose_is_called_nothing_that_leads_elsewhere(tmp_path, graph, file, frame):
    item = {"file": file, "frame": frame, "width_px": 101, "height_px": 101, "keypoints_px": [[0.0, 0.0]] * 3}
    (pose,) = read_poses(written(tmp_path, {"pictures": [item]}), graph)
    assert not {"/", "\\", "\0", "\x1b"} & set(pose.name) and len(pose.name) <= 100
    assert (tmp_path / f"{pose.name}-seed0.png").resolve().parent == tmp_path.resolve()


def test_a_picture_s_pose_is_what_the_graph_detects(tmp_path, graph):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    (pose,) = read_poses(tmp_path / "cat.png", graph)
    assert pose.name == "cat"
    assert torch.allclose(pose.keypoints, graph.detect(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{no json", "no readable JSON"),
        ("[" * 10**5, "nested too deeply"),
        ('{"keypoints": [[1e999, 0], [0, 0], [0, 0]]}', "no finite numbers"),
        ({"keypoints": 5}, "does not hold keypoints"),
        ({"keypoints": [5, 5, 5]}, "does not hold keypoints"),
        ({"keypoints": [[10**400, 0], [0, 0], [0, 0]]}, "int too large"),
        ({"pictures": [{"file": 1, "frame": 0, "width_px": 9, "height_px": 9, "keypoints_px": POSE}]}, "does not hold"),
        ({"points": POSE}, "hold keypoints: give"),
        ([1, 2], "hold keypoints: give"),
        ({"keypoints": []}, "hold keypoints: give"),
        ({"pictures": []}, "holds no pose"),
        ({"pictures": [{"file": "a.png", "frame": 0}]}, "hold keypoints: give"),
        ({"keypoints": POSE[:2]}, r"2 keypoints .* 3: detect"),
        ({"keypoints": [[0, 0], [0, 0], [1.5, 0]]}, r"outside \[-1, 1\] \(the farthest at 1.5\)"),
        ({"keypoints": [[0, 0], [0, 0], [float("nan"), 0]]}, "no finite numbers: mend"),
        ({"keypoints": [[0, 0], [0], [0, 0]]}, r"a list of \[x, y\]"),
        ({"keypoints": [["left", 0], [0, 0], [0, 0]]}, r"a list of \[x, y\]"),
    ],
)
def test_bad_files_of_keypoints_are_named(tmp_path, graph, values, message):
    with pytest.raises(ValueError, match=rf"pose\.json.*{message}"):
        read_poses(written(tmp_path, values), graph)


def test_a_folder_is_no_pose(tmp_path, graph):
    with raises_mentioning(ValueError, tmp_path, "folder", "one"):
        read_poses(tmp_path, graph)


def test_edits_move_swap_and_take_out():
    edits = parse_edits(moves=["2:+0.1,-0.05", "0:1,0"], swaps=["0,1"], removed=[2], num_keypoints=3)
    changed = edits.apply(torch.tensor([POSE, POSE]))
    expected = torch.tensor([[0.0, 1.0], [0.0, 0.5], [0.35, -0.3]])
    assert torch.allclose(changed, expected.expand(2, 3, 2))
    left = edits.edge_weights(torch.ones(3, 3))
    assert left.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert edits and not PoseEdits()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"moves": ["2+0.1"]}, "--move takes KEYPOINT:X,Y"),
        ({"moves": ["2:0.1"]}, "--move takes KEYPOINT:X,Y"),
        ({"moves": ["2:nan,0"]}, "--move takes KEYPOINT:X,Y"),
        ({"moves": ["2:0,-2.1"]}, "--move 2:0,-2.1 leads out"),
        ({"swaps": ["1"]}, "--swap takes two keypoints"),
        ({"swaps": ["2,2"]}, "--swap 2,2 .*itself"),
        ({"moves": ["3:0,0"]}, "no keypoint 3: .* 0 to 2"),
        ({"swaps": ["0,9"]}, "there is no keypoint 9"),
        ({"removed": [-1]}, "there is no keypoint -1"),
    ],
)
def test_bad_edits_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        parse_edits(**{"moves": [], "swaps": [], "removed": [], "num_keypoints": 3, **given})


def test_seeds_are_numbers_and_spans():
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("5,0-1") == [5, 0, 1]
    for text in ("a", "3-1", "", "1,,2"):
        with raises_mentioning(ValueError, "--seeds", "spans"):
            parse_seeds(text)
    for text in ("0-10000", f"0-{10**30}", f"0,{10**30}"):
        with pytest.raises(ValueError, match="--seeds"):
            parse_seeds(text)


def test_a_seed_s_style_is_its_own():
    assert torch.equal(seeded_styles([3, 7], 5)[1], seeded_styles([7], 5)[0])
    assert not torch.equal(*seeded_styles([3, 7], 5))


def test_the_way_between_passes_its_stops():
    stops = torch.tensor([[0.0], [2.0], [3.0]])
    assert points_between(stops, 5).flatten().tolist() == [0, 1, 2, 2.5, 3]
    assert points_between(stops[:1], 2).flatten().tolist() == [0, 0]


@pytest.mark.parametrize("name", ["nowhere.json", "nowhere.jpg"])
def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path, graph, name):
    with pytest.raises(ValueError, match=rf"^there is no file .*{name}; give an image"):
        read_poses(tmp_path / name, graph)


def test_keypoints_that_detect_left_out_must_be_none_that_is_painted_on(tmp_path, graph):
    item = {"file": "a.jpg", "frame": 0, "width_px": 101, "height_px": 101}
    file = written(tmp_path, {"pictures": [{**item, "keypoints_px": [[50.0, 75.0], None, [62.5, 37.5]]}]})
    with raises_mentioning(ValueError, "keypoints 1", "GAN", "detect"):
        read_poses(file, graph)
    (pose,) = read_poses(file, graph.without_keypoints([1]))
    assert torch.allclose(pose.keypoints, torch.tensor([POSE[0], [0.0, 0.0], POSE[2]]))
    nothing = written(tmp_path, {"pictures": [{**item, "keypoints_px": None}]})
    with pytest.raises(ValueError, match="does not hold keypoints"):
        read_poses(nothing, graph)
