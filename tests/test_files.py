from pathlib import Path

import pytest

from autolink_gen.files import check_free


def test_what_is_there_already_is_named_and_replaced_only_on_demand(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept.csv", tmp_path / "new.csv"
    kept.write_text("mine")
    with pytest.raises(ValueError, match=r"kept\.csv is there already: give another --json, or --overwrite"):
        check_free(new, kept, overwrite=False, option="--json")
    check_free(new, kept, overwrite=True)
    check_free(new, Path("/dev/null"), overwrite=False)
    assert kept.read_text() == "mine" and not new.exists()
