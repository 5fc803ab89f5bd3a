"""How runs are known again that several processes divide among them."""

from dataclasses import replace
from pathlib import Path

import pytest

from autolink_gen.config import DataConfig, EdgesConfig, GraphRunConfig, ViewsConfig
from autolink_gen.models.autolink import AutoLinkConfig
from autolink_gen.studies.graph_runs import GraphJob

OLD = GraphRunConfig()


def test_runs_done_before_settings_were_added_are_known_again():
    assert GraphJob("a", OLD).key(None) == "a 3b3e3af3"
    assert GraphJob("a", OLD).key(2.0) == "a a570b7f5"


@pytest.mark.parametrize(
    "change",
    [
        {"data": DataConfig(hold_out=5)},
        {"model": AutoLinkConfig(detector="features")},
        {"views": ViewsConfig(recolour=0.5)},
        {"edges": EdgesConfig(dropout=0.3)},
    ],
)
def test_added_settings_make_another_run(change):
    assert GraphJob("a", replace(OLD, **change)).key(None) != GraphJob("a", OLD).key(None)


def test_place_of_the_data_does_not_count():
    moved = replace(OLD, data=replace(OLD.data, root=Path("elsewhere")))
    assert GraphJob("a", moved).key(None) == GraphJob("a", OLD).key(None)
