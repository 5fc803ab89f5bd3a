"""Which files below a folder are found, and in which order."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autolink_gen.data.folders import list_images, natural_key
from autolink_gen.data.video.clips import list_clips
from autolink_gen.data.video.stream import FrameStream


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png", "11.png", "12.png"],
        ["frame_9_final.png", "frame_10_draft.png", "frame_100.png"],
        ["shot2/9.png", "shot2/10.png", "shot10/1.png"],
        ["01/1.png", "01/2.png", "1/1.png", "1/2.png"],  # two folders, not one
        ["a.png", "a1.png", "a01b.png", "a1b.png", "b.png"],
        ["٢.png", "10.png", "١٢.png"],  # digits of another script: 2 and 12
        ["x²1.png", "x³0.png"],  # powers are text
        ["0001.png", "0002.png", "0010.png"],
    ],
)
def test_paths_are_sorted_as_a_person_counts(names: list[str]) -> None:
    paths = [Path(name) for name in names]
    for seed in range(3):
        assert sorted(random.Random(seed).sample(paths, len(paths)), key=natural_key) == paths


def test_a_number_may_have_any_length() -> None:
    one, more = "1" * 200_000, "1" * 199_999 + "2"
    assert sorted([f"{more}.png", f"{one}.png"], key=natural_key) == [f"{one}.png", f"{more}.png"]
    assert natural_key("1.png") != natural_key("01.png")


def write_grey(folder: Path, levels: range) -> None:
    folder.mkdir(parents=True)
    for level in levels:
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(folder / f"{level}.png")


def test_frames_play_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_grey(tmp_path / "take", range(1, 13))
    (clip,) = list_clips(tmp_path)
    assert [frame[0, 0, 0] for _, frame in clip.read(range(12), min_side=8)] == [*range(1, 13)]
    assert [frame.pixels[0, 0, 0] for frame in FrameStream(tmp_path / "take")] == [*range(1, 13)]


def test_pictures_to_train_on_keep_the_order_that_runs_have_drawn_from(tmp_path: Path) -> None:
    write_grey(tmp_path / "take", range(9, 12))
    assert [path.name for path in list_images(tmp_path)] == ["10.png", "11.png", "9.png"]


def test_names_of_padded_numbers_keep_their_plain_order() -> None:
    marks = ["", "-", ".", "_", "a", "Z", "~"]
    names = [f"{mark}{number}{end}" for mark in marks for number in ("001", "020", "300") for end in (*marks, ".b7")]
    assert sorted(map(Path, names), key=natural_key) == sorted(map(Path, names))
