"""Persons held out of the training part: who they are, and that nothing of them is in the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning
from PIL import Image

from autolink_gen.config import DataConfig, PairDataConfig
from autolink_gen.data.held_out import held_out_rows, open_people
from autolink_gen.data.landmarks import LandmarkTable
from autolink_gen.data.source import open_source
from autolink_gen.evaluation.splits import read_held_out
from autolink_gen.training.batches import open_images

PERSONS = ("Dora", "Ada", "Finn", "Cleo", "Ben", "Egon", "Ada", "Finn")


def table_of(*persons: str) -> LandmarkTable:
    files = tuple(f"{number}.png" for number in range(len(persons)))
    points = np.full((len(persons), 1, 2), 0.5)
    return LandmarkTable(files=files, people=persons, points=points, visible=np.ones((len(persons), 1), dtype=bool))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A root with faces68: in its training part picture i has the brightness 20 i and shows `PERSONS[i]`."""
    folder = tmp_path / "faces68" / "train"
    folder.mkdir(parents=True)
    for number in range(len(PERSONS) + 1):  # the last is in no row of the table
        Image.new("RGB", (32, 32), (20 * number,) * 3).save(folder / f"{number}.png")
    rows = [f"{number}.png,{person},0.{number + 1},0.5" for number, person in enumerate(PERSONS)]
    (tmp_path / "faces68" / "landmarks_train.csv").write_text("\n".join(["file,person,x0,y0", *rows]) + "\n")
    return tmp_path


def numbers(pictures: torch.utils.data.Dataset[torch.Tensor]) -> list[int]:
    return [int(pictures[i][0, 0, 0]) // 20 for i in range(len(pictures))]  # type: ignore[arg-type]


def test_every_third_person_by_name_is_held_out() -> None:
    held = held_out_rows(table_of(*PERSONS), 3, table_path=Path("a.csv"))
    assert {name for name, out in zip(PERSONS, held, strict=True) if out} == {"Ada", "Dora"}
    assert held == [name in ("Ada", "Dora") for name in PERSONS], "with all pictures of theirs"
    assert sum(held_out_rows(table_of("b", "a"), 5, table_path=Path("a.csv"))) == 1


def test_both_parts_together_are_the_pictures_that_have_persons(faces: Path) -> None:
    source = open_source("faces68", root=faces)
    assert numbers(open_people(source, every=3, held_out=True, size=32)) == [0, 1, 6]
    assert numbers(open_people(source, every=3, held_out=False, size=32)) == [2, 3, 4, 5, 7]


def test_training_reads_none_of_the_persons_held_out(faces: Path) -> None:
    source = open_source("faces68", root=faces)
    assert numbers(open_images(source, hold_out=3, size=32, fit="crop", seed=0)) == [2, 3, 4, 5, 7]
    assert numbers(open_images(source, hold_out=0, size=32, fit="crop", seed=0)) == [*range(9)]


def test_evaluation_parts_the_table_in_the_same_way(faces: Path) -> None:
    fit, test = read_held_out(open_source("faces68", root=faces), every=3)
    assert [path.name for path in test.paths] == ["0.png", "1.png", "6.png"]
    assert test.table.points[:, 0, 0].tolist() == [0.1, 0.2, 0.7] and set(test.table.people) == {"Dora", "Ada"}
    assert [path.name for path in fit.paths] == ["2.png", "3.png", "4.png", "5.png", "7.png"]
    fit, test = read_held_out(open_source("faces68", root=faces), every=3, fit_limit=2, test_limit=1)
    assert [path.name for path in fit.paths] == ["2.png", "7.png"] and len(test) == 1


@pytest.mark.parametrize(
    ("persons", "every", "things"),
    [
        (("Ada", "Ben"), 1, ("hold_out=1", "2 or more")),
        (("Ada", "", "Ben"), 2, ("a.csv", "person", "1 of 3")),
        (("Ada", "Ada"), 2, ("a.csv", "one person")),
    ],
)
def test_tables_of_which_nobody_can_be_held_out(persons: tuple[str, ...], every: int, things: tuple[str, ...]) -> None:
    with raises_mentioning(ValueError, *things):
        held_out_rows(table_of(*persons), every, table_path=Path("a.csv"))


@pytest.mark.parametrize("data", ["puppets", "faces68+faces68", "plain"])
def test_sets_without_persons_are_refused(data: str, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faces)
    Path("plain").mkdir()
    Image.new("RGB", (32, 32)).save("plain/1.png")
    with pytest.raises(ValueError, match=r"hold_out leaves people out, and .*(plain|puppets|faces68)"):
        open_people(open_source(data, root=faces), every=3, held_out=True, size=32)


def test_settings_that_hold_out_nothing_useful_are_refused(faces: Path) -> None:
    for wrong in (1, -5):
        with raises_mentioning(ValueError, "hold_out", "0, or 2 or more", wrong):
            DataConfig(hold_out=wrong)
    with raises_mentioning(ValueError, "hold_out", "clips"):
        PairDataConfig(hold_out=5)
    with pytest.raises(ValueError, match="which have no classes"):
        open_people(open_source("faces68", root=faces, classes=("cat",)), every=3, held_out=True, size=32)
