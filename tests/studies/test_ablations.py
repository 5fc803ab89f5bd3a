"""The paper's ablations: settings that exist, and tables in the paper's form."""

import pytest

from autolink_gen.config import GraphRunConfig, build
from autolink_gen.recipes import merge, read_recipe
from autolink_gen.studies.ablations import ABLATIONS, Ablation, Cell
from autolink_gen.studies.tables import markdown_table, summarise


@pytest.mark.parametrize("recipe", ["cpu", "gpu", "puppets", "paper", "official"])
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_cell_is_a_configuration_of_its_own(name, recipe):
    cells = ABLATIONS[name].cells
    configs = [build(GraphRunConfig, merge(read_recipe("graph", recipe), dict(cell.settings))) for cell in cells]
    assert len(set(map(repr, configs))) == len(cells)
    assert len({cell.label for cell in cells}) == len(cells)


def test_labels_are_names_of_folders():
    assert Cell("a channel an edge", "", {}).label == "a-channel-an-edge"
    assert Cell("8", "0.0025", {}).label == "8-0.0025"


SMALL = Ablation("Title", "keypoints", "sigma2", (Cell("4", "0.1", {}), Cell("4", "0.2", {}), Cell("8", "0.1", {})))


def test_a_table_of_rows_by_columns():
    table = markdown_table(SMALL, {"4-0.1": (1.234, 0.0), "8-0.1": (float("nan"), 0.0)}, score="NME, %", seeds=1)
    assert table.splitlines() == [
        "Title: NME, %",
        "",
        "| keypoints | sigma2 0.1 | sigma2 0.2 |",
        "|---|---|---|",
        "| 4 | 1.23 | - |",
        "| 8 | - | - |",
    ]


def test_a_table_of_variants_over_seeds():
    few = Ablation("Title", "variant", "", (Cell("one", "", {}), Cell("two", "", {})))
    scores = summarise({"one": [1.0, 3.0], "two": []})
    assert scores == {"one": (2.0, 1.0)}
    table = markdown_table(few, scores, score="NME, %", seeds=2)
    assert "Title: NME, %, mean ± deviation over 2 seeds" in table
    assert table.endswith("| variant | NME, % |\n|---|---|\n| one | 2.00 ± 1.00 |\n| two | - |\n")
