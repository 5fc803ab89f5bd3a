"""`detect` over twenty videos, ended by Ctrl-C in the middle and called again: each is done once, nothing is lost."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.detecting import names_in, run_detect, save_picture
from helpers.messages import assert_line_mentions
from helpers.tiny_models import tiny_graph

from autolink_gen.checkpoints import save_model
from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter

COUNT, DONE, NUM_FRAMES = 20, 7, 3
# The eighth video's table is half written when the signal comes: of a real process, whose handlers are the program's.
_PROGRAM = f"""
import sys, time
from autolink_gen.cli.main import main
from autolink_gen.inference.pose_formats import FORMATS

plain = FORMATS["dlc"].write

def slow(path, table):
    plain(path, table)
    if table.records[0].file.name == "film{DONE:02d}.mp4":
        path.write_text("half")
        print("begun", flush=True)
        time.sleep(60)

FORMATS["dlc"] = FORMATS["dlc"]._replace(write=slow)
sys.argv[0] = "autolink-gen"
main()
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """What is typed: a folder of two images and twenty puppets of three frames, and a tiny model."""
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / "in" / name)
    for number in range(COUNT):
        with VideoWriter(tmp_path / "in" / f"film{number:02d}.mp4", fps=10) as writer:
            for pixels in puppet_clip(number, 0, num_frames=NUM_FRAMES, size=64)[0]:
                writer.write(pixels)
    save_model(tmp_path / "model.safetensors", tiny_graph(4))
    places = {"--model": tmp_path / "model.safetensors", "--out": tmp_path / "out"}
    return [str(tmp_path / "in"), "--format", "dlc", *(str(word) for place in places.items() for word in place)]


def interrupted(arguments: list[str]) -> tuple[int, str]:
    """The exit code and the standard error of the command, which gets SIGINT while it writes the eighth table."""
    command = [sys.executable, "-c", _PROGRAM, "detect", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline().startswith("model:")
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
        return running.wait(60), said


def test_each_video_is_done_once_and_nothing_is_lost(arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = interrupted(arguments)
    assert code == 128 + signal.SIGINT
    assert_line_mentions(said, "stopped by SIGINT")
    assert_line_mentions(said, "kept", out / "keypoints.dlc.csv", "same command")
    whole = {f"film{number:02d}{ending}" for number in range(DONE) for ending in (".dlc.csv", ".mp4")}
    whole |= {"a.png", "b.png", "keypoints.dlc.csv"}
    assert names_in(out) == whole | {f"film{DONE:02d}.mp4"}, "the half table is gone"
    before = {name: (out / name).stat().st_mtime_ns for name in whole}

    again = run_detect(*arguments)
    assert again.exit_code == 0, again.output
    assert_line_mentions(again, "done before", f"{DONE + 2} files of {COUNT + 2}")
    wrote = [line for line in again.output.splitlines() if line.startswith("wrote") and line.endswith(".dlc.csv")]
    assert wrote == [f"wrote {out / f'film{number:02d}.dlc.csv'}" for number in range(DONE, COUNT)]
    assert {name: (out / name).stat().st_mtime_ns for name in whole} == before
    for number in range(COUNT):
        rows = list(csv.reader((out / f"film{number:02d}.dlc.csv").open(newline="")))
        assert [row[0] for row in rows[3:]] == [str(frame) for frame in range(NUM_FRAMES)]
        assert VideoReader(out / f"film{number:02d}.mp4").num_frames == NUM_FRAMES
    assert len(names_in(out)) == 2 * COUNT + 3
