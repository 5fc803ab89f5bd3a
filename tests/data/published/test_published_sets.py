"""Published sets: right trees give the published parts, wrong ones both trees."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning
from helpers.published_trees import BUILDERS, H36M_ACTIVITY, celeba_h5, prepare
from PIL import Image
from torch.utils.data import Dataset

from autolink_gen.data.images import read_image
from autolink_gen.data.landmarks import find_landmarks_csv, read_landmarks_csv
from autolink_gen.data.published.prepare import download_set, is_prepared
from autolink_gen.data.published.sets import SETS, ImageSet
from autolink_gen.data.source import open_source
from autolink_gen.evaluation.splits import find_folders, read_split

pytestmark = pytest.mark.usefixtures("nobody_says_where")

# The parts of the tiny trees, by the published rules.
COUNTS = {
    "celeba-aligned": {"train": 6, "fit": 3, "test": 3},  # all that are not MAFL's
    "celeba-wild": {"train": 3, "fit": 1, "test": 2},  # those whose face takes 30 % of the area
    "human36m": {"train": 12, "test": 2},  # six subjects and one, the activity that is not used left out
    "human36m-nobg": {"train": 12, "test": 2},
    "deepfashion": {"train": 3, "test": 2},
    "taichi": {"fit": 3, "test": 2},
    "cub-001": {"train": 3, "test": 1},  # three classes to learn from, one to test on
    "cub-002": {"train": 3, "test": 1},
    "cub-003": {"train": 3, "test": 1},
    "cub-all": {"train": 4, "test": 4},
    "flowers": {"train": 4, "test": 1},  # the large test split is learned from
}


def test_every_set_with_layouts_is_tested() -> None:
    needing = {name for name, entry in SETS.items() if isinstance(entry, ImageSet) and entry.layouts}
    assert needing == set(BUILDERS) == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_the_parts_are_the_published_ones(name: str, tmp_path: Path) -> None:
    BUILDERS[name](tmp_path)
    parts = prepare(name, tmp_path)
    assert {part.name: part.written for part in parts} == COUNTS[name]
    for part in parts:
        dataset: Dataset = open_source(part.folder).images(size=16)
        assert len(dataset) == COUNTS[name][part.name]  # type: ignore[arg-type]
        assert dataset[0].shape == (3, 16, 16)


@pytest.mark.parametrize("name", COUNTS)
def test_the_prepared_set_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    BUILDERS[name](tmp_path)
    prepare(name, tmp_path)
    for split, count in COUNTS[name].items():
        assert len(open_source(name, root=tmp_path).images(split, size=16)) == count  # type: ignore[arg-type]
    if name != "flowers":
        fit, test = find_folders(open_source(name, root=tmp_path))
        assert fit.name == ("fit" if "fit" in COUNTS[name] else "train") and test.name == "test"
        assert len(read_split(fit)) == COUNTS[name][fit.name] and len(read_split(test)) == COUNTS[name]["test"]


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "taichi"])
def test_a_published_set_is_asked_to_be_made_ready(name: str, tmp_path: Path) -> None:
    BUILDERS[name](tmp_path)
    with pytest.raises(ValueError, match=f"`autolink-gen data prepare {name} --data-root {tmp_path}`"):
        open_source(name, root=tmp_path).folder()


@pytest.mark.parametrize("name", COUNTS)
def test_a_wrong_tree_is_shown_beside_the_right_one(name: str, tmp_path: Path) -> None:
    home = BUILDERS[name](tmp_path)
    gone = sorted(path for path in home.iterdir() if not path.name.startswith("list_"))[-1]
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(ValueError, match=f"does not hold {name} as it is published") as error:
        prepare(name, tmp_path)
    expected, found = str(error.value).split("expected:")[1].split("found:")
    assert name in expected and home.name in expected and gone.name in str(error.value)
    assert f"{home.name}/" in found and f"{home.name}/{gone.name}" not in found
    assert not (tmp_path / "prepared").exists()


def test_a_folder_too_many_is_shown(tmp_path: Path) -> None:
    home = BUILDERS["cub-all"](tmp_path)
    home.rename(tmp_path / "unpacked")
    home.mkdir()
    (tmp_path / "unpacked").rename(home / "cub")
    with pytest.raises(ValueError, match=r"found:\n  CUB_200_2011/cub/\n  CUB_200_2011/cub/bounding_boxes.txt\n"):
        prepare("cub-all", tmp_path)


def test_expected_and_found_begin_alike(tmp_path: Path) -> None:
    (tmp_path / "celeba-wild").mkdir()
    with pytest.raises(ValueError, match=r"\n  celeba-wild/img_celeba(.|\n)*found:\n  celeba-wild/ is empty"):
        prepare("celeba-wild", tmp_path)
    (tmp_path / "celeba-wild").rmdir()
    top = tmp_path.name
    with pytest.raises(ValueError, match=rf"\n  {top}/flowers-102/jpg(.|\n)*found:\n  {top}/here/"):
        prepare("flowers", tmp_path)


def test_what_lies_where_something_is_missing_is_shown(tmp_path: Path) -> None:
    home = BUILDERS["human36m-nobg"](tmp_path)
    (home / "S6/BackgroudMask").rename(home / "S6/BackgroundMask")
    with pytest.raises(ValueError, match="S6/BackgroudMask is missing") as error:
        prepare("human36m-nobg", tmp_path)
    assert "S6/BackgroundMask/" in str(error.value)


def test_other_lists_leave_nothing_of_the_first_behind(tmp_path: Path) -> None:
    home = BUILDERS["celeba-aligned"](tmp_path)
    right = (home / "MAFL/testing.txt").read_text()
    (home / "MAFL/testing.txt").write_text(right.splitlines()[0])
    prepare("celeba-aligned", tmp_path)
    (home / "MAFL/testing.txt").write_text(right)
    parts = prepare("celeba-aligned", tmp_path)
    files = [{path.name for path in part.folder.iterdir()} for part in parts]
    assert [len(part) for part in files] == [6, 3, 3] and not files[0] & files[2]
    assert [part.removed for part in parts] == [2, 0, 0]


def test_a_set_that_is_not_finished_is_not_taken_for_ready(tmp_path: Path) -> None:
    home = BUILDERS["deepfashion"](tmp_path)
    files = [home / f"img/WOMEN/test_{number}.jpg" for number in range(2)]
    whole = [file.read_bytes() for file in files]
    for file in files:
        file.write_text("no picture")
    with raises_mentioning(ValueError, "2 of the", "test", ("cannot be read", "unreadable")):
        prepare("deepfashion", tmp_path)
    assert len(list((tmp_path / "prepared/deepfashion/train").rglob("*.jpg"))) == 3
    with raises_mentioning(ValueError, "deepfashion", "ready", "data prepare*"):
        open_source("deepfashion", root=tmp_path).folder()
    for file, content in zip(files, whole, strict=True):
        file.write_bytes(content)
    assert [part.were_there for part in prepare("deepfashion", tmp_path)] == [3, 0]
    assert open_source("deepfashion", root=tmp_path).folder() == tmp_path / "prepared/deepfashion/train"


def first_landmarks(name: str, root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    table = read_landmarks_csv(find_landmarks_csv(root / "prepared" / name / part))
    return table.points[0], table.visible[0]


@pytest.mark.parametrize(
    ("name", "part", "point"),
    [
        ("celeba-aligned", "fit", (10 / 40, 15 / 60)),
        ("celeba-wild", "test", (10 / 40, 15 / 60)),
        ("human36m", "test", (0.75, 0.25)),  # stored as row, column
        ("deepfashion", "train", (0.2, 0.4)),
        ("taichi", "fit", (0.2, 0.4)),
        ("cub-001", "test", ((25 - 5) / 40, (40 - 20) / 40)),  # the square around the box begins at 5, 20
    ],
)
def test_landmarks_are_fractions_of_what_is_cut_out(
    name: str, part: str, point: tuple[float, float], tmp_path: Path
) -> None:
    BUILDERS[name](tmp_path)
    prepare(name, tmp_path)
    points, visible = first_landmarks(name, tmp_path, part)
    shown = points[visible][0]
    assert shown == pytest.approx(point, abs=1e-5)


def test_hidden_landmarks_are_unlabelled(tmp_path: Path) -> None:
    for name in ("taichi", "cub-all"):
        BUILDERS[name](tmp_path)
        prepare(name, tmp_path)
    assert first_landmarks("taichi", tmp_path, "fit")[1].tolist() == [True] * 17 + [False]
    assert first_landmarks("cub-all", tmp_path, "train")[1].tolist() == [number % 2 == 1 for number in range(1, 16)]


def test_landmarks_have_names(tmp_path: Path) -> None:
    BUILDERS["celeba-wild"](tmp_path)
    prepare("celeba-wild", tmp_path)
    table = read_landmarks_csv(tmp_path / "prepared/celeba-wild/landmarks_test.csv")
    assert table.names == ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def test_birds_are_cut_out_and_backgrounds_are_black(tmp_path: Path) -> None:
    BUILDERS["cub-001"](tmp_path)
    BUILDERS["human36m"](tmp_path)
    for name in ("cub-001", "human36m", "human36m-nobg"):
        prepare(name, tmp_path, size=40)
    bird = np.asarray(read_image(next((tmp_path / "prepared/cub-001/test").rglob("*.jpg"))))
    # White is x < 30 and y < 40 of the whole; the square goes from (5, 20) to (45, 60).
    assert bird[:15, :20].mean() > 240 and bird[25:].mean() < 15 and bird[:, 30:].mean() < 15
    person = f"test/S11/{H36M_ACTIVITY}/0.jpg"
    whole, cut = (read_image(tmp_path / "prepared" / name / person) for name in ("human36m", "human36m-nobg"))
    assert np.asarray(whole)[:18, :18].min() > 200 and np.asarray(cut)[22:].max() < 30


def test_the_mask_hides_what_is_outside_it(tmp_path: Path) -> None:
    home = BUILDERS["human36m-nobg"](tmp_path)
    for mask in home.glob("*/BackgroudMask/*/*.png"):
        from PIL import Image

        Image.new("L", (40, 60)).save(mask)
    prepare("human36m-nobg", tmp_path)
    cut = read_image(tmp_path / f"prepared/human36m-nobg/test/S11/{H36M_ACTIVITY}/0.jpg")
    assert np.asarray(cut).max() < 10


def test_the_authors_h5_is_read(tmp_path: Path) -> None:
    celeba_h5(tmp_path)
    parts = prepare("celeba-wild", tmp_path)
    assert [part.written for part in parts] == [2, 2, 2]
    points, _ = first_landmarks("celeba-wild", tmp_path, "test")
    assert points[0] == pytest.approx((32 / 128, 64 / 128))
    red = np.asarray(read_image(tmp_path / "prepared/celeba-wild/train/000000.jpg"))
    assert red[..., 0].min() > 240 and red[..., 1].max() < 15


def test_another_h5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "celeba_wild").mkdir()
    (tmp_path / "celeba_wild/celeba_wild.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"celeba_wild\.h5 is no readable celeba_wild\.h5 of the authors"):
        prepare("celeba-wild", tmp_path)


def test_the_partition_and_the_authors_list_say_what_is_trained_on(tmp_path: Path) -> None:
    home = BUILDERS["celeba-aligned"](tmp_path)
    partition = [f"{number:06d}.jpg {0 if number <= 4 else 1}" for number in range(1, 13)]
    (home / "list_eval_partition.txt").write_text("\n".join(partition))
    assert prepare("celeba-aligned", tmp_path)[0].total == 4
    (home / "MAFL/celebA_training.txt").write_text("000001.jpg 1\n000002.jpg 1\n")
    shutil.rmtree(tmp_path / "prepared")
    assert prepare("celeba-aligned", tmp_path)[0].total == 2


def test_celebas_own_folders_are_known(tmp_path: Path) -> None:
    home = BUILDERS["celeba-wild"](tmp_path)
    for name, folder in (
        ("img_celeba", "Img"),
        ("list_landmarks_celeba.txt", "Anno"),
        ("list_bbox_celeba.txt", "Anno"),
    ):
        (home / folder).mkdir(exist_ok=True)
        (home / name).rename(home / folder / name)
    assert [part.total for part in prepare("celeba-wild", tmp_path)] == [3, 1, 2]


def test_a_repeated_call_goes_on_and_says_so(tmp_path: Path) -> None:
    BUILDERS["cub-all"](tmp_path)
    first = prepare("cub-all", tmp_path)
    table = (tmp_path / "prepared/cub-all/landmarks_test.csv").read_bytes()
    next(first[1].folder.rglob("*.jpg")).unlink()
    again = prepare("cub-all", tmp_path)
    assert [(part.written, part.were_there) for part in again] == [(0, 4), (1, 3)]
    assert (tmp_path / "prepared/cub-all/landmarks_test.csv").read_bytes() == table
    with pytest.raises(ValueError, match="holds images of 16 pixels, not 32; give --overwrite"):
        prepare("cub-all", tmp_path, size=32)
    assert is_prepared("cub-all", tmp_path), "what was ready stays so"


def test_pictures_of_another_size_are_made_where_one_insists(tmp_path: Path) -> None:
    BUILDERS["cub-all"](tmp_path)
    prepare("cub-all", tmp_path)
    again = prepare("cub-all", tmp_path, size=32, overwrite=True)
    assert [(part.written, part.were_there) for part in again] == [(4, 0), (4, 0)]
    assert {Image.open(path).size for part in again for path in part.folder.rglob("*.jpg")} == {(32, 32)}


def test_nothing_of_others_is_removed_where_one_insists(tmp_path: Path) -> None:
    BUILDERS["cub-all"](tmp_path)
    train, _ = prepare("cub-all", tmp_path)
    (train.folder / "mine.jpg").write_text("mine")
    before = {path: path.read_bytes() for path in train.folder.rglob("*.jpg")}
    with raises_mentioning(ValueError, "mine.jpg", "written", "data prepare"):
        prepare("cub-all", tmp_path, size=32, overwrite=True)
    assert {path: path.read_bytes() for path in train.folder.rglob("*.jpg")} == before


def test_a_table_that_nothing_is_known_of_stays(tmp_path: Path) -> None:
    BUILDERS["cub-all"](tmp_path)
    table = tmp_path / "prepared/cub-all/landmarks_test.csv"
    table.parent.mkdir(parents=True)
    table.write_text("mine")
    with pytest.raises(ValueError, match=r"landmarks_test\.csv is there already.*--overwrite"):
        prepare("cub-all", tmp_path)
    assert table.read_text() == "mine" and [path.name for path in table.parent.iterdir()] == [table.name]
    prepare("cub-all", tmp_path, overwrite=True)
    assert table.read_text().startswith("file,")


def test_the_size_has_limits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size is 5000"):
        prepare("flowers", tmp_path, size=5000)


def test_a_set_that_torchvision_does_not_know_is_not_downloaded(tmp_path: Path) -> None:
    entry = SETS["deepfashion"]
    assert isinstance(entry, ImageSet)
    with raises_mentioning(ValueError, "torchvision", "download", "https://github*"):
        download_set(entry, tmp_path)


def test_torchvision_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    entry, asked = SETS["flowers"], []
    assert isinstance(entry, ImageSet)
    monkeypatch.setattr(torchvision.datasets, "Flowers102", lambda root, download: asked.append((root, download)))
    download_set(entry, tmp_path)
    assert asked == [(str(tmp_path), True)]

    def fail(root: str, download: bool) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets, "Flowers102", fail)
    with raises_mentioning(ValueError, "fetch", "no network"):
        download_set(entry, tmp_path)


@pytest.mark.parametrize(
    ("name", "files", "train", "test"),
    [
        ("hands", ("11k-hands/Hands/a.jpg",), "11k-hands/Hands", "11k-hands/Hands"),
        ("horses", ("horse2zebra/trainA/a.jpg", "horse2zebra/testA/b.jpg"), "horse2zebra/trainA", "horse2zebra/testA"),
        ("zebras", ("horse2zebra/trainB/a.jpg", "horse2zebra/testB/b.jpg"), "horse2zebra/trainB", "horse2zebra/testB"),
        ("afhq", ("afhq_v2/train/cat/a.png", "afhq_v2/test/cat/b.png"), "afhq_v2/train", "afhq_v2/test"),
    ],
)
def test_sets_that_are_read_as_they_are(
    name: str, files: tuple[str, ...], train: str, test: str, tmp_path: Path
) -> None:
    from helpers.picture_files import save_picture

    for file in files:
        save_picture(tmp_path / file)
    assert open_source(name, root=tmp_path).folder() == tmp_path / train
    assert open_source(name, root=tmp_path).folder("test") == tmp_path / test
    shutil.rmtree(tmp_path / train)
    with raises_mentioning(ValueError, name, "expected", "found"):
        open_source(name, root=tmp_path).folder()


def test_settings_are_written_down(tmp_path: Path) -> None:
    BUILDERS["flowers"](tmp_path)
    prepare("flowers", tmp_path)
    assert json.loads((tmp_path / "prepared/flowers/prepared.json").read_text()) == {"size": 16, "complete": True}
