"""How many bad files are passed over, and what is said of those that are too many."""

import pytest

from autolink_gen.common.tolerance import Tolerance, are_too_many


def test_a_share_is_passed_over_and_a_single_one_always_is() -> None:
    assert not are_too_many(1, 1) and are_too_many(2, 2) and are_too_many(2, 39)
    assert not are_too_many(2, 40) and are_too_many(3, 40)
    assert not are_too_many(20, 100, share=0.2) and are_too_many(21, 100, share=0.2)


def test_one_too_many_names_the_first_five_the_numbers_and_the_remedy() -> None:
    bad = Tolerance(120, what="images in birds", remedy="remove them")
    for number in range(6):
        bad.add(f"{number}.png")
    cause = OSError("damaged")
    with pytest.raises(ValueError) as caught:
        bad.add("6.png", cause)
    said = str(caught.value)
    assert all(part in said for part in ("7", "120", "images in birds", "0.png", "4.png", "remove them"))
    assert "5.png" not in said and "6.png" not in said
    assert caught.value.__cause__ is cause and (bad.bad, len(bad.names)) == (7, 5)


def test_without_a_remedy_the_last_error_is_said() -> None:
    bad = Tolerance(2)
    bad.add("a.png", "a.png is empty")
    with pytest.raises(ValueError, match=r"b\.png is cut short; copy it again"):
        bad.add("b.png", "b.png is cut short; copy it again")
