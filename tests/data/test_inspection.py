"""`inspect_folder`: counts, sizes, unreadable files, near-duplicates."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions
from PIL import Image, ImageEnhance

from autolink_gen.data import check as inspection
from autolink_gen.data.check import Spread, find_near_duplicates, inspect_folder


def _smooth(seed: int, *, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A random picture with broad shapes, as photographs have."""
    cells = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of several kinds and sizes, three of them alike, two unreadable, and some other files."""
    (tmp_path / "sub").mkdir()
    _smooth(0).save(tmp_path / "a.png")
    _smooth(0).resize((200, 300)).save(tmp_path / "sub/a_resized.JPG", quality=60)
    ImageEnhance.Brightness(_smooth(0)).enhance(1.03).save(tmp_path / "a_brighter.webp")
    _smooth(1, size=(40, 70)).convert("L").save(tmp_path / "b.png")
    _smooth(2, size=(64, 64)).save(tmp_path / "c.bmp")
    (tmp_path / "broken.jpg").write_text("not a picture")
    (tmp_path / "sub/empty.png").touch()
    for name in ("clip.mp4", "notes.txt", "sub/more.TXT"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_report_counts_everything(folder: Path) -> None:
    report = inspect_folder(str(folder))

    assert report.folder == folder and report.num_readable == 5
    assert report.suffixes == {".png": 3, ".jpg": 2, ".bmp": 1, ".webp": 1}
    assert report.other_files == {".txt": 2} and report.left_out == ()
    assert [video.path.name for video in report.unreadable_videos] == ["clip.mp4"]
    assert report.modes == {"RGB": 4, "L": 1}
    assert report.widths == Spread(40, 96.0, 200) and report.heights == Spread(64, 80.0, 300)
    assert report.num_small == 1
    reasons = {bad.path.name: bad.reason for bad in report.unreadable}
    assert set(reasons) == {"broken.jpg", "empty.png"}
    assert_mentions(reasons["broken.jpg"], "content", "known")
    assert_mentions(reasons["empty.png"], "empty", "0 bytes")


def test_pictures_that_look_the_same_are_grouped(folder: Path) -> None:
    report = inspect_folder(folder)

    assert report.near_duplicates == ((folder / "a.png", folder / "a_brighter.webp", folder / "sub/a_resized.JPG"),)
    assert inspect_folder(folder, near_duplicates=False).near_duplicates is None


def test_different_pictures_are_not_grouped() -> None:
    thumbnails = np.stack([np.asarray(_smooth(seed, size=(16, 16)).convert("L")) for seed in range(700)])
    thumbnails[650] = thumbnails[3]

    assert find_near_duplicates(thumbnails) == [[3, 650]]


def test_plain_pictures_of_different_brightness_are_not_grouped() -> None:
    thumbnails = np.stack([np.full((16, 16), level, np.uint8) for level in (0, 100, 200, 103, 255)])

    assert find_near_duplicates(thumbnails) == [[1, 3]]


def test_a_slow_change_does_not_chain_into_one_group() -> None:
    thumbnails = np.stack([np.full((16, 16), 4 * step, np.uint8) for step in range(6)])

    assert find_near_duplicates(thumbnails) == [[0, 1], [2, 3], [4, 5]]


def test_a_picture_belongs_to_one_group_only() -> None:
    thumbnails = np.stack([np.full((16, 16), level, np.uint8) for level in (100, 110, 105)])

    assert find_near_duplicates(thumbnails) == [[0, 2]]


def test_no_pictures_have_no_duplicates() -> None:
    assert find_near_duplicates(np.empty((0, 16, 16), np.uint8)) == []


def test_a_folder_in_which_nothing_can_be_read_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    report = inspect_folder(tmp_path)

    assert report.num_readable == 0 and len(report.unreadable) == 1
    assert report.widths is None and report.heights is None and report.near_duplicates == ()


def test_progress_sees_every_picture(folder: Path) -> None:
    seen = {}

    def progress(items: Iterable, total: int, label: str) -> Iterable:
        seen[label] = total
        return items

    inspect_folder(folder, progress=progress)

    assert seen == {"reading": 7, "comparing": 1, "opening videos": 1, "reading videos": 0}


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images in"):
        inspect_folder(tmp_path)


def test_many_pictures_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    thumbnails[[7, 31]] = thumbnails[3]
    expected = find_near_duplicates(thumbnails)
    monkeypatch.setattr(inspection, "_COMPARED_AT_ONCE", 100)
    assert find_near_duplicates(thumbnails) == expected == [[3, 7, 31]]
