"""What a run logs: lines of before the save it goes on from are kept, whatever stands between them."""

import json

import pytest

from autolink_gen.training.metrics_file import drop_later_lines


def test_lines_after_the_save_are_forgotten_and_cut_lines_too(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 3}\n{"step": 2}\nnot json\n{"loss": 1}\n[3]\n{"step": 3}\n{"step": 4, "lo')
    drop_later_lines(file, 2)
    assert file.read_text() == '{"step": 1, "loss": 3}\n{"step": 2}\n'
    drop_later_lines(tmp_path / "none.jsonl", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"[" * 50_000,
        b'{"step": ' + b"1" * 5000 + b"}",
        b'{"step": 1, "note": "' + b"x" * 300_000 + b'"}',
        b'{"step": "1"}',
        b'{"step": null}',
        b"7",
        b"null",
        b'"step"',
        b"\0" * 4096,
        b"",
    ],
    ids=["bytes", "nested", "number", "long", "text", "null step", "integer", "null", "string", "zeros", "empty"],
)
def test_lines_that_are_none_of_ours_go_and_the_rest_stays(tmp_path, line):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n' + line)
    drop_later_lines(file, 2)
    assert [json.loads(kept) for kept in file.read_text().splitlines()] == [{"step": 1}, {"step": 2}]
