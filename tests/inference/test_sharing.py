"""Models handed on: the folder for the hub and its card, and models fetched from there, checked as any stranger's."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from helpers.cli import run_cli
from helpers.hidden_packages import hide
from helpers.messages import assert_line_mentions, assert_mentions, raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer
from PIL import Image
from safetensors.torch import save_file

from autolink_gen import from_pretrained, load_graph_model, save_pretrained
from autolink_gen.checkpoints import save_model
from autolink_gen.common.digests import file_sha256
from autolink_gen.inference.generate import Gan, save_gan
from autolink_gen.inference.transfer import Transfer, save_transfer
from autolink_gen.models.autolink import AutoLink
from autolink_gen.pretrained import hub
from autolink_gen.runs import Kind, RunFolder

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of each kind called `mine`, in the working folder."""
    monkeypatch.chdir(tmp_path)
    graph = tiny_graph(sigma2=1e-2)
    save_model(Path("runs/graph/mine/model.safetensors"), graph, step=12)
    save_gan(Path("runs/gan/mine/model.safetensors"), tiny_gan(graph), step=34)
    save_model(Path("runs/gan/mine/graph.safetensors"), graph)
    save_transfer(Path("runs/transfer/mine/model.safetensors"), tiny_transfer(graph), step=56)
    for kind, picture in (("graph", "graph.png"), ("gan", "grid.png"), ("transfer", "grid.png")):
        folder = Path("runs") / kind / "mine"
        Image.new("RGB", (8, 8)).save(folder / picture)
        settings = f"data: {{name: '{tmp_path}/secret/birds', root: '{tmp_path}/secret'}}\n"
        if kind != "graph":
            settings += f"graph: {{run: '{tmp_path}/secret/graph'}}\n"
        (folder / "config.yaml").write_text(settings)
    return tmp_path / "runs"


@pytest.fixture
def on_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Put a folder on the hub under a name; what is fetched is noted in `on_hub.asked`."""
    places: dict[str, Path] = {}

    def snapshot_download(repo_id: str, *, revision: str | None = None, allow_patterns: list[str]) -> str:
        if repo_id not in places:
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"no {repo_id}\nand more")
        assert set(allow_patterns) == {"model.safetensors", "graph.safetensors", "config.yaml"}
        return str(places[repo_id])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    hub._fetched.cache_clear()
    return places.__setitem__


def test_the_real_function_takes_what_it_is_given() -> None:
    inspect.signature(huggingface_hub.snapshot_download).bind("user/name", revision=None, allow_patterns=["a"])


@pytest.mark.parametrize(("kind", "made"), [("graph", AutoLink), ("gan", Gan), ("transfer", Transfer)])
def test_what_is_written_is_read_back_from_the_hub(
    runs: Path, on_hub: Callable[[str, Path], None], kind: str, made: type
) -> None:
    card = save_pretrained(runs / kind / "mine", "shared", name="me/birds")
    assert card == Path("shared/README.md")
    on_hub("me/birds", Path("shared"))
    for name in ("me/birds", "hf:me/birds", "me/birds@v1", "shared"):
        model = from_pretrained(name)
        assert isinstance(model, made) and not model.training
    own = from_pretrained(runs / kind / "mine")
    for name, value in own.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_the_card_says_data_scores_and_how_to_use_it(runs: Path) -> None:
    folder = runs / "graph" / "mine"
    (folder / "evaluation").mkdir()
    for label, digest in (("birds", file_sha256(folder / "model.safetensors")), ("others", "0")):
        (folder / "evaluation" / f"{label}-settings.json").write_text(json.dumps({"weights_sha256": digest}))
        scores = {"model": "secret", f"{label}_percent": 1.25, "more": {"ratio": 2}}
        (folder / "evaluation" / f"{label}.json").write_text(json.dumps(scores))
    text = save_pretrained("mine", "shared", name="me/birds").read_text()
    assert_mentions(text, "me/birds", "12 training steps", "birds", "graph.png", "load_graph_model", "filled in")
    assert_line_mentions(text, "birds_percent", "1.25")
    assert_line_mentions(text, "more: ratio", "2")
    assert "others_percent" not in text, "a score of other weights"
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "other" and header["library_name"] == "autolink-gen" and "graph" in header["tags"]
    assert Path("shared/graph.png").is_file()


def test_a_licence_is_written_and_the_picture_may_stay_at_home(runs: Path) -> None:
    text = save_pretrained("mine", "shared", licence="cc-by-4.0", picture=False).read_text()
    assert yaml.safe_load(text.split("---")[1])["license"] == "cc-by-4.0"
    assert "filled in" not in text and not Path("shared/graph.png").exists() and "graph.png" not in text


@pytest.mark.parametrize("kind", ["graph", "gan", "transfer"])
def test_paths_of_this_machine_are_not_written(runs: Path, kind: str) -> None:
    save_pretrained(runs / kind / "mine", "shared")
    for file in Path("shared").iterdir():
        assert b"secret" not in file.read_bytes(), file
    assert yaml.safe_load(Path("shared/config.yaml").read_text())["data"]["name"] == "birds"


def test_files_that_are_there_are_kept(runs: Path) -> None:
    save_pretrained("mine", "shared")
    Path("shared/README.md").write_text("mine")
    with raises_mentioning(ValueError, Path("shared/model.safetensors")):
        save_pretrained("mine", "shared")
    assert Path("shared/README.md").read_text() == "mine"
    save_pretrained("mine", "shared", overwrite=True)
    assert Path("shared/README.md").read_text() != "mine"


def test_commands_take_a_model_of_the_hub(runs: Path, on_hub: Callable[[str, Path], None]) -> None:
    save_pretrained(runs / "gan" / "mine", "shared")
    on_hub("me/birds", Path("shared").resolve())
    painted = run_cli("generate", "--model", "hf:me/birds", "--seeds", "0-1", "--out", "painted")
    assert_line_mentions(painted, "hf:me/birds")
    save_pretrained(runs / "graph" / "mine", "graph")
    on_hub("me/graph", Path("graph").resolve())
    run_cli("view-graph", "hf:me/graph", "--data", "puppets")
    assert Path("runs/graph/hf-me-graph/graph/graph.png").is_file(), "not in the folder of what was fetched"
    assert sorted(path.name for path in Path("graph").iterdir()) == [
        "README.md", "config.yaml", "graph.png", "model.safetensors",
    ]  # fmt: skip


def test_the_package_s_gan_takes_its_graph_with_it(runs: Path) -> None:
    save_pretrained(RunFolder.find("package:puppets", kind="gan"), "shared")
    assert isinstance(from_pretrained("shared"), Gan)
    assert load_graph_model("shared").config.num_keypoints == 16


@pytest.mark.parametrize(("kind", "made"), [(None, AutoLink), ("gan", Gan), ("transfer", Transfer)])
def test_each_of_the_package_s_models_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind | None, made: type
) -> None:
    monkeypatch.chdir(tmp_path)
    save_pretrained("puppets", "shared", kind=kind)
    assert isinstance(from_pretrained("shared"), made)


def test_a_name_that_cannot_be_on_the_hub_is_one_of_this_machine(runs: Path) -> None:
    assert from_pretrained("puppets").config == load_graph_model("puppets").config
    assert isinstance(from_pretrained("mine"), AutoLink)
    for name in ("to-shaer", "./to-shaer", "/some/to-shaer"):
        with raises_mentioning(ValueError, "there is no", Path(name)) as caught:
            from_pretrained(name)
        assert "hf:" not in str(caught.value)


def test_a_stranger_s_file_is_checked(runs: Path, on_hub: Callable[[str, Path], None]) -> None:
    bad = Path("bad")
    bad.mkdir()
    on_hub("me/bad", bad)
    with raises_mentioning(ValueError, bad / "model.safetensors"):
        from_pretrained("me/bad")
    (bad / "model.safetensors").write_bytes(b"\x80\x04junk")
    with raises_mentioning(ValueError, bad / "model.safetensors", "safetensors file"):
        from_pretrained("me/bad")
    save_file({"weight": torch.zeros(1)}, bad / "model.safetensors")
    with raises_mentioning(ValueError, bad / "model.safetensors", "autolink-gen"):
        from_pretrained("me/bad")


def test_what_cannot_be_fetched_is_one_line(on_hub: Callable[[str, Path], None], runs: Path) -> None:
    with raises_mentioning(ValueError, "hf:me/none", "no me/none", "network") as caught:
        RunFolder.find("hf:me/none")
    assert "\n" not in str(caught.value)
    for name in ("hf:none", "hf:a/b/c", "hf:../../etc/passwd", "hf:"):
        with raises_mentioning(ValueError, "hf:user/name"):
            RunFolder.find(name)


def test_without_the_extra_pip_s_command_is_given(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "huggingface_hub")
    hub._fetched.cache_clear()
    with raises_mentioning(ValueError, "pip install 'autolink-gen[hub]'"):
        load_graph_model("hf:me/birds")
