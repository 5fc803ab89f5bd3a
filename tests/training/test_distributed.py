"""Two processes: the gradients of one over the same half-batches, and a run from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from autolink_gen import load_graph_model
from autolink_gen.losses.perceptual import PerceptualLoss, RandomFeatures
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.training.batches import step_generator
from autolink_gen.training.saves import read_save, step_folders

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)


def make_model() -> AutoLink:
    torch.manual_seed(0)
    return AutoLink(AutoLinkConfig(num_keypoints=4, image_size=64, width=0.05, sigma2=1e-2)).double()


def half_batch(rank: int) -> tuple[Tensor, Tensor]:
    """Pictures in [-1, 1] and masks of one process."""
    generator = step_generator(3, 0, rank=rank)
    pictures = torch.rand(2, 3, 64, 64, generator=generator, dtype=torch.float64) * 2 - 1
    return pictures, make_model().random_mask(2, generator=generator)


def gradients(forward: torch.nn.Module, model: AutoLink, rank: int) -> dict[str, Tensor]:
    """The gradients that one half-batch leaves; `forward` is the model, or what spreads it over processes."""
    pictures, mask = half_batch(rank)
    model.zero_grad()
    PerceptualLoss(RandomFeatures().double(), distance="l1")(forward(pictures, mask).pictures, pictures).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def one_of_two(rank: int, folder: str) -> None:
    """What each of the two processes does; its gradients go to a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = make_model()
    torch.save(gradients(DistributedDataParallel(model), model, rank), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_gradients_of_one_over_the_same_halves(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    halves = [gradients(model := make_model(), model, rank) for rank in (0, 1)]
    for name in halves[0]:
        expected = (halves[0][name] + halves[1][name]) / 2
        scale = max(halves[0][name].abs().max(), halves[1][name].abs().max())
        assert scale > 0, name
        for found in both:
            # Biases before a batch norm have gradients of rounding errors alone; hence double precision.
            assert (found[name] - expected).abs().max() <= 1e-6 * scale + 1e-9, name
    largest = [max(half[name].abs().max().item() for name in half) for half in halves]
    assert any((halves[0][n] - halves[1][n]).abs().max() > 1e-3 * max(largest) for n in halves[0])


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script's twin: Fabric starts the second process by repeating the command line."""
    file = tmp_path / "autolink_gen_script.py"
    file.write_text("from autolink_gen.cli.main import main\n\nif __name__ == '__main__':\n    main()\n")
    return file


def learn_graph(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes of a tiny run on four pictures, in the script's folder."""
    settings = ["model.image_size=64", "model.num_keypoints=3", "model.width=0.05", "loss.features=random"]
    words = [word for setting in [*settings, "training.log_every=1"] for word in ("--set", setting)]
    command = [sys.executable, str(script), "learn-graph", "--recipe", "paper", "--devices", "2", *words, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, cwd=script.parent, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_two_devices_from_the_command_line_leave_one_run(script):
    from PIL import Image

    pictures = script.parent / "photos"
    pictures.mkdir()
    for index in range(4):
        Image.new("RGB", (64, 64), (60 * index, 90, 200)).save(pictures / f"{index}.png")
    done = learn_graph(script, "--data", "./photos", "--steps", "2", "--batch-size", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote runs/graph/photos-k3/model.safetensors") == 1
    folder = script.parent / "runs" / "graph" / "photos-k3"
    assert load_graph_model(folder).config.num_keypoints == 3
    assert [path.name for path in step_folders(folder / "checkpoints")] == ["step-00000002"]
    assert read_save(folder / "checkpoints" / "step-00000002")[1]["progress"]["step"] == 2
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert (folder / "graph.png").is_file()
    assert not list(folder.rglob("*.tmp"))


def test_a_batch_that_two_devices_cannot_share(script):
    done = learn_graph(script, "--data", "puppets", "--steps", "2", "--batch-size", "3")
    assert done.returncode != 0
    message = "Error: training.batch_size 3 cannot be shared by 2 devices evenly: choose a multiple of 2"
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_of_the_first_process_ends_the_other_one_too(script):
    first = learn_graph(script, "--data", "puppets", "--steps", "1", "--batch-size", "2", "--devices", "1")
    assert first.returncode == 0, first.stderr
    other = learn_graph(script, "--data", "puppets", "--steps", "1", "--batch-size", "4", "--name", "puppets-k3")
    assert other.returncode != 0
    assert "training.batch_size was 2, now 4" in other.stderr
    assert "Traceback" not in other.stderr


def test_two_devices_go_on_from_the_save_that_both_can_read(script):
    arguments = ("--data", "puppets", "--batch-size", "4", "--set", "training.save_every=1")
    assert learn_graph(script, *arguments, "--steps", "2").returncode == 0
    saves = script.parent / "runs" / "graph" / "puppets-k3" / "checkpoints"
    (saves / "step-00000002" / "training_state.pt").write_bytes(b"half")
    done = learn_graph(script, *arguments, "--steps", "3")
    assert done.returncode == 0, done.stderr
    assert "going on from step 1 of 3" in done.stdout
    assert [path.name for path in step_folders(saves)] == ["step-00000002", "step-00000003"]
    assert (saves / "damaged-step-00000002" / "training_state.pt").read_bytes() == b"half"
