"""Published sets whose lists or pictures are damaged: what is said, and what is left."""

import shutil
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.published_trees import BUILDERS, H36M_ACTIVITY, prepare

from autolink_gen.evaluation.splits import read_split

pytestmark = pytest.mark.usefixtures("nobody_says_where")

POINT = '{{"keypoints": [[{}]]}}'


def test_one_bad_picture_is_left_out_with_its_landmarks(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    (home / "img/WOMEN/train_1.jpg").write_text("no picture")
    train = prepare("deepfashion", tmp_path)[0]
    assert (train.total, len(train.errors)) == (2, 1) and "train_1.jpg" in train.errors[0]
    assert len(read_split(train.folder)) == 2
    for number in (0, 2):
        (home / f"img/WOMEN/train_{number}.jpg").write_text("no picture")
    shutil.rmtree(tmp_path / "prepared")
    with raises_mentioning(ValueError, "2 of the", "train", ("cannot be read", "unreadable")):
        prepare("deepfashion", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "content", "things"),
    [
        (
            "celeba-aligned",
            "list_landmarks_align_celeba.txt",
            "nothing",
            ("no rows", "name", "10 numbers"),
        ),
        (
            "celeba-aligned",
            "list_landmarks_align_celeba.txt",
            f"1\nx y\na.jpg{' 7' * 10}\nb.jpg 7 x\n",
            ("row 4", "name"),
        ),
        ("celeba-aligned", "MAFL/testing.txt", "other.jpg\n", ("no row", "other.jpg")),
        ("celeba-wild", "list_bbox_celeba.txt", "a.jpg 1 2 3 4", ("no row", "000001.jpg")),
        ("deepfashion", "data_test.json", "[1]", ("list", "objects", "keypoints")),
        ("deepfashion", "data_test.json", "[]", (("2 pictures", "2 images"), "0 rows")),
        ("celeba-aligned", "MAFL/training.txt", "", ("lists", "celeba-aligned", ("split fit", "fit split"))),
        ("cub-all", "bounding_boxes.txt", "1 2\n1 2 3\n", ("row 1", 4, "expected")),
        ("cub-all", "bounding_boxes.txt", "1 10 20 30 a\n", (("no row", "numbers"),)),
        ("cub-all", "image_class_labels.txt", "1 1\n", ("image_class_labels.txt", "no row", ("picture 2", "image 2"))),
        ("cub-all", "train_test_split.txt", "1 1\n", ("train_test_split.txt", "no row", ("picture 2", "image 2"))),
        ("cub-all", "parts/part_locs.txt", "1 1 25.0 x 1\n", ("25.0 x", "numbers")),
        ("cub-all", "parts/part_locs.txt", "1 1 25.0 40.0 1\n", ("part_locs.txt", "no row", ("picture 2", "image 2"))),
        (
            "deepfashion",
            "data_test.json",
            f'[{POINT.format("1, 2")}, {{"keypoints": [[1, 2], [3, 4]]}}]',
            ("2 landmarks", 1),
        ),
        (
            "deepfashion",
            "data_test.json",
            f"[{POINT.format('1, 900')}, {POINT.format('1, 2')}]",
            (900, "units", 255),
        ),
        ("flowers", "setid.mat", "text", ("setid.mat", "readable MATLAB", "variable tstid")),
        ("human36m", "S11/Landmarks/Walking 1.54138969/1.mat", "text", ("1.mat", "variable keypoints_2d")),
        ("taichi", "landmark/taichi_test_gt.pkl", "text", ("taichi_test_gt.pkl", "readable", "pickle")),
    ],
)
def test_damaged_annotations_are_named(name: str, file: str, content: str, things: tuple, tmp_path: Path) -> None:
    home = BUILDERS[name](tmp_path)
    (home / file).write_text(content)
    with raises_mentioning(ValueError, *things):
        prepare(name, tmp_path)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    home = BUILDERS["celeba-aligned"](tmp_path)
    (home / "MAFL/training.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"training\.txt is no readable text"):
        prepare("celeba-aligned", tmp_path)


def test_a_missing_landmark_file_is_named(tmp_path: Path) -> None:
    home = BUILDERS["human36m"](tmp_path)
    (home / "S1/Landmarks" / H36M_ACTIVITY / "0.mat").unlink()
    with raises_mentioning(ValueError, "0.mat", "file", ("no", "missing")):
        prepare("human36m", tmp_path)


def test_pictures_that_are_listed_twice_are_refused(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    (home / "data_test.csv").write_text(",filename\n0,WOMEN/test_0.jpg\n1,WOMEN/test_0.jpg\n")
    with raises_mentioning(ValueError, "WOMEN/test_0", "2 times", "deepfashion", ("split test", "test split")):
        prepare("deepfashion", tmp_path)
