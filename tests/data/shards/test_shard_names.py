"""What names of shards stand for: braces, * and ?, folders, addresses."""

from pathlib import Path

import pytest
from helpers.messages import raises_mentioning
from helpers.tar_files import numbered, write_tar

from autolink_gen.data.shards.names import absolute_name, expand_braces, is_shards, list_shards, shards_label


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("a-{9..11}.tar", ["a-9.tar", "a-10.tar", "a-11.tar"]),
        ("a-{000..1}.tar", ["a-000.tar", "a-001.tar"]),
        ("a-{2..1}.tar", ["a-2.tar", "a-1.tar"]),
        ("{x,y}/{0..1}.tar", ["x/0.tar", "x/1.tar", "y/0.tar", "y/1.tar"]),
        ("{a}.tar", ["{a}.tar"]),
    ],
)
def test_braces_are_a_shells(text: str, names: list[str]) -> None:
    assert expand_braces(text) == names


def test_braces_without_an_end_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="more than 100,000 shards; name fewer"):
        expand_braces("{0..999999999}/{0..999999999}.tar")


def test_missing_shards_are_counted_and_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "s-1.tar", numbered(0, 0))

    with pytest.raises(ValueError, match=rf"5 of 6 shards are missing \({tmp_path}/s-0.tar, .*s-2.*s-3.tar, \.\.\.\)"):
        list_shards(f"{tmp_path}/s-{{0..5}}.tar")
    with pytest.raises(ValueError, match=rf"the shard is missing \({tmp_path}/t-\*\.tar\); check the spelling"):
        list_shards(f"{tmp_path}/t-*.tar")
    with pytest.raises(ValueError, match="the shard is missing"):
        list_shards(tmp_path / "none" / "s.tar")


def test_what_is_called_just_so_goes_before_patterns(tmp_path: Path) -> None:
    for name in ("s-{0..1}.tar", "s-[0].tar", "s-0.tar", "s-1.tar"):
        write_tar(tmp_path / name, numbered(0, 0))

    for name in ("s-{0..1}.tar", "s-[0].tar"):
        assert list_shards(tmp_path / name) == [str(tmp_path / name)]
    assert list_shards(f"{tmp_path}/s-?.tar") == [f"{tmp_path}/s-0.tar", f"{tmp_path}/s-1.tar"]


def test_a_folders_shards_are_those_in_it_that_are_not_hidden(tmp_path: Path) -> None:
    for name in ("b.tar", "A.TAR", ".c.tar", "d/e.tar", "notes.txt"):
        write_tar(tmp_path / name, numbered(0, 0))

    assert list_shards(tmp_path) == [str(tmp_path / "A.TAR"), str(tmp_path / "b.tar")]
    assert is_shards(tmp_path) and not is_shards(str(tmp_path))


@pytest.mark.parametrize(
    ("data", "things"),
    [
        ("s3://bucket/a.tar", ("http", "https", "s3", "copy")),
        ("https://a/s-*.tar", ("address", "pics-{000..009}.tar")),
    ],
)
def test_addresses_that_cannot_be(data: str, things: tuple[str, ...]) -> None:
    with raises_mentioning(ValueError, *things):
        list_shards(data)


def test_addresses_have_braces_too() -> None:
    assert list_shards("https://a/b?c={0..1}") == ["https://a/b?c=0", "https://a/b?c=1"]


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ("/birds/pics-{000..003}.tar", ["birds", "pics"]),
        ("/birds/pics-0.tar.gz", ["birds", "pics-0"]),
        ("https://a.b/my birds/pics_*.tar?key=a/b", ["my-birds", "pics"]),
        ("https://a.b/{0..3}.tar", ["shards"]),
    ],
)
def test_labels_are_names_of_files(data: str, label: list[str]) -> None:
    assert shards_label(data) == label


def test_absolute_names_hold_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_name("../a/s-{0..1}.tar") == str(tmp_path.resolve().parent / "a" / "s-{0..1}.tar")
    assert absolute_name("https://a/s.tar") == "https://a/s.tar"
