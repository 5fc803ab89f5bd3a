"""Published sets whose lists or pictures are damaged: what is said, and what is left."""

import shutil
from pathlib import Path

import pytest
from helpers.published_trees import BUILDERS, H36M_ACTIVITY, prepare

from autolink_gen.evaluation.splits import read_part

pytestmark = pytest.mark.usefixtures("nobody_says_where")

POINT = '{{"keypoints": [[{}]]}}'


def test_one_bad_picture_is_left_out_with_its_landmarks(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    (home / "img/WOMEN/train_1.jpg").write_text("no picture")
    train = prepare("deepfashion", tmp_path)[0]
    assert (train.total, len(train.errors)) == (2, 1) and "train_1.jpg" in train.errors[0]
    assert len(read_part(train.folder)) == 2
    for number in (0, 2):
        (home / f"img/WOMEN/train_{number}.jpg").write_text("no picture")
    shutil.rmtree(tmp_path / "prepared")
    with pytest.raises(ValueError, match="2 pictures of train cannot be read"):
        prepare("deepfashion", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("celeba-aligned", "list_landmarks_align_celeba.txt", "nothing", "no rows of a name and 10 numbers"),
        (
            "celeba-aligned",
            "list_landmarks_align_celeba.txt",
            f"1\nx y\na.jpg{' 7' * 10}\nb.jpg 7 x\n",
            "row 4: a name",
        ),
        ("celeba-aligned", "MAFL/testing.txt", "other.jpg\n", "has no row for other.jpg"),
        ("celeba-wild", "list_bbox_celeba.txt", "a.jpg 1 2 3 4", "has no row for 000001.jpg"),
        ("deepfashion", "data_test.json", "[1]", r"must be a list of objects with keypoints"),
        ("deepfashion", "data_test.json", "[]", "names 2 pictures and .* has 0 rows"),
        ("celeba-aligned", "MAFL/training.txt", "", r"the lists in .* name no pictures for celeba-aligned, part fit"),
        ("cub-all", "bounding_boxes.txt", "1 2\n1 2 3\n", "row 1: a number and 4 more words were expected"),
        ("cub-all", "bounding_boxes.txt", "1 10 20 30 a\n", "has no row for picture 2|should be numbers"),
        ("cub-all", "image_class_labels.txt", "1 1\n", r"labels\.txt has no row for picture 2"),
        ("cub-all", "train_test_split.txt", "1 1\n", r"split\.txt has no row for picture 2"),
        ("cub-all", "parts/part_locs.txt", "1 1 25.0 x 1\n", r"25\.0 x should be numbers"),
        ("cub-all", "parts/part_locs.txt", "1 1 25.0 40.0 1\n", r"part_locs\.txt has no row for picture 2"),
        (
            "deepfashion",
            "data_test.json",
            f'[{POINT.format("1, 2")}, {{"keypoints": [[1, 2], [3, 4]]}}]',
            "has 2 landmarks and others 1",
        ),
        (
            "deepfashion",
            "data_test.json",
            f"[{POINT.format('1, 900')}, {POINT.format('1, 2')}]",
            "go up to 900, and they are in units of which the picture has 255",
        ),
        ("flowers", "setid.mat", "text", "setid.mat is no readable MATLAB file with the variable tstid"),
        ("human36m", "S11/Landmarks/Walking 1.54138969/1.mat", "text", "with the variable keypoints_2d"),
        ("taichi", "landmark/taichi_test_gt.pkl", "text", "pkl is no readable pickle of a table"),
    ],
)
def test_damaged_annotations_are_named(name: str, file: str, content: str, message: str, tmp_path: Path) -> None:
    home = BUILDERS[name](tmp_path)
    (home / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        prepare(name, tmp_path)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    home = BUILDERS["celeba-aligned"](tmp_path)
    (home / "MAFL/training.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"training\.txt is no readable text"):
        prepare("celeba-aligned", tmp_path)


def test_a_missing_landmark_file_is_named(tmp_path: Path) -> None:
    home = BUILDERS["human36m"](tmp_path)
    (home / "S1/Landmarks" / H36M_ACTIVITY / "0.mat").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*0\.mat, which the set should have"):
        prepare("human36m", tmp_path)


def test_pictures_that_are_listed_twice_are_refused(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    (home / "data_test.csv").write_text(",filename\n0,WOMEN/test_0.jpg\n1,WOMEN/test_0.jpg\n")
    with pytest.raises(ValueError, match="lists WOMEN/test_0 2 times for deepfashion, part test"):
        prepare("deepfashion", tmp_path)
