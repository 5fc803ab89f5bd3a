import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import raises_mentioning

from autolink_gen.common.text import from_cell, printable
from autolink_gen.inference import keypoint_files
from autolink_gen.inference.detect import Detection, SourceImage
from autolink_gen.inference.keypoint_files import KeypointFiles

WEIGHTS = np.array([[0.0, 0.5, 0.1], [0.5, 0.0, 2.0], [0.1, 2.0, 0.0]])


def _found(file: str, *, frame: int = 0, time_s: float | None = None) -> Detection:
    source = SourceImage(Path(file), frame, time_s, np.zeros((6, 8, 3), np.uint8))
    return Detection(source, np.array([[0.0, 5.0], [1.23456, 2.0], [-1.5, 7.0 + frame]]))


def _read(folder: Path) -> tuple[list[dict[str, str]], dict]:
    with (folder / "keypoints.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((folder / "keypoints.json").read_text())


def test_csv_and_json_hold_the_same(tmp_path: Path) -> None:
    with KeypointFiles(tmp_path, model_name='a "run"', edge_weights=WEIGHTS) as files:
        files.add(_found("a, b/ä.jpg"))
        files.add(_found("film.mp4", frame=3, time_s=0.12))
        files.skip(Path("bad.jpg"), "torn")
    rows, data = _read(tmp_path)
    assert list(rows[0]) == ["file", "frame", "time_s", "width_px", "height_px"] + [
        f"{axis}{k}_px" for k in range(3) for axis in "xy"
    ]
    assert rows[0] == {
        "file": "a, b/ä.jpg", "frame": "0", "time_s": "", "width_px": "8", "height_px": "6",
        "x0_px": "0.0", "y0_px": "5.0", "x1_px": "1.235", "y1_px": "2.0", "x2_px": "-1.5", "y2_px": "7.0",
    }  # fmt: skip
    assert (rows[1]["frame"], rows[1]["time_s"], rows[1]["y2_px"]) == ("3", "0.12", "10.0")
    assert data["pictures"][1] == {
        "file": "film.mp4", "frame": 3, "time_s": 0.12, "width_px": 8, "height_px": 6,
        "keypoints_px": [[0.0, 5.0], [1.235, 2.0], [-1.5, 10.0]],
    }  # fmt: skip
    assert (data["model"], data["num_keypoints"]) == ('a "run"', 3)
    assert data["edges"] == [
        {"keypoints": [1, 2], "weight": 2.0},
        {"keypoints": [0, 1], "weight": 0.5},
        {"keypoints": [0, 2], "weight": 0.1},
    ]
    assert data["skipped"] == [{"file": "bad.jpg", "reason": "torn"}]


def test_records_of_a_damaged_film_are_taken_back(tmp_path: Path) -> None:
    with KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS) as files:
        files.begin_file()
        files.add(_found("bad1.mp4"))
        files.take_back()
        files.add(_found("good.jpg"))
        files.begin_file()
        for frame in range(100):
            files.add(_found("bad2.mp4", frame=frame, time_s=frame / 25))
        files.take_back()
        files.begin_file()
        files.add(_found("good.mp4", time_s=0.0))
    rows, data = _read(tmp_path)
    assert files.num_records == 2
    assert [row["file"] for row in rows] == ["good.jpg", "good.mp4"]
    assert [picture["file"] for picture in data["pictures"]] == ["good.jpg", "good.mp4"]
    assert data["skipped"] == []


def test_files_without_records_are_valid(tmp_path: Path) -> None:
    with KeypointFiles(tmp_path / "new", model_name="run", edge_weights=WEIGHTS):
        pass
    rows, data = _read(tmp_path / "new")
    assert (rows, data["pictures"]) == ([], [])


def test_an_error_leaves_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    for name in ("keypoints.csv", "keypoints.json"):
        (tmp_path / name).write_text("old")

    def fail() -> None:
        with KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS) as files:
            files.begin_file()
            files.add(_found("half of a film.mp4"))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "keypoints.csv": "old",
        "keypoints.json": "old",
    }


def test_keypoints_that_are_left_out_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    with KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS, dropped=[1]) as files:
        files.add(_found("a.jpg"))
    rows, data = _read(tmp_path)
    assert list(rows[0])[5:] == ["x0_px", "y0_px", "x2_px", "y2_px"]
    assert list(rows[0].values())[5:] == ["0.0", "5.0", "-1.5", "7.0"]
    assert data["pictures"][0]["keypoints_px"] == [[0.0, 5.0], None, [-1.5, 7.0]]
    assert data["edges"] == [{"keypoints": [0, 2], "weight": 0.1}]
    assert (data["num_keypoints"], data["dropped"]) == (3, [1])


HARMFUL = [
    "\x1b[31mred.jpg",
    "=cmd|x.jpg",
    "a\nb.png",
    "\u202egpj.exe.png",
    "-1.jpg",
    "@a.jpg",
    "'=b.jpg",
    "\udcff.jpg",
]


def test_names_are_escaped_in_the_csv_and_exact_in_the_json(tmp_path: Path) -> None:
    names = ("=left", "\x1b[2Jright")
    exact = [r"\udcff.jpg" if name == "\udcff.jpg" else name for name in HARMFUL]  # no JSON holds what is no Unicode
    with KeypointFiles(tmp_path, model_name="\udcff", edge_weights=WEIGHTS, landmark_names=names) as files:
        for name in HARMFUL:
            files.add(_found(name), np.full((2, 2), -0.5))
        files.skip(Path("\udcff.png"), "\x1b[31m")
    rows, data = _read(tmp_path)
    assert [record["file"] for record in data["pictures"]] == exact
    assert "\\\\udcff" in (tmp_path / "keypoints.json").read_text()
    assert list(data["pictures"][0]["landmarks_px"]) == list(names)
    assert data["skipped"] == [{"file": r"\udcff.png", "reason": "\x1b[31m"}] and data["model"] == r"\udcff"
    text = (tmp_path / "keypoints.csv").read_bytes().decode()
    assert len(text.splitlines()) == len(HARMFUL) + 1
    assert all(line.isprintable() for line in text.splitlines())
    assert [from_cell(row["file"]) for row in rows] == [printable(name) for name in HARMFUL]
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in (*row, *row.values()))
    assert rows[0]["file"] == r"\x1b[31mred.jpg" and rows[1]["file"] == "'=cmd|x.jpg"
    assert {rows[0]["x2_px"], rows[0]["'=left_x_px"]} == {"-1.5", "-0.5"}, "numbers stay numbers"


def _add_file(files: KeypointFiles, name: str, *, frames: int = 1) -> None:
    files.begin_file()
    for frame in range(frames):
        files.add(_found(name, frame=frame))
    files.end_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_end_that_comes_early_keeps_the_files_that_were_finished(tmp_path: Path, error: type) -> None:
    files = KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS)
    with pytest.raises(error), files:
        for number in range(3):
            _add_file(files, f"{number}.jpg")
        files.skip(Path("bad.jpg"), "torn")
        files.begin_file()
        files.add(_found("half.mp4"))
        raise error
    rows, data = _read(tmp_path)
    assert [row["file"] for row in rows] == [one["file"] for one in data["pictures"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert data["unfinished"] is True and data["skipped"] == [{"file": "bad.jpg", "reason": "torn"}]
    assert (files.num_kept, len(list(tmp_path.iterdir()))) == (3, 2)


def test_a_kill_leaves_whole_tables_of_the_files_that_were_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the folder after each file is what a kill would leave."""
    monkeypatch.setattr(keypoint_files, "_PAUSE_S", 0)
    monkeypatch.setattr(keypoint_files, "_TIMES", 0)
    with KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS) as files:
        for number in range(1, 4):
            _add_file(files, f"{number}.mp4", frames=5)
            files.begin_file()
            for frame in range(400 * number):
                files.add(_found("bad.mp4", frame=frame))
            rows, data = _read(tmp_path)
            assert [row["file"] for row in rows] == [f"{one}.mp4" for one in range(1, number + 1) for _ in range(5)]
            assert len(data["pictures"]) == 5 * number and data["unfinished"] is True
            files.take_back()
    rows, data = _read(tmp_path)
    assert (len(rows), len(data["pictures"]), "unfinished" in data) == (15, 15, False)


def test_tables_are_written_at_growing_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, seen = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    files = KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS)
    plain = files._publish

    def publish() -> None:
        seen.append(now[0])
        now[0] += len(seen)  # a larger table takes longer
        plain()

    monkeypatch.setattr(files, "_publish", publish)
    with files:
        for number in range(40):
            _add_file(files, f"{number}.jpg")
            now[0] += 2.0
    assert seen == [0.0, 21.0, 63.0]


@pytest.mark.parametrize("refused", ["keypoints.csv", "keypoints.json"])
def test_a_full_disk_is_named_and_what_was_finished_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    plain, full = keypoint_files._write, [False]

    def write(file, content: memoryview) -> int:
        if full[0] and refused in os.fsdecode(file.name) and len(content) > 100:
            plain(file, content[:50])  # some of it fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(file, content)

    monkeypatch.setattr(keypoint_files, "_write", write)
    files = KeypointFiles(tmp_path, model_name="run", edge_weights=WEIGHTS)
    with raises_mentioning(OSError, refused, "No space left on device", "free some space"), files:
        _add_file(files, "a.jpg")
        _add_file(files, "b.jpg")
        full[0] = True
        _add_file(files, "film.mp4", frames=9)
    rows, data = _read(tmp_path)
    assert [row["file"] for row in rows] == [one["file"] for one in data["pictures"]] == ["a.jpg", "b.jpg"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["keypoints.csv", "keypoints.json"]


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, content: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(keypoint_files, "_write", refuse)
    monkeypatch.setattr(keypoint_files, "_CHUNK_BYTES", 10)
    with pytest.raises(OSError, match="No space left"):
        KeypointFiles(tmp_path / "new", model_name="run", edge_weights=WEIGHTS)
    assert list(tmp_path.iterdir()) == []
