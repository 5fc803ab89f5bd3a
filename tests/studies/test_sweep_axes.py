"""The values that a sweep tries: lists, ranges, and what is a list itself."""

import pytest

from autolink_gen.studies.search import Choice, Range, read_range
from autolink_gen.studies.sweep_axes import Axis, axes_of, split_settings


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-4, 1e-3", ("1e-4", "1e-3")),
        ("0,0.3", (0, 0.3)),
        ("true,false,null", (True, False, None)),
        ("[a,b],[c]", (["a", "b"], ["c"])),
        ('"a,b",c', ("a,b", "c")),
        ("{x: 1, y: 2},{x: 3}", ({"x": 1, "y": 2}, {"x": 3})),
        ("../a,../b", ("../a", "../b")),
    ],
)
def test_lists_are_parted_at_their_own_commas(text, values):
    fixed, (axis,) = split_settings([f"some.name={text}"])
    assert fixed == {} and axis == Axis("some.name", values)


def test_a_single_value_holds_for_all_trials():
    fixed, axes = split_settings(["data.classes=[a,b]", "model.width=0.5", "x.y='1,2'"])
    assert axes == () and fixed == {"data": {"classes": ["a", "b"]}, "model": {"width": 0.5}, "x": {"y": "1,2"}}


def test_ranges_are_of_whole_numbers_or_of_any():
    _, axes = split_settings(["a.rate=1e-5..1e-2", "a.count=4..16", "a.shift=-1..1", "a.width=.5..2."])
    ranges = {axis.name: axis.over for axis in axes}
    assert ranges == {
        "a.rate": Range(1e-5, 1e-2), "a.count": Range(4, 16), "a.shift": Range(-1, 1), "a.width": Range(0.5, 2.0)
    }  # fmt: skip
    assert [name for name, one in ranges.items() if one.is_whole] == ["a.count", "a.shift"]
    assert [name for name, one in ranges.items() if one.is_log] == ["a.rate"]
    assert Range(1, 100).is_log and not Range(1, 99).is_log and not Range(0, 1e9).is_log
    assert read_range("../x") is None and read_range("1..") is None and read_range("a..b") is None


def test_settings_from_python_are_values_or_read_as_typed():
    fixed, axes = axes_of({"a.x": [1, 2], "a.y": "1..5", "a.z": "u,v", "b.x": [7], "b.y": 0.5, "b.z": Range(1, 2)})
    assert [(axis.name, axis.over) for axis in axes] == [
        ("a.x", (1, 2)), ("a.y", Range(1, 5)), ("a.z", ("u", "v")), ("b.z", Range(1, 2))
    ]  # fmt: skip
    assert fixed == {"b": {"x": 7, "y": 0.5}}


@pytest.mark.parametrize("text", ["1e-4,1e-3", "[1,2],[3]", '"a,b",c', "1e-05..0.01", "true,null", '"1..2",x'])
def test_an_axis_is_written_as_it_is_typed(text):
    _, (axis,) = split_settings([f"a.b={text}"])
    assert split_settings([str(axis)]) == ({}, (axis,))


def test_a_search_chooses_among_lists_too():
    axis = Axis("a.b", (["x", "y"], "z", None))
    assert axis.space == Choice(('["x", "y"]', "z", None))
    assert [axis.value_of(parameter) for parameter in axis.space.values] == [["x", "y"], "z", None]


@pytest.mark.parametrize(
    ("setting", "mentions"),
    [
        ("a.b=1,,2", ("a.b", "1,,2")),
        ("a.b=1,", ("a.b", "1,")),
        ("a.b=9..2", ("a.b", "9..2")),
        ("a.b=[1,{,2", ("a.b", "[1,{,2")),
        ("novalue", ("novalue",)),
        ("data.name=x,y", ("data.name",)),
        ("training.seed=1..5", ("training.seed", "--seeds")),
    ],
)
def test_what_cannot_be_read_is_named(setting, mentions):
    with pytest.raises(ValueError, match=r".") as caught:
        split_settings([setting])
    assert all(mention in str(caught.value) for mention in mentions)


def test_a_setting_is_varied_once():
    with pytest.raises(ValueError, match=r"a\.b"):
        split_settings(["a.b=1,2", "a.b=3..4"])
