"""What `detect` has found in images is kept while it works: a repeated command goes on, and the files are the same."""

import errno
import os
from pathlib import Path

import pytest
from helpers.detecting import names_in, save_picture
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.pose_run import LEAST, NUM_KEYPOINTS, StopAfter, detect, save_films

from autolink_gen.inference import pose_journal

FORMATS = ("csv", "json", "coco", "dlc")
COUNT = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        save_picture(tmp_path / "in" / f"{'x' * (number + 1)}.png")
    return tmp_path / "in"


def stop(folder: Path, out: Path, *, after: int, **options: object) -> Path:
    """The journal of a command that is stopped after so many images."""
    with pytest.raises(KeyboardInterrupt):
        detect(folder, out, *FORMATS, progress=StopAfter(after), batch_size=2, min_likelihood=LEAST, **options)
    return out / "keypoints.unfinished.jsonl"


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in names_in(out)}


@pytest.mark.parametrize("cut_line", [False, True])
def test_a_repeated_command_goes_on_and_writes_the_same(folder: Path, tmp_path: Path, *, cut_line: bool) -> None:
    straight, out = tmp_path / "straight", tmp_path / "out"
    detect(folder, straight, *FORMATS, batch_size=2, min_likelihood=LEAST, overlays=True)
    nulls = (straight / "keypoints.json").read_bytes().count(b"null")
    assert COUNT < nulls < COUNT * (NUM_KEYPOINTS + 1), "the times, and some of the points"
    journal = stop(folder, out, after=4, overlays=True)
    assert names_in(out) == {journal.name, *(f"{'x' * (number + 1)}.png" for number in range(4))}
    if cut_line:  # as a kill leaves it
        journal.write_bytes(journal.read_bytes()[:-30])
    report = detect(folder, out, *FORMATS, batch_size=2, min_likelihood=LEAST, overlays=True)
    assert len(report.resumed) == (3 if cut_line else 4)
    assert (report.num_records, report.num_overlays) == (COUNT, COUNT - 4)
    assert contents(out) == contents(straight)
    again = detect(folder, out, *FORMATS, min_likelihood=LEAST, overlays=True)
    assert len(again.finished) == COUNT and not again.resumed and not again.tables


def test_images_are_written_before_the_first_video(folder: Path, tmp_path: Path) -> None:
    save_films(folder, 1)
    with pytest.raises(KeyboardInterrupt):
        detect(folder, tmp_path / "out", "csv", progress=StopAfter(COUNT + 2))
    assert names_in(tmp_path / "out") == {"keypoints.csv"}


def test_points_that_were_all_found_become_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the work ended between the last image and the files."""
    journal = stop(folder, tmp_path / "out", after=COUNT)
    monkeypatch.setattr("autolink_gen.inference.file_detector.read_image_files", lambda files, **_: iter(list(files)))
    report = detect(folder, tmp_path / "out", *FORMATS, min_likelihood=LEAST)
    assert len(report.resumed) == COUNT == report.num_records and not journal.exists()


def test_what_is_not_of_the_same_command_is_refused_and_kept(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal = stop(folder, out, after=4)
    before = journal.read_bytes()
    with raises_mentioning(ValueError, journal, "options", "--overwrite"):
        detect(folder, out, *FORMATS, min_likelihood=0.5)
    with raises_mentioning(ValueError, journal, "3 images", folder / "xx.png", "--overwrite"):
        detect(folder / "x.png", out, *FORMATS, min_likelihood=LEAST)
    assert journal.read_bytes() == before
    for damage in (b"mine", before[:-20] + b"\n", before.replace(b'"points": [[', b'"points": [[1, ')):
        journal.write_bytes(damage)
        with raises_mentioning(ValueError, journal, "--out"):
            detect(folder, out, *FORMATS, min_likelihood=LEAST)
        assert journal.read_bytes() == damage
    journal.unlink()
    journal.symlink_to(tmp_path / "elsewhere")
    with raises_mentioning(ValueError, journal):
        detect(folder, out, *FORMATS, min_likelihood=LEAST)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_new_images_beside_finished_files_are_told_of(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    detect(folder, tmp_path / "out", form)
    assert not detect(folder, tmp_path / "out", form).num_records and "lack" not in caplog.text
    new = save_picture(folder / "new.png")
    detect(folder, tmp_path / "out", form)
    assert_line_mentions(caplog.text, "1 image", new, "--overwrite")


def test_overwrite_begins_anew(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal = stop(folder, out, after=4)
    stop(folder, out, after=1, overwrite=True)
    assert journal.read_bytes().count(b"\n") == 1 + 1
    report = detect(folder, out, "csv", overwrite=True)
    assert not report.resumed and names_in(out) == {"keypoints.csv"}


def test_a_full_disk_leaves_whole_lines(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, written = pose_journal._write, []

    def write(file, content):
        written.append(content)
        if len(written) > 3:
            plain(file, content[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(file, content)

    monkeypatch.setattr(pose_journal, "_write", write)
    with raises_mentioning(OSError, "keypoints.unfinished.jsonl", "No space left", "free some space"):
        detect(folder, tmp_path / "out", "csv")
    assert (tmp_path / "out" / "keypoints.unfinished.jsonl").read_bytes() == b"".join(written[:3])
    monkeypatch.undo()
    assert len(detect(folder, tmp_path / "out", "csv").resumed) == 2
