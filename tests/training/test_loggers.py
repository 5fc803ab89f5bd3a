"""Services that a run is sent to: none is needed, each is imported only where it is named."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from helpers.hidden_packages import hide
from helpers.messages import assert_line_mentions, raises_mentioning
from helpers.tiny_runs import tiny_run_config
from PIL import Image

import autolink_gen
from autolink_gen.common.extras import MissingExtraError
from autolink_gen.training import plans
from autolink_gen.training.engine import Run
from autolink_gen.training.graph import train_graph
from autolink_gen.training.launch import Launch
from autolink_gen.training.loggers import LOGGER_NAMES, open_logger

SERVICES = ("wandb", "mlflow", "trackio")


class Service(ModuleType):
    """A client that notes what it is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.started: list[dict[str, Any]] = []
        self.values: list[tuple[int, str]] = []
        self.pictures: list[str] = []
        self.params: list[dict[str, Any]] = []
        self.ends = 0
        self.Image = lambda path: SimpleNamespace(path=path)
        self.run_id = f"{name}-1"

    def init(self, **settings: Any) -> Any:
        self.started.append(settings)
        return SimpleNamespace(id=settings.get("id") or self.run_id, log=self.log, finish=self.finish)

    def log(self, values: dict[str, Any], *, step: int) -> None:
        for name, value in values.items():
            if isinstance(value, SimpleNamespace):
                self.pictures.append(Path(value.path).name)
            else:
                self.values.append((step, name))

    def finish(self) -> None:
        self.ends += 1

    def set_experiment(self, name: str) -> None:
        assert name == "autolink-gen"

    def start_run(self, *, run_id: str | None, run_name: str) -> Any:
        self.started.append({"id": run_id, "name": run_name})
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or self.run_id))

    def log_metrics(self, values: dict[str, Any], *, step: int) -> None:
        self.log(values, step=step)

    def log_params(self, values: dict[str, Any]) -> None:
        self.params.append(values)

    def log_artifact(self, path: str, folder: str | None = None) -> None:
        if folder is not None:
            self.pictures.append(Path(path).name)

    def end_run(self) -> None:
        self.finish()


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    client = Service(request.param)
    monkeypatch.setitem(sys.modules, request.param, client)
    yield client


def train(folder: Path, *names: Any, steps: int = 2) -> Run:
    config = tiny_run_config("graph", steps=steps)
    return train_graph(config, Launch(folder=folder, devices=1, progress=False, loggers=names))


def test_a_service_gets_numbers_and_pictures_and_goes_on_with_the_run(service: Service, tmp_path: Path) -> None:
    train(tmp_path / "run", service.__name__)
    assert {(1, "loss"), (2, "loss"), (2, "gradient_norm")} <= set(service.values)
    assert service.pictures == ["step-00000002.png", "graph.png"]
    assert [start["name"] for start in service.started] == ["run"] and service.ends == 1
    train(tmp_path / "run", service.__name__, steps=4)
    assert (4, "loss") in service.values and service.ends == 2
    first, second = service.started
    if service.__name__ == "trackio":  # which knows runs by their names
        assert (first["resume"], second["resume"]) == ("never", "allow")
    else:
        assert (first["id"], second["id"]) == (None, service.run_id)
    if service.__name__ == "mlflow":  # which refuses other values of a run that it knows
        (params,) = service.params
        assert (params["model.num_keypoints"], params["training.steps"]) == (3, 2)


def test_a_service_that_fails_does_not_end_the_training(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **settings: object) -> None:
        raise ConnectionError("no such host")

    monkeypatch.setattr(service, "log", fail)
    run = train(tmp_path / "run", service.__name__)
    assert run.progress.step == 2
    told = [message for message in caplog.messages if "no such host" in message]
    assert len(told) == 1
    assert_line_mentions(told, service.__name__, "ConnectionError")


@pytest.mark.parametrize("name", LOGGER_NAMES)
def test_a_named_service_that_is_not_installed_is_told_of_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, name, "torch.utils.tensorboard")
    with raises_mentioning(MissingExtraError, f"'autolink-gen[{name}]'"):
        train(tmp_path / "run", name)
    assert not (tmp_path / "run").exists()


def test_an_unknown_service_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with raises_mentioning(ValueError, "comet", *LOGGER_NAMES):
        open_logger("comet", tmp_path, first=0)


def test_training_from_python_takes_the_names(service: Service, tmp_path: Path, monkeypatch) -> None:
    config = tiny_run_config("graph", steps=1)
    seen = []
    monkeypatch.setattr(plans, "train_graph", lambda config, launch: seen.append(launch.loggers))
    monkeypatch.setattr(plans, "run_of", lambda run, kind: run)
    autolink_gen.learn_graph("puppets", out=tmp_path, loggers=[service.__name__])
    assert seen == [[service.__name__]]
    train_graph(config, Launch(folder=tmp_path / "one", devices=1, progress=False, loggers=service.__name__))
    assert (1, "loss") in service.values, "one name alone will do"


def test_an_object_of_one_s_own_takes_numbers_and_pictures(tmp_path: Path) -> None:
    taken = []

    class Own:
        def numbers(self, step, values):
            taken.append((step, "loss" in values))

        def picture(self, step, name, file):
            taken.append((step, name))

        def close(self):
            taken.append("closed")

    train(tmp_path / "run", Own())
    assert taken == [(1, True), (2, True), (2, "samples"), (2, "graph"), "closed"]


def test_no_service_is_asked_where_none_is_wanted(tmp_path: Path) -> None:
    train(tmp_path / "run")
    assert not list((tmp_path / "run").glob("events.*")) and (tmp_path / "run" / "metrics.jsonl").is_file()


def test_tensorboard_shows_numbers_and_pictures(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path / "run", "tensorboard")
    read = events.EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2]
    (picture,) = read.Images("samples")
    file = tmp_path / "run" / "samples" / "step-00000002.png"
    assert (picture.step, picture.width, picture.height) == (2, *Image.open(file).size)
    assert picture.encoded_image_string == file.read_bytes() and read.Images("graph")
    train(tmp_path / "run", "tensorboard", steps=4)
    read = events.EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2, 3, 4], "what was logged before a stop is kept"
    assert [picture.step for picture in read.Images("samples")] == [2, 4]


def test_tensorboard_forgets_what_came_after_the_save_that_a_run_goes_on_from(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        logger = open_logger("tensorboard", tmp_path, first=first)
        for step in steps:
            logger.numbers(step, {"loss": float(10 * first + step)})
        logger.close()
    read = events.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 23.0), (4, 24.0)]
