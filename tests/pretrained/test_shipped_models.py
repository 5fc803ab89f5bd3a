"""The models in the package: they load by name, score what their card says, and work in an empty folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.cli import run_cli
from helpers.messages import assert_line_mentions, assert_mentions, raises_mentioning
from helpers.tiny_models import tiny_gan
from PIL import Image

from autolink_gen import load_gan, load_graph_model, load_transfer
from autolink_gen.checkpoints import read_header
from autolink_gen.data.puppets.dataset import Puppets, puppet_clip
from autolink_gen.data.source import open_source
from autolink_gen.data.video.reader import VideoReader
from autolink_gen.data.video.writer import VideoWriter
from autolink_gen.evaluation.gan import evaluate_gan
from autolink_gen.evaluation.puppets import evaluate_puppets
from autolink_gen.evaluation.transfer import evaluate_transfer
from autolink_gen.inference.generate import save_gan
from autolink_gen.pretrained.shipped import SHIPPED_FOLDER
from autolink_gen.runs import Kind, RunFolder

KINDS: tuple[Kind, ...] = ("graph", "gan", "transfer")
MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return json.loads((SHIPPED_FOLDER / "card.json").read_text())


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, without the weights of feature networks at hand."""
    monkeypatch.setenv("AUTOLINK_GEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def write_clip(file: Path, *, seed: int) -> Path:
    with VideoWriter(file, fps=10) as writer:
        for frame in puppet_clip(seed, 0, num_frames=6, size=64, split="test")[0]:
            writer.write(frame)
    return file


def no_perceptual(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """In the place of LPIPS, whose weights tests do not fetch."""
    return torch.zeros(len(first))


def test_their_size_is_what_the_card_says_and_small(card: dict[str, Any]) -> None:
    sizes = {kind: (SHIPPED_FOLDER / f"{kind}.safetensors").stat().st_size for kind in KINDS}
    assert sizes == {kind: card["models"][kind]["bytes"] for kind in KINDS}
    assert sum(sizes.values()) == card["total_bytes"] < MOST_BYTES
    for kind in KINDS:
        assert read_header(SHIPPED_FOLDER / f"{kind}.safetensors").step == card["models"][kind]["step"]
        config = RunFolder.find("package:puppets", kind=kind).config()
        assert config is not None and config.data.name == "puppets"
    assert card["licence"] and "AlexNet" in card["note"]


def test_the_graph_scores_what_its_card_says(card: dict[str, Any]) -> None:
    scores = card["models"]["graph"]["scores"]
    found = evaluate_puppets(load_graph_model("puppets")).scores
    assert found.joint_error_percent == pytest.approx(scores["joint_error_percent"], abs=0.1)
    assert found.joint_error_percent < 0.4 * scores["untrained"]["joint_error_percent"]
    assert found.bone_coverage == pytest.approx(scores["bone_coverage"], abs=0.05)
    assert found.bone_share == pytest.approx(scores["bone_share"], abs=0.05)


def test_the_gan_scores_what_its_card_says(card: dict[str, Any]) -> None:
    gan, scores = load_gan("puppets"), card["models"]["gan"]["scores"]
    puppets = open_source("puppets").held_out(size=64, fit="crop")
    assert puppets is not None
    found = evaluate_gan(gan, puppets, others=None, extractors={}, perceptual=no_perceptual, count=100).structure
    assert found.percent == pytest.approx(scores["structure_percent"], rel=0.2)
    assert found.ratio == pytest.approx(scores["structure_ratio"], abs=0.1)
    assert len(gan.poses) > 0, "generate needs poses to paint without pictures"


def test_what_is_shipped_in_half_precision_works_in_full() -> None:
    gan, network = load_gan("puppets"), load_transfer("puppets")
    assert gan.poses.dtype == network.poses.dtype == torch.float32
    z = torch.ones(1, gan.style_size)
    assert not torch.equal(gan.style(z, truncation=0.5), gan.style(z))


def test_the_transfer_network_scores_what_its_card_says(card: dict[str, Any]) -> None:
    pytest.importorskip("torchmetrics")
    network, scores = load_transfer("puppets"), card["models"]["transfer"]["scores"]
    clips, numbers = open_source("puppets").clips("test", size=64, seed=0)[:10], range(0, 100, 8)
    read = []
    for clip in clips:
        frames = [pixels for number, pixels in clip.read(numbers, min_side=64) if number in numbers]
        read.append((clip.name, torch.from_numpy(network.fit_images(frames)).permute(0, 3, 1, 2).float() / 255))
    found = evaluate_transfer(network, read, perceptual=no_perceptual).means
    mean = scores["mean"]["network"]
    assert found["network"].l1 == pytest.approx(mean["l1"], rel=0.2)
    assert found["network"].akd_graph == pytest.approx(mean["akd_graph"], rel=0.2)
    assert found["network"].l1 < found["copy"].l1 and found["network"].akd_graph < found["copy"].akd_graph


def test_their_likelihoods_are_calibrated() -> None:
    likelihood = load_graph_model("puppets").likelihood
    assert likelihood is not None and likelihood.likelihoods[0] > 0.9
    assert load_gan("puppets").graph.likelihood == load_transfer("puppets").graph.likelihood == likelihood


def test_detect_works_in_an_empty_folder(empty: Path) -> None:
    picture = empty / "puppet.png"
    Image.fromarray(Puppets(image_size=96, seed=3, length=1).annotated(0).image).save(picture)
    found = run_cli("detect", picture, "--model", "puppets")
    assert_line_mentions(found, "model*", "package:puppets", "16 keypoints")
    table = json.loads((empty / "detections/keypoints.json").read_text())
    assert table["model"] == "package:puppets"


def test_generate_works_in_an_empty_folder(empty: Path) -> None:
    done = run_cli(
        "generate", "--model", "puppets", "--seeds", "0-2", "--grid", "rows=seeds,cols=poses", "--out", "grid.png"
    )
    assert_line_mentions(done, "package:puppets")
    assert (empty / "grid.png").is_file()


def test_transfer_works_in_an_empty_folder(empty: Path) -> None:
    source, driver = write_clip(empty / "a.mp4", seed=1), write_clip(empty / "b.mp4", seed=2)
    done = run_cli("transfer", source, driver, "--model", "puppets", "-o", "moved.mp4")
    assert_line_mentions(done, "package:puppets")
    assert VideoReader("moved.mp4").num_frames == 6


def test_nothing_is_written_into_the_package(empty: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in SHIPPED_FOLDER.rglob("*")}
    shown = run_cli("view-graph", "puppets")
    assert_mentions(shown, Path("runs/graph/package-puppets/graph/graph.png"))
    assert Path("runs/graph/package-puppets/graph/graph.png").is_file()
    scored = run_cli("evaluate", "puppets", "--max-fit", "20", "--max-test", "5")
    assert_line_mentions(scored, "package:puppets")
    assert Path("runs/graph/package-puppets/evaluation").is_dir()
    assert {path: path.stat().st_mtime_ns for path in SHIPPED_FOLDER.rglob("*")} == before


def test_a_run_of_the_user_s_comes_first(empty: Path) -> None:
    assert RunFolder.find("puppets", kind="gan").is_shipped
    Path("puppets").mkdir()  # as `autolink-gen data puppets puppets/` makes it
    assert RunFolder.find("puppets", kind="gan").is_shipped and load_gan("puppets").style_size == 256
    save_gan(Path("runs/gan/puppets/model.safetensors"), tiny_gan())
    own = RunFolder.find("puppets", kind="gan")
    assert own.folder == Path("runs/gan/puppets") and not own.is_shipped
    assert load_gan("puppets").style_size == 8
    for name in ("package:puppets", RunFolder.find("package:puppets", kind="gan")):
        assert load_gan(name).style_size == 256, "the package's, whatever runs there are"
        assert RunFolder.find(name, kind="graph").is_shipped


def test_a_run_without_weights_yet_is_not_passed_over(empty: Path) -> None:
    Path("runs/graph/puppets").mkdir(parents=True)
    for find in (lambda: RunFolder.find("puppets", kind="graph"), lambda: load_graph_model("puppets")):
        with raises_mentioning(ValueError, Path("runs/graph/puppets/model.safetensors"), "weights"):
            find()


def test_the_lack_of_a_run_names_them(empty: Path) -> None:
    picture = empty / "a.png"
    Image.new("RGB", (64, 64)).save(picture)
    assert_mentions(run_cli("detect", picture, expect=1), "puppets", "autolink-gen learn-graph")
    with raises_mentioning(ValueError, "package:dogs", "package:puppets"):
        RunFolder.find("package:dogs")


def test_a_gan_may_be_trained_on_the_package_s_graph(empty: Path) -> None:
    planned = run_cli("train-gan", "--graph", "puppets", "--dry-run")
    assert_line_mentions(planned, "graph", "package:puppets", "16 keypoints")
    assert_line_mentions(planned, "run", "package:puppets")
