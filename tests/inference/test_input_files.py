from pathlib import Path

import pytest
from helpers.messages import raises_mentioning

from autolink_gen.inference.sources import find_sources


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def _named(paths: list[Path], *, out: Path | None = None) -> list[tuple[str, str]]:
    return [(source.path.name, str(source.overlay)) for source in find_sources(paths, out=out)]


def test_nested_names_are_mirrored_pictures_first(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "in", "b/1.JPG", "a/film.MOV", "a/1.jpg", "x.webp", "notes.txt", ".hidden.png")
    assert _named([folder]) == [
        ("1.jpg", "a/1.png"),
        ("1.JPG", "b/1.png"),
        ("x.webp", "x.png"),
        ("film.MOV", "a/film.mp4"),
    ]
    assert [source.is_video for source in find_sources([folder])] == [False, False, False, True]


def test_no_two_overlays_share_a_name(tmp_path: Path) -> None:
    names = [
        "a/1.jpg",
        "a/1.png",
        "a/1.jpg.png",
        "a/2.jpg",
        "A.gif",
        "a.mp4",
        "a/3.JPG",
        "a/3.png",
        "4.v2.jpg",
    ]
    folder = _touch(tmp_path / "in", *names)
    overlays = dict(zip(*zip(*_named([folder]), strict=True), strict=True))
    assert overlays["1.jpg"] != overlays["1.png"]
    assert overlays["2.jpg"] == "a/2.png"
    assert overlays["4.v2.jpg"] == "4.v2.png"
    assert overlays["1.png"] == "a/1.png.png"
    assert (overlays["A.gif"], overlays["a.mp4"]) == ("A.gif.mp4", "a.mp4.mp4")
    assert (overlays["3.JPG"], overlays["3.png"]) == ("a/3.JPG.png", "a/3.png.png")
    assert len({name.lower() for name in overlays.values()}) == len(names)


def test_several_folders_keep_their_names_apart(tmp_path: Path) -> None:
    one, two = _touch(tmp_path / "x" / "a", "1.jpg"), _touch(tmp_path / "y" / "a", "1.jpg")
    lone = _touch(tmp_path, "1.jpg") / "1.jpg"
    overlays = {str(source.path): str(source.overlay) for source in find_sources([one, two, lone])}
    assert overlays == {str(one / "1.jpg"): "a/1.png", str(two / "1.jpg"): "a-2/1.png", str(lone): "1.png"}


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    folder = _touch(tmp_path, "a/1.jpg")
    assert len(find_sources([folder, folder / "a", folder / "a" / "1.jpg"])) == 1


def test_earlier_overlays_inside_the_folder_are_no_input(tmp_path: Path) -> None:
    folder = _touch(tmp_path, "1.jpg", "detections/1.png", "detections/a/2.png")
    assert _named([folder], out=folder / "detections") == [("1.jpg", "1.png")]
    assert len(_named([folder])) == 3


def test_an_overlay_never_takes_the_place_of_an_input(tmp_path: Path) -> None:
    folder = _touch(tmp_path, "1.png")
    with raises_mentioning(ValueError, "1.png", "input", "--out"):
        find_sources([folder], out=folder)
    assert _named([folder], out=tmp_path.parent / "elsewhere") == [("1.png", "1.png")]


def test_missing_paths_and_other_files_are_named(tmp_path: Path) -> None:
    folder = _touch(tmp_path, "notes.txt")
    with pytest.raises(ValueError, match=r"no file or folder .*gone"):
        find_sources([tmp_path / "gone"])
    with raises_mentioning(ValueError, "notes.txt", "name", ".jpg"):
        find_sources([folder / "notes.txt"])
    with raises_mentioning(ValueError, folder, ("no pictures", "no images"), ".jpg"):
        find_sources([folder])
    with pytest.raises(ValueError, match="give at least one"):
        find_sources([])


def test_a_link_to_itself_is_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "a.jpg").touch()
    found = find_sources([tmp_path])
    assert sorted(source.path.name for source in found) == ["a.jpg", "loop.jpg"]


def test_names_of_overlays_are_no_longer_than_systems_take(tmp_path: Path) -> None:
    long = "ü" * 125
    for name in (f"{long}.jpg", f"{long}.png", "b" * 251 + ".jpg", "b" * 251 + ".avi"):
        (tmp_path / name).touch()
    names = [str(source.overlay) for source in find_sources([tmp_path])]
    assert len(set(names)) == 4 and all(len(name.encode()) <= 255 for name in names)
    assert {Path(name).suffix for name in names} == {".png", ".mp4"}


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 10, 11):
        (tmp_path / f"{number}.png").touch()
    assert [source.path.name for source in find_sources([tmp_path])] == ["1.png", "2.png", "10.png", "11.png"]


def test_what_is_left_out_of_a_folder_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "film.mp4", "1.heic", "2.heic", "notes.txt", "out/1.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert len(find_sources([tmp_path], out=tmp_path / "out")) == 2
    assert f"images and videos: 2 in {tmp_path}, left out: 2 x .heic (" in caplog.text
