"""What is found of data: equal wherever it lies, another where a name or a size is another."""

import shutil
from pathlib import Path

import pytest

from autolink_gen.common.cache import CACHE_VARIABLE
from autolink_gen.data.contents import Contents
from autolink_gen.data.shards.download import cached_path
from autolink_gen.data.source import open_source


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/a.jpg", "b/c.PNG"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    (tmp_path / "photos" / "list.txt").touch()
    return tmp_path / "photos"


def test_a_copy_elsewhere_holds_the_same(photos: Path, tmp_path: Path) -> None:
    found = open_source(photos).contents()
    assert str(found) == "3 pictures"
    (tmp_path / "other").mkdir()
    shutil.copytree(photos, tmp_path / "other" / "pics" / "train")
    (tmp_path / "other" / "pics" / "test").mkdir()
    assert open_source(tmp_path / "other" / "pics").contents() == found, "a split is known by its pictures, too"
    (tmp_path / "link").symlink_to(photos)
    assert open_source(str(tmp_path / "link")).contents() == found
    assert open_source(photos, classes=["b"]).contents().count == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.jpg").rename(folder / "z.jpg"),
        lambda folder: (folder / "a.jpg").rename(folder / "b" / "d.jpg"),
        lambda folder: (folder / "a.jpg").write_text("longer"),
        lambda folder: (folder / "new.webp").touch(),
        lambda folder: (folder / "a.jpg").unlink(),
    ],
)
def test_another_name_or_size_is_another(photos: Path, change) -> None:
    before = open_source(photos).contents()
    (photos / "list.txt").write_text("no picture")
    assert open_source(photos).contents() == before
    change(photos)
    assert open_source(photos).contents() != before


def test_the_order_of_several_sets_counts(photos: Path) -> None:
    one, other = (
        open_source(f"{first}+{second}").contents() for first, second in ((photos, "puppets"), ("puppets", photos))
    )
    assert one.count == other.count == 4 and one.digest != other.digest
    assert open_source("puppets").contents() == open_source("puppets").contents() != open_source(photos).contents()


def test_shards_are_known_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At an address by what was fetched, whoever signed it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    for number in range(2):
        (tmp_path / f"p-{number}.tar").write_bytes(b"x" * (number + 1))
        for query in ("", "?Signature=old", "?Signature=new"):
            file = cached_path(f"https://host/p-{number}.tar{query}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x" * (number + 1))
    found = open_source(f"{tmp_path}/p-{{0..1}}.tar").contents()
    assert str(found) == "2 shards"
    for query in ("", "?Signature=old", "?Signature=new"):
        assert open_source(f"https://host/p-{{0..1}}.tar{query}").contents() == found
    assert open_source(f"{tmp_path}/p-{{1..0}}.tar").contents() != found, "the order of shards is that of the pictures"


def test_data_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none"):
        open_source(f"{tmp_path}/none").contents()
    assert str(Contents(1, "pictures", "")) == "1 picture" and str(Contents(2000, "videos", "")) == "2,000 videos"
