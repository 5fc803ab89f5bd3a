"""Two devices from the command line: one run, refusals in one line, and going on from what both can read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist
from PIL import Image

from autolink_gen import load_graph_model
from autolink_gen.training.saves import read_save, step_folders

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)


def learn_graph(place: Path, *arguments: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """Two processes of a tiny run on a folder's pictures; Fabric starts the second by repeating the command line.

    ``first`` is code that each of them runs first.
    """
    script = place / "autolink_gen_script.py"  # the console script's twin
    script.write_text(f"from autolink_gen.cli.main import main\n{first}\nif __name__ == '__main__':\n    main()\n")
    settings = ["model.image_size=64", "model.num_keypoints=3", "model.width=0.05", "perceptual.features=random",
                "training.log_every=1", "training.save_every=1"]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, str(script), "learn-graph", "--recipe", "paper", "--devices", "2", *words,
               "--data", "./photos", *arguments]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four pictures and a run of two steps on them; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "photos").mkdir()
    for index in range(4):
        Image.new("RGB", (64, 64), (60 * index, 90, 200)).save(folder / "photos" / f"{index}.png")
    done = learn_graph(folder, "--steps", "2", "--batch-size", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote runs/graph/photos-k3/model.safetensors") == 1
    return folder


def test_two_devices_from_the_command_line_leave_one_run(place):
    folder = place / "runs" / "graph" / "photos-k3"
    assert load_graph_model(folder).config.num_keypoints == 3
    assert [path.name for path in step_folders(folder / "checkpoints")] == ["step-00000001", "step-00000002"]
    assert read_save(folder / "checkpoints" / "step-00000002")[1]["progress"]["step"] == 2
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert (folder / "graph.png").is_file()
    assert not list(folder.rglob("*.tmp"))


def test_a_batch_that_two_devices_cannot_share(place):
    done = learn_graph(place, "--steps", "2", "--batch-size", "3", "--name", "other")
    assert done.returncode != 0
    message = "Error: training.batch_size 3 cannot be shared by 2 devices evenly: choose a multiple of 2"
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_of_the_first_process_ends_the_other_one_too(place):
    other = learn_graph(place, "--steps", "3", "--batch-size", "2")
    assert other.returncode != 0
    assert "training.batch_size was 4, now 2" in other.stderr
    assert "Traceback" not in other.stderr


def test_two_devices_go_on_from_the_save_that_both_can_read(place, tmp_path):
    shutil.copytree(place / "runs", tmp_path / "runs")
    shutil.copytree(place / "photos", tmp_path / "photos")
    saves = tmp_path / "runs" / "graph" / "photos-k3" / "checkpoints"
    (saves / "step-00000002" / "training_state.pt").write_bytes(b"half")
    done = learn_graph(tmp_path, "--batch-size", "4", "--steps", "3")
    assert done.returncode == 0, done.stderr
    assert "going on from step 1 of 3" in done.stdout
    assert [path.name for path in step_folders(saves)] == ["step-00000002", "step-00000003"]
    assert (saves / "damaged-step-00000002" / "training_state.pt").read_bytes() == b"half"


# The device decides whether an update is taken, and the second process has an image that is not finite at step 2.
_ONE_BAD_IMAGE = """
import os
from autolink_gen.training import graph, guarded_updates
plain, calls = graph.flip_some, []
def flip(images, **options):
    calls.append(len(images))
    is_bad = len(calls) == 2 and os.environ.get("LOCAL_RANK") == "1"
    return plain(images * (float("nan") if is_bad else 1.0), **options)
graph.flip_some, guarded_updates.decides_on_device = flip, lambda fabric: True
"""


def test_a_bad_update_of_one_process_is_held_back_in_both(place, tmp_path):
    shutil.copytree(place / "photos", tmp_path / "photos")
    done = learn_graph(tmp_path, "--batch-size", "4", "--steps", "4", first=_ONE_BAD_IMAGE)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "runs/graph/photos-k3/metrics.jsonl").read_text().splitlines()]
    assert [row["skipped_steps"] for row in rows] == [0, 1, 1, 1]
    assert ["loss" in row for row in rows] == [True, False, True, True]
    saves = [path.name for path in step_folders(tmp_path / "runs/graph/photos-k3/checkpoints")]
    assert saves == ["step-00000003", "step-00000004"]
