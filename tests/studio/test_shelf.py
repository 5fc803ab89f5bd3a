import shutil
from pathlib import Path

import pytest
from helpers.messages import raises_mentioning

from autolink_gen.studio.shelf import KeptFile, Shelf
from autolink_gen.studio.workshop import open_workshop


def _put(shelf: Shelf, name: str = "a.mp4") -> KeptFile:
    with shelf.new(name) as file:
        file.path.write_bytes(b"content")
    return file


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x.MP4", "a\0b.mp4", "", ".mp4", "é" * 300 + ".mp4", "/"])
def test_whatever_a_file_is_called_it_lies_on_the_shelf(tmp_path: Path, name: str) -> None:
    shelf = Shelf(tmp_path / "shelf")
    file = _put(shelf, name)
    assert file.path.parent.parent.samefile(tmp_path / "shelf")
    assert shelf.get(file.token).path.read_bytes() == b"content"


def test_the_ending_stays_for_readers(tmp_path: Path) -> None:
    assert _put(Shelf(tmp_path), "my film.MOV").path.suffix == ".mov"


def test_the_oldest_makes_room_unless_it_is_used(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, most=2)
    first, second = _put(shelf), _put(shelf)
    with shelf.using(first.token):
        third = _put(shelf)
        assert first.path.is_file()
        with raises_mentioning(ValueError, 2):
            shelf.get(second.token)
        with shelf.using(third.token), raises_mentioning(ValueError, 2):
            _put(shelf)
    assert not second.path.parent.exists()
    _put(shelf)
    assert not first.path.exists()


def test_a_file_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(KeyboardInterrupt), shelf.new("a.mp4") as file:
        file.path.write_bytes(b"half")
        raise KeyboardInterrupt
    with pytest.raises(ValueError):
        shelf.get(file.token)
    assert list(tmp_path.iterdir()) == []


def test_a_shelf_that_was_removed_is_not_made_anew(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "studio" / "shelf")
    shutil.rmtree(tmp_path / "studio")
    with pytest.raises(OSError):
        _put(shelf)
    assert not (tmp_path / "studio").exists()


def test_messages_have_the_owner_s_name_and_no_path(tmp_path: Path) -> None:
    file = _put(Shelf(tmp_path), "my film.mp4")
    assert file.named(f"cannot read {file.path}: it is short") == "cannot read my film.mp4: it is short"


def test_nothing_is_left_when_the_studio_ends() -> None:
    with open_workshop() as workshop:
        file = _put(workshop.uploads)
        assert file.path.is_file()
    assert not file.path.parent.parent.parent.exists()
