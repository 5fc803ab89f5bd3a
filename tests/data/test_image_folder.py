"""Folders of pictures: what is found in them; `ImageFolder`, its memory and its way with bad files."""

import logging
import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch
from helpers.messages import raises_mentioning
from PIL import Image
from torch.utils.data import DataLoader

from autolink_gen.data.folders import list_images
from autolink_gen.data.image_folder import ImageFolder

RED = (255, 0, 0)


def _save(path: Path, *, color: tuple[int, int, int] = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), color).save(path)
    return path


def _text(path: Path) -> Path:
    path.write_text("<html>404 Not Found</html>")
    return path


def test_list_images_is_nested_sorted_and_blind_to_case(tmp_path: Path) -> None:
    names = ["b/2.JPG", "b/1.Jpeg", "a.png", "c.webp", "z/y/x.BMP"]
    for name in [*names, "notes.txt", ".hidden.png", ".git/d.png", "__MACOSX/e.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert list_images(str(tmp_path)) == sorted(tmp_path / name for name in names)


def test_list_images_follows_a_link_to_a_folder_but_not_in_circles(tmp_path: Path) -> None:
    _save(tmp_path / "elsewhere/a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/circle").symlink_to(tmp_path / "elsewhere")

    assert list_images(tmp_path / "set") == [tmp_path / "set/link/a.png"]


def test_list_images_of_a_missing_folder_says_where_the_path_ends(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"no folder {tmp_path}/a/b: {tmp_path} exists"):
        list_images(tmp_path / "a/b")


def test_list_images_of_a_file_asks_for_its_folder(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png")
    with raises_mentioning(ValueError, "a.png", "file", "folder"):
        list_images(path)


def test_list_images_of_an_empty_folder_names_the_suffixes(tmp_path: Path) -> None:
    with raises_mentioning(ValueError, "empty", ".jpg", ".png", ".webp", ".bmp"):
        list_images(tmp_path)


def test_list_images_without_pictures_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MP4", "c.zip", "README"):
        (tmp_path / name).touch()
    found = r"4 other file\(s\) \(2 x \.mp4, 1 x \.zip, 1 x no suffix\); unpack"
    with pytest.raises(ValueError, match=found) as error:
        list_images(tmp_path)
    assert ".webp" in str(error.value)


def _numbered(folder: Path, count: int) -> None:
    for number in range(count):
        _save(folder / f"{number:02}.png", color=(number, 0, 0))


def _red(dataset: ImageFolder) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in dataset]


def test_image_folder_gives_uint8_in_the_order_of_its_paths(tmp_path: Path) -> None:
    _numbered(tmp_path, 5)

    dataset = ImageFolder(tmp_path, image_size=8)

    assert len(dataset) == 5 and [path.name for path in dataset.paths] == [f"{n:02}.png" for n in range(5)]
    assert dataset[0].shape == (3, 8, 8) and dataset[0].dtype == torch.uint8
    assert _red(dataset) == [0, 1, 2, 3, 4]
    assert dataset[-1][0, 0, 0] == 4
    with pytest.raises(IndexError):
        dataset[5]


def test_image_folder_honours_fit(tmp_path: Path) -> None:
    Image.new("RGB", (90, 30), RED).save(tmp_path / "a.png")

    padded = ImageFolder(tmp_path, image_size=30, fit="pad")[0]

    assert padded[:, 0, 0].tolist() == [127, 127, 127] and padded[:, 15, 2].tolist() == list(RED)


def test_image_folder_refuses_a_size_of_nothing(tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    with raises_mentioning(ValueError, "image_size", 0, 1):
        ImageFolder(tmp_path, image_size=0)


def test_image_folder_reads_a_file_once_and_guards_its_memory(tmp_path: Path) -> None:
    _numbered(tmp_path, 3)
    dataset = ImageFolder(tmp_path, image_size=8)
    first = dataset[1]
    first.zero_()
    for path in dataset.paths:
        path.unlink()

    dataset[1].zero_()

    assert dataset[1][0, 0, 0] == 1 and dataset.bad_indices == []


def test_image_folder_keeps_no_more_than_it_may(tmp_path: Path) -> None:
    _numbered(tmp_path, 4)
    dataset = ImageFolder(tmp_path, image_size=8, cache_bytes=2 * 3 * 8 * 8 + 5)
    assert _red(dataset) == [0, 1, 2, 3]
    for number, path in enumerate(dataset.paths):
        _save(path, color=(100 + number, 0, 0))

    assert _red(dataset) == [0, 1, 102, 103]
    assert _red(ImageFolder(tmp_path, image_size=8, cache_bytes=0)) == [100, 101, 102, 103]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs processes that fork")
def test_forked_loader_workers_share_what_they_read_and_find(tmp_path: Path) -> None:
    _numbered(tmp_path, 6)
    _text(tmp_path / "02.png")
    dataset = ImageFolder(tmp_path, image_size=8)

    loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="fork")
    pictures = torch.cat(list(loader))
    for path in dataset.paths:
        path.unlink()

    assert pictures[:, 0, 0, 0].tolist() == [0, 1, 3, 3, 4, 5]
    assert dataset.bad_indices == [2]
    assert _red(dataset) == [0, 1, 3, 3, 4, 5]


def test_image_folder_travels_to_a_spawned_worker_without_its_memory(tmp_path: Path) -> None:
    _numbered(tmp_path, 6)
    _text(tmp_path / "02.png")
    dataset = ImageFolder(tmp_path, image_size=256)
    assert _red(dataset) == [0, 1, 3, 3, 4, 5]

    content = pickle.dumps(dataset)
    copy = pickle.loads(content)

    assert len(content) < 5_000
    assert copy.bad_indices == []
    assert _red(copy) == [0, 1, 3, 3, 4, 5]
    assert copy.bad_indices == [2]


def test_one_bad_file_is_reported_once_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _numbered(tmp_path, 5)
    bad = _text(tmp_path / "04.png")
    dataset = ImageFolder(tmp_path, image_size=8)

    with caplog.at_level(logging.WARNING):
        assert _red(dataset) == [0, 1, 2, 3, 0]
        assert _red(dataset) == [0, 1, 2, 3, 0]

    assert dataset.bad_indices == [4]
    assert len(caplog.messages) == 1 and str(bad) in caplog.messages[0]


def test_too_many_bad_files_stop_with_names_and_the_remedy(tmp_path: Path) -> None:
    _numbered(tmp_path, 20)
    for number in (3, 7, 9):
        _text(tmp_path / f"{number:02}.png")

    with pytest.raises(ValueError, match=r"2 of the 20 images in .*03\.png.*07\.png") as error:
        _red(ImageFolder(tmp_path, image_size=8))
    assert "autolink-gen data check" in str(error.value)
    assert len(_red(ImageFolder(tmp_path, image_size=8, max_bad_share=0.15))) == 20


def test_a_folder_with_nothing_readable_says_so(tmp_path: Path) -> None:
    _text(tmp_path / "a.png")
    with pytest.raises(ValueError, match="1 of the 1 images"):
        ImageFolder(tmp_path, image_size=8)[0]


def test_endings_of_strangers_cannot_add_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.\x1b[31m\nred").touch()
    with pytest.raises(ValueError, match=r"1 x \.\\x1b\[31m\\nred") as error:
        ImageFolder(tmp_path, image_size=8)
    assert str(error.value).isprintable()
