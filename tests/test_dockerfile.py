"""The Dockerfile, which is built nowhere, names what there is: files, extras, the command, the studio's port."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_INDEX_VARIABLES = {"PIP_INDEX_URL", "TORCH_INDEX_URL"}


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, without comments, each with its continued lines as one."""
    text = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            assert name in {
                "ARG",
                "CMD",
                "COPY",
                "ENTRYPOINT",
                "ENV",
                "EXPOSE",
                "FROM",
                "RUN",
                "USER",
                "VOLUME",
                "WORKDIR",
            }
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, " ".join(rest.split())))
    return stages


def of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for instruction, rest in stage if instruction == name]


def test_what_is_copied_is_there_and_not_ignored(stages):
    patterns = (_ROOT / ".dockerignore").read_text().split("\n")
    kept = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    copied = [word for line in of(stages[0], "COPY") for word in line.split()[:-1]]
    assert "*" in patterns and sorted(copied) == sorted(kept)
    assert all((_ROOT / name).exists() for name in copied)


def test_all_that_the_package_is_made_of_is_copied(stages):
    copied = [word for line in of(stages[0], "COPY") for word in line.split()[:-1]]
    project = (_ROOT / "pyproject.toml").read_text()
    folders = re.search(r"\[tool\.setuptools\.package-dir\](.*?)\n\n", project, re.DOTALL)
    needed = {path.split("/")[0] for path in re.findall(r'= "(.*?)"', folders[1])}
    needed |= {name for name in ("README.md", "LICENSE") if f'"{name}"' in project}
    assert {"autolink_gen", "cli", "configs", "README.md", "LICENSE"} <= needed <= set(copied)
    ignored = [p for p in (_ROOT / ".dockerignore").read_text().split() if p.startswith("**/")]
    assert not any(fnmatch(f"x/{path.name}", p) for p in ignored for path in (_ROOT / "cli").glob("*.py"))


def test_extras_and_versions_are_those_of_the_package(stages):
    project = (_ROOT / "pyproject.toml").read_text()
    commands = " ".join(of(stages[0], "RUN"))
    extras = re.search(r'pip install [^"]*"\.\[(.*?)\]"', commands)[1].split(",")
    known = re.search(r"\[project\.optional-dependencies\](.*?)\n\n", project, re.DOTALL)[1]
    assert "studio" in extras and all(re.search(rf"^{extra} = ", known, re.MULTILINE) for extra in extras)
    torch = re.findall(r'"(torch(?:vision)?>=[\d.]+)"', commands)
    assert len(torch) == 2 and all(f'"{requirement}"' in project for requirement in torch)


def test_indexes_are_asked_for_and_none_is_named(stages):
    assert set(of(stages[0], "ARG")) == _INDEX_VARIABLES
    assert "://" not in (_ROOT / "Dockerfile").read_text()


def test_the_image_runs_the_command_as_a_user_of_its_own(stages):
    last = stages[-1]
    assert json.loads(of(last, "ENTRYPOINT")[0]) == ["autolink-gen"]
    user = of(last, "USER")[-1]
    assert user != "0" and re.search(rf"useradd .*--uid {user} ", of(last, "RUN")[0])
    names = [name for name, _ in last]
    assert names.index("USER") < names.index("ENTRYPOINT") and "RUN" not in names[names.index("USER") :]
    cache = re.search(r"AUTOLINK_GEN_CACHE=(/\w+)/", of(last, "ENV")[0])[1]
    assert json.loads(of(last, "VOLUME")[0]) == [of(last, "WORKDIR")[0], cache]
    assert all(folder in of(last, "RUN")[0] for folder in json.loads(of(last, "VOLUME")[0]))


def test_the_port_is_where_the_studio_begins_to_look(stages):
    (port,) = of(stages[-1], "EXPOSE")
    assert f"{port}:{port}" in (_ROOT / "docs/guides/docker.md").read_text()
    assert f"from {port} on" in (_ROOT / "cli/studio.py").read_text()
