"""Names of runs are those of one folder, seeds are what generators take, and commands to type are quoted."""

import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from helpers.messages import assert_mentions, one_line
from helpers.tiny_learn_graph import learn_graph

from autolink_gen.cli.main import cli
from autolink_gen.training.naming import run_name

NAMED = [
    ["learn-graph", "--dry-run"],
    ["train-gan", "--dry-run"],
    ["train-transfer", "--dry-run"],
    ["ablate", "variants", "--dry-run"],
    ["benchmark", "faces68", "--dry-run"],
    ["import-official", "none.ckpt"],
]


@pytest.mark.parametrize("command", NAMED, ids=lambda command: command[0])
@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a/", "a.", "a ", "a\0b", "a\nb", "a" * 256, "ü" * 128], ids=range(12)
)
def test_a_name_that_is_no_folder_s_is_refused_in_a_line(command, name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [*command, "--name", name])
    assert result.exit_code == 2, result.output
    errors = [line for line in result.output.splitlines() if "Error: " in line]
    assert len(errors) == 1 and "'--name'" in errors[0] and result.output.splitlines()[-1] == errors[0]
    assert len(errors[0]) < 400 and errors[0].isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["photos-k8", "a.b", ".hidden", "-x", "mein Lauf", "ü" * 100])
def test_a_folder_s_name_is_taken(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["learn-graph", "--dry-run", f"--name={name}"])
    assert result.exit_code == 0 and f"# runs/graph/{name}\n" in result.output


@pytest.mark.parametrize(("text", "name"), [
    ("photos", "photos-k3"), ("/", "data-k3"), ("a/b", "a-b-k3"), ("pics. ", "pics-k3"), ("a\nb", "a-b-k3"),
])  # fmt: skip
def test_a_name_made_of_data_is_one_folder_s(text: str, name: str) -> None:
    assert run_name(text, suffix="-k3") == name


def test_long_names_made_of_data_fit_and_stay_apart() -> None:
    one, other = (run_name("ü" * 300 + end, suffix="-k3") for end in "ab")
    assert one != other and one.endswith("-k3")
    assert max(len(name.encode()) for name in (one, other)) <= 200


@pytest.mark.parametrize("command", NAMED[:-1], ids=lambda command: command[0])
@pytest.mark.parametrize("seed", [str(2**63), str(-(2**63)), "9" * 5000, "1.5", "many"], ids=range(5))
def test_a_seed_that_is_none_is_one_line(command, seed: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [*command, f"--seed={seed}"])
    assert result.exit_code == 2
    assert "'--seed'" in result.output.splitlines()[-1] and len(result.output.splitlines()[-1]) < 300


def test_the_last_of_several_seeds_is_seen_to_fit_before_the_first_is_trained(pictures: Path) -> None:
    result = learn_graph("--data", pictures, "--steps", 1, "--seed", 2**63 - 1, "--seeds", 2)
    assert_mentions(one_line(result), "seed", "63 bits")
    assert not Path("runs").exists()


def test_the_command_to_type_next_is_quoted_for_the_shell(pictures: Path) -> None:
    result = learn_graph("--data", pictures, "--steps", 1, "--name", "$(touch x); it's", "--out", "-o")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "), comments=False)
    run = "./-o/graph/$(touch x); it's"
    assert words == ["autolink-gen", "view-graph", f"{run};", "autolink-gen", "detect", "IMAGES", "--model", run]


def test_no_secret_of_an_address_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signed = "https://host/p-{0..1}.tar?X-Amz-Signature=5ec3e7"
    for command in NAMED[:4]:
        shown = CliRunner().invoke(cli, [*command, "--data", signed])
        assert shown.exit_code == 0 and yaml.safe_load(shown.output)["data"]["name"] == "https://host/p-{0..1}.tar"
        assert "5ec3e7" not in shown.output
    refused = CliRunner().invoke(cli, ["learn-graph", "--data", "ftp://me:5ec3e7@host/p.tar?sig=5ec3e7"])
    assert refused.exit_code == 1 and "ftp://host/p.tar" in refused.output and "5ec3e7" not in refused.output
    storage = ["--steps", "1", "--storage", "postgresql://me:5ec3e7@host/work", "--set", "model.width=0.05"]
    refused = CliRunner().invoke(cli, ["ablate", "variants", *storage])
    assert refused.exit_code == 1 and "5ec3e7" not in refused.output and "cannot open the storage" in refused.output
