import os
import shlex
import shutil
import subprocess

import pytest

from autolink_gen.common.text import from_cell, printable, shown, to_cell, typed, unicode_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vögel/bird 1.jpg", "vögel/bird 1.jpg"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("two\nlines\t", r"two\nlines\t"),
        ("gpj.\u202etxt", r"gpj.\u202etxt"),
        ("\udcff.jpg", r"\udcff.jpg"),
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).isprintable()


def test_what_is_to_be_kept_is_kept() -> None:
    assert printable("one\n\x07two", keep="\n") == "one\n\\x07two"


def test_a_value_is_cut() -> None:
    nested: list = [[] for _ in range(10**5)]
    for _ in range(200):
        nested = [nested, nested]
    for value in (nested, "x" * 10**6, 10**1000, 10**5000, {"a": [10**5000]}, {"a": nested}):
        assert len(shown(value)) <= 200
    assert shown(3.5) == "3.5"


@pytest.mark.parametrize("name", ["=1+2.jpg", "+a", "-b", "@sum(1)", "bird.jpg", "'quoted.jpg", "'=1", ""])
def test_a_cell_is_no_formula_and_reads_back(name: str) -> None:
    assert not to_cell(name).startswith(("=", "+", "-", "@"))
    assert from_cell(to_cell(name)) == name


@pytest.mark.parametrize("name", ["a b;touch x.mp4", "$(touch x).png", "`x`.png", "-y.mp4", "it's.jpg", "a/bird.jpg"])
def test_a_name_that_is_pasted_into_a_shell_is_one_word(name: str) -> None:
    (word,) = shlex.split(typed(name))
    assert word.removeprefix("./") == name and not word.startswith("-")
    assert (
        subprocess.run(["sh", "-c", f"printf %s {typed(name)}"], capture_output=True, check=True).stdout
        == word.encode()
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="the form that is tested is one of bash")
@pytest.mark.parametrize(
    "name", ["a\x1b[2J'b\\.png", "new\nline7.jpg", "gpj.\u202etxt", os.fsdecode(b"caf\xe9 1.mp4"), "-\t"]
)
def test_a_name_that_would_control_the_terminal_is_pasted_as_it_is(name: str) -> None:
    assert typed(name).isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {typed(name)}"], capture_output=True, check=True)
    assert done.stdout.removeprefix(b"./") == os.fsencode(name)


def test_what_is_no_unicode_is_escaped_and_the_rest_stays() -> None:
    assert unicode_text("vögel\t\udcff.jpg") == "vögel\t\\udcff.jpg"
