"""How a name or a folder becomes a data set, and what is said when it does not."""

from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.picture_files import save_picture
from torch.utils.data import Dataset

from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.published.places import data_root
from autolink_gen.data.published.sets import SETS, Embedded
from autolink_gen.data.puppets.dataset import Puppets
from autolink_gen.data.source import open_source

pytestmark = pytest.mark.usefixtures("nobody_says_where")


def _files(dataset: Dataset, base: Path) -> list[str]:
    assert isinstance(dataset, ImageFolder)
    return [path.relative_to(base).as_posix() for path in dataset.paths]


def test_the_table_describes_each_set() -> None:
    assert {"puppets", "faces68", "taichi", "afhq"} <= set(SETS)
    assert all(entry.about for entry in SETS.values())
    assert isinstance(SETS["puppets"], Embedded)


def test_puppets_need_no_files() -> None:
    train = open_source("puppets").images(size=32, seed=3)
    test = open_source("puppets").images("test", size=32, seed=3)

    assert isinstance(train, Puppets) and isinstance(test, Puppets)
    assert (train.image_size, train.seed, train.split, test.split) == (32, 3, "train", "test")
    assert train[0].shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("data", "split", "files"),
    [
        ("faces68", "train", ["train/a.jpg", "train/b.jpg"]),
        ("faces68", "test", ["test/c.jpg"]),
        ("taichi", "train", ["clip1/0.png", "clip1/1.png", "clip2/0.png"]),
        ("taichi", "test", ["clip1/0.png", "clip1/1.png", "clip2/0.png"]),
        ("afhq", "train", ["train/cat/a.jpg", "train/dog/b.jpg"]),
        ("afhq", "test", ["val/cat/c.jpg"]),
        ("afhq/dog", "train", ["train/dog/b.jpg"]),
    ],
)
def test_named_sets_are_found_in_the_root_or_as_the_root(root: Path, data: str, split: str, files: list[str]) -> None:
    home = root / data.partition("/")[0]

    dataset = open_source(data, root=root).images(split, size=8, fit="pad")

    assert _files(dataset, home) == files
    assert dataset[0].shape == (3, 8, 8)
    assert _files(open_source(data, root=home).images(split, size=8), home) == files


def test_taichi_with_splits_uses_them(tmp_path: Path) -> None:
    save_picture(tmp_path / "taichi/train/clip/0.png")
    save_picture(tmp_path / "taichi/test/clip/0.png")

    assert open_source("taichi", root=tmp_path).folder("test") == tmp_path / "taichi/test"
    assert open_source("taichi", root=tmp_path).folder("train") == tmp_path / "taichi/train"


def test_options_reach_the_folder(root: Path) -> None:
    dataset = open_source(root / "faces68/train").images(size=16, fit="stretch")

    assert isinstance(dataset, ImageFolder)
    assert (dataset.image_size, dataset.fit) == (16, "stretch")


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_unsplit_folder_is_used_whole(tmp_path: Path, split: str) -> None:
    save_picture(tmp_path / "pictures/a/1.jpg")
    save_picture(tmp_path / "pictures/train/2.jpg")

    dataset = open_source(str(tmp_path / "pictures")).images(split, size=8)

    assert _files(dataset, tmp_path / "pictures") == ["a/1.jpg", "train/2.jpg"]


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_split_folder_keeps_its_test_pictures_apart(tmp_path: Path, held_out: str) -> None:
    save_picture(tmp_path / "train/1.jpg")
    save_picture(tmp_path / held_out / "2.jpg")

    assert open_source(tmp_path).folder() == tmp_path / "train"
    assert open_source(tmp_path).folder("test") == tmp_path / held_out


@pytest.mark.parametrize("name", ["test", "val"])
def test_the_folder_beside_train_is_held_out(tmp_path: Path, name: str) -> None:
    for folder in ("train", name):
        save_picture(tmp_path / folder / "a.png")
    for data in (tmp_path, tmp_path / "train"):
        held_out = open_source(data).held_out(size=32)
        assert isinstance(held_out, ImageFolder) and held_out.folder == tmp_path / name


def test_a_folder_alone_holds_nothing_out(tmp_path: Path) -> None:
    save_picture(tmp_path / "pictures" / "a.png")
    save_picture(tmp_path / "test" / "a.png")
    assert open_source(tmp_path / "pictures").held_out(size=32) is None


def test_puppets_hold_out_their_test_split() -> None:
    train, held_out = open_source("puppets").images(size=32), open_source("puppets").held_out(size=32)
    assert held_out is not None and (train[0] != held_out[0]).any()


def test_classes_are_opened_in_their_order(root: Path) -> None:
    both = open_source("afhq", root=root, classes=("dog", "cat")).images(size=32)
    each = [open_source("afhq", root=root, classes=(name,)).images(size=32) for name in ("dog", "cat")]
    assert [len(part) for part in each] == [len(part.paths) for part in each]
    assert [path.parent.name for part in both.datasets for path in part.paths][:: len(each[0])] == ["dog", "cat"]
    with pytest.raises(ValueError, match="has no 'horse'"):
        open_source("afhq", root=root, classes=("horse",)).images(size=32)
    with pytest.raises(ValueError, match="puppets has no classes"):
        open_source("puppets", classes=("cat",)).images(size=32)


def test_a_name_means_the_set_and_a_path_the_folder(root: Path) -> None:
    here = Path.cwd()
    save_picture(here / "faces68/mine.jpg")
    save_picture(here / "cats/mine.jpg")

    assert open_source("faces68", root=root).folder() == root / "faces68/train"
    assert open_source("./faces68", root=root).folder() == Path("faces68")
    assert open_source(Path("faces68"), root=root).folder() == Path("faces68")
    assert open_source("cats", root=root).folder() == Path("cats")


def test_root_comes_from_the_option_then_the_variable_then_the_settings(
    tmp_path: Path, nobody_says_where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root() is None

    nobody_says_where.mkdir(parents=True)
    (nobody_says_where / "config.yaml").write_text(f"data_root: {tmp_path / 'settings_root'}\n")
    assert data_root() == (tmp_path / "settings_root", str(nobody_says_where / "config.yaml"))

    monkeypatch.setenv("AUTOLINK_GEN_DATA", str(tmp_path / "variable_root"))
    assert data_root() == (tmp_path / "variable_root", "the variable AUTOLINK_GEN_DATA")

    assert data_root(tmp_path) == (tmp_path, "--data-root")


@pytest.mark.parametrize("content", ["", "other: 1\n"])
def test_settings_without_a_root_say_nothing(nobody_says_where: Path, content: str) -> None:
    nobody_says_where.mkdir(parents=True)
    (nobody_says_where / "config.yaml").write_text(content)

    assert data_root() is None


@pytest.mark.parametrize(
    ("content", "things"),
    [
        ("data_root: [a\n", ("not YAML",)),
        ("data_root: 3\n", ("data_root: /path/to/data",)),
        ("- data_root\n", ("settings", "name")),
    ],
)
def test_wrong_settings_are_named(nobody_says_where: Path, content: str, things: tuple[str, ...]) -> None:
    nobody_says_where.mkdir(parents=True)
    (nobody_says_where / "config.yaml").write_text(content)

    with raises_mentioning(ValueError, nobody_says_where / "config.yaml", *things):
        data_root()


def test_an_unknown_name_lists_the_names_and_the_near_ones() -> None:
    with raises_mentioning(ValueError, "facs68", "mean faces68?", "--data ./*", ", ".join(SETS)):
        open_source("facs68").images(size=8)


@pytest.mark.parametrize("data", ["nowhere/to/be/found", "./my_own_pictures", "qqqq"])
def test_a_folder_that_is_not_there_gets_no_guess(data: str) -> None:
    with raises_mentioning(ValueError, data, "neither", "folder", ", ".join(SETS)):
        open_source(data).images(size=8)


def test_a_file_instead_of_a_folder_is_refused(root: Path) -> None:
    with raises_mentioning(ValueError, "a.jpg", "file", "folder"):
        open_source(str(root / "faces68/train/a.jpg")).images(size=8)


def test_a_set_without_a_root_says_how_to_give_one(nobody_says_where: Path) -> None:
    with pytest.raises(ValueError, match=r"--data-root DIR, .* AUTOLINK_GEN_DATA, .*`data_root: DIR`") as error:
        open_source("faces68").images(size=8)
    assert str(nobody_says_where / "config.yaml") in str(error.value)


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path}/none \(from --data-root\) is no folder"):
        open_source("faces68", root=tmp_path / "none").images(size=8)


def test_a_wrong_layout_shows_what_is_expected_and_what_is_there(tmp_path: Path) -> None:
    for number in range(8):
        save_picture(tmp_path / f"afhq/pictures/{number}.jpg")
        (tmp_path / f"afhq/note{number}.txt").touch()

    with pytest.raises(ValueError, match="from --data-root") as error:
        open_source("afhq", root=tmp_path).images("test", size=8)

    expected, found = str(error.value).split("found:")
    assert "  afhq/test/<class>/*.jpg\n  afhq/val/<class>/*.jpg" in expected
    assert "  afhq/note0.txt" in found and found.endswith("... and 3 more")


def test_a_root_full_of_other_folders_is_not_taken_for_taichi(tmp_path: Path) -> None:
    save_picture(tmp_path / "holiday/1.jpg")

    with pytest.raises(ValueError, match=r"taichi/<clip>/\*\.jpg\nfound:(.*\n)+  .*/holiday/"):
        open_source("taichi", root=tmp_path).images(size=8)


def test_an_empty_root_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"found:\n  empty/ is empty"):
        open_source("faces68", root=tmp_path / "empty").images(size=8)


def test_a_class_that_is_not_there_lists_those_that_are(root: Path) -> None:
    with raises_mentioning(ValueError, "wild", "cat", "dog"):
        open_source("afhq/wild", root=root).images(size=8)


def test_puppets_have_no_folder() -> None:
    with pytest.raises(ValueError, match="'puppets' has no folder"):
        open_source("puppets").folder()


def test_a_wrong_split_is_refused(root: Path) -> None:
    with raises_mentioning(ValueError, "split", "dev", "train", "test"):
        open_source("faces68", root=root).images("dev", size=8)
    with pytest.raises(ValueError, match="split is 'dev'"):
        open_source("puppets").images("dev", size=32)
