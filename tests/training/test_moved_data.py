"""A run goes on with its data wherever they lie, and is not mixed with others; no secret of an address is kept."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.messages import assert_line_mentions, raises_mentioning
from PIL import Image

from autolink_gen.common.cache import CACHE_VARIABLE
from autolink_gen.config import GraphRunConfig, build, to_yaml
from autolink_gen.data.shards.download import cached_path
from autolink_gen.studies.seeds import check_kept
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.run_data import DATA_NAME, read_record

SECRET = "5ec3e7c0de"


def write_pictures(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 64)).save(folder / f"{number}.png")


def tiny(data: Path | str, *, steps: int = 2) -> GraphRunConfig:
    return build(
        GraphRunConfig,
        {
            "model": {"num_keypoints": 3, "image_size": 64, "width": 0.05, "sigma2": 1e-2},
            "data": {"name": str(data)},
            "perceptual": {"features": "random", "distance": "l1"},
            "training": {"steps": steps, "batch_size": 2, "save_every": 1, "grid_every": 10},
        },
    )


def launch(folder: Path) -> Launch:
    return Launch(folder=folder, devices=1, progress=False)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step on four pictures, `run`, its data, `photos`, and the same run after its second step."""
    place = tmp_path_factory.mktemp("first")
    write_pictures(place / "photos", *range(4))
    train_graph(tiny(place / "photos", steps=1), launch(place / "run"))
    shutil.copytree(place / "run", place / "whole")
    train_graph(tiny(place / "photos"), launch(place / "whole"))
    return place


@pytest.fixture
def moved(first: Path, tmp_path: Path) -> Path:
    """The run and its data on another machine."""
    shutil.copytree(first / "run", tmp_path / "run")
    shutil.copytree(first / "photos", tmp_path / "pics")
    return tmp_path


def test_the_same_data_in_another_place_go_on_bit_equal(first, moved, caplog):
    run = train_graph(tiny(moved / "pics"), launch(moved / "run"))
    assert (run.first_step, run.progress.step) == (1, 2)
    weights = [(place / "model.safetensors").read_bytes() for place in (moved / "run", first / "whole")]
    assert weights[0] == weights[1]
    assert yaml.safe_load((moved / "run" / "config.yaml").read_text())["data"]["name"] == str(moved / "pics")
    assert "have changed" not in caplog.text


def test_other_data_in_another_place_are_other_settings(first, moved):
    write_pictures(moved / "pics", 7)
    before = (moved / "run" / "config.yaml").read_bytes()
    with raises_mentioning(
        ValueError,
        "data.name",
        first / "photos",
        ("4 pictures", "4 images"),
        moved / "pics",
        ("5 pictures", "5 images"),
    ):
        train_graph(tiny(moved / "pics"), launch(moved / "run"))
    (moved / "pics" / "0.png").unlink()
    with raises_mentioning(ValueError, ("4 pictures", "4 images"), "names", "sizes"):
        train_graph(tiny(moved / "pics"), launch(moved / "run"))
    assert (moved / "run" / "config.yaml").read_bytes() == before
    with pytest.raises(ValueError, match=r"data\.name was .*now puppets"):
        train_graph(tiny("puppets"), launch(moved / "run"))


@pytest.mark.parametrize(("removed", "added", "told"), [
    ([], [8, 9], ("2 more", 6, 4)), ([0], [], ("1 fewer", 3, 4)),
    ([0], [8], ("names", "sizes", 4)),
])  # fmt: skip
def test_data_that_changed_in_their_place_are_told_of(first, moved, caplog, removed, added, told):
    config = moved / "run" / "config.yaml"
    config.write_text(config.read_text().replace(f"{first}/photos", f"{moved}/pics"))
    write_pictures(moved / "pics", *added)
    for number in removed:
        (moved / "pics" / f"{number}.png").unlink()
    assert train_graph(tiny(moved / "pics"), launch(moved / "run")).first_step == 1
    assert_line_mentions(caplog.messages, moved / "pics", "changed", *told)
    assert read_record(moved / "run").count == 4 + len(added) - len(removed), "told of once"


def test_a_run_of_old_gets_a_record_and_goes_on_where_its_data_can_be_compared(first, moved):
    record = read_record(moved / "run")
    (moved / "run" / DATA_NAME).unlink()
    train_graph(tiny(moved / "pics"), launch(moved / "run"))  # for the data are in the old place, too
    assert read_record(moved / "run") == record and record.count == 4


def test_a_run_of_old_whose_data_are_gone_is_not_guessed_at(first, moved):
    (moved / "run" / DATA_NAME).unlink()
    config, gone = moved / "run" / "config.yaml", moved / "gone"
    config.write_text(config.read_text().replace(f"{first}/photos", str(gone)))
    with raises_mentioning(ValueError, "data.name", gone, f"{moved}/pics", "link"):
        train_graph(tiny(moved / "pics"), launch(moved / "run"))
    gone.symlink_to(moved / "pics")
    assert train_graph(tiny(moved / "pics"), launch(moved / "run")).progress.step == 2


def test_the_best_of_several_seeds_is_known_with_its_data_elsewhere(first, moved):
    (moved / "run" / "seeds.json").write_text('[{"seed": 0, "loss": 1}]')
    check_kept(moved / "run", tiny(moved / "pics", steps=1), [0])
    write_pictures(moved / "pics", 7)
    with pytest.raises(ValueError, match=r"data\.name was"):
        check_kept(moved / "run", tiny(moved / "pics", steps=1), [0])


def test_a_renewed_signature_goes_on_and_no_signature_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_pictures(tmp_path / "pics", 0, 1, 2)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for path in sorted((tmp_path / "pics").iterdir()):
            file.add(path, path.name)
    addresses = [f"https://host/p.tar?X-Amz-Signature={SECRET}{end}&X-Amz-Expires=60" for end in ("0", "1")]
    for address in addresses:
        cached_path(address).parent.mkdir(parents=True, exist_ok=True)
        cached_path(address).write_bytes(tar.getvalue())
    folder = tmp_path / "run"
    train_graph(tiny(addresses[0], steps=1), launch(folder))
    assert train_graph(tiny(addresses[1]), launch(folder)).first_step == 1
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["name"] == "https://host/p.tar"
    assert SECRET not in to_yaml(tiny(f"puppets+{addresses[0]}")) + caplog.text
    kept = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []
    (folder / "config.yaml").write_text(to_yaml(tiny("puppets")).replace("puppets", addresses[0]))  # as of old
    train_graph(tiny(addresses[1]), launch(folder))
    assert SECRET not in (folder / "config.yaml").read_text()
