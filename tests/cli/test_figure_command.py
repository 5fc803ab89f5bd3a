"""`autolink-gen figure grid`: the graph on pictures chosen by lot, and how it refuses what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers.messages import assert_line_mentions, assert_mentions, one_line
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import save_model
from autolink_gen.cli.main import cli
from autolink_gen.models.autolink import AutoLink


def figure(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["figure", "grid", *map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run of five keypoints and three dark pictures."""
    monkeypatch.chdir(tmp_path)
    graph = tiny_graph(5)
    save_model(tmp_path / "runs/graph/tiny/model.safetensors", graph)
    (tmp_path / "dark").mkdir()
    for index in range(3):
        Image.new("RGB", (90, 70), (10 * index, 0, 40)).save(tmp_path / "dark" / f"{index}.png")
    return tmp_path


def test_a_grid_of_overlays(home: Path) -> None:
    result = figure("tiny", "--data", "dark", "--rows", 2, "--cols", 2, "--size", 64, "--no-points")
    assert result.exit_code == 0, result.output
    assert "wrote runs/graph/tiny/figure.png: the graph on 3 images of dark\n" in result.output
    picture = np.asarray(Image.open("runs/graph/tiny/figure.png"))
    assert picture.shape == (2 * 66 + 2, 2 * 66 + 2, 3)
    first = picture[2:66, 2:66]
    assert (first >= 250).all(axis=-1).any(), "the heaviest edge is white"
    assert (first[..., 2] < 60).any(), "and the picture is seen beside it"


def test_points_thickness_and_lots(home: Path) -> None:
    shared = ("tiny", "--data", "dark", "--rows", 1, "--cols", 2, "--size", 64)
    pictures = {}
    for name, more in {
        "plain": (),
        "again": (),
        "other": ("--seed", 1),
        "bare": ("--no-points",),
        "thick": ("--sigma2", 5e-2, "--no-points"),
        "offset": ("--offset", 0.5, "--no-points"),
    }.items():
        assert figure(*shared, *more, "--out", f"{name}.png").exit_code == 0
        pictures[name] = np.asarray(Image.open(f"{name}.png")).astype(int)
    assert np.array_equal(pictures["plain"], pictures["again"])
    assert not np.array_equal(pictures["plain"], pictures["other"])
    assert not np.array_equal(pictures["plain"], pictures["bare"])
    assert pictures["thick"].mean() > pictures["bare"].mean()
    assert pictures["offset"].mean() > pictures["bare"].mean()


@pytest.mark.parametrize(
    ("arguments", "things"),
    [
        (("--rows", "0"), ("--rows", 0, "range")),
        (("--rows", "100", "--cols", "100"), ("more than 2000",)),
        (("--out", "figure.pdf"), ("figure.pdf", ".png", ".jpg")),
        (("gone", "--data", "dark"), ("no run gone",)),
        ((), ("weights", "--data")),
    ],
)
def test_mistakes_get_one_line(home: Path, arguments: tuple[str, ...], things: tuple) -> None:
    result = figure(*arguments)
    assert result.exit_code in (1, 2)
    assert_mentions(one_line(result, exit_code=result.exit_code), *things)


@pytest.mark.parametrize("out", [(), ("--out", "mine.jpg")])
def test_a_figure_that_is_there_stays(home: Path, monkeypatch: pytest.MonkeyPatch, out: tuple[str, ...]) -> None:
    given = ("tiny", "--data", "dark", "--rows", 1, "--cols", 1, "--size", 32, *out)
    file = Path(out[-1]) if out else Path("runs/graph/tiny/figure.png")
    file.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(AutoLink, "detect", lambda *_: pytest.fail("it was begun"))
        result = figure(*given)
    assert (result.exit_code, file.read_text()) == (1, "mine")
    assert_line_mentions(result, file, "already", "--out", "--overwrite")
    assert figure(*given, "--overwrite").exit_code == 0 and Image.open(file).size == (36, 36)
