import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers.messages import assert_mentions, raises_mentioning
from helpers.tiny_models import tiny_gan, tiny_graph, tiny_transfer

from autolink_gen.checkpoints import save_model
from autolink_gen.inference.generate import Gan, save_gan
from autolink_gen.inference.transfer import save_transfer
from autolink_gen.studio.desks import Desks, open_desks
from autolink_gen.studio.graphs import GraphDesk
from autolink_gen.studio.workshop import open_workshop

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _status(address: str, **request: object) -> int:
    """The status of an answer."""
    try:
        with _DIRECT.open(urllib.request.Request(address, **request), timeout=60) as answer:  # type: ignore[arg-type]
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_is_served_on_this_machine_alone(studio_address: str) -> None:
    assert studio_address.startswith("http://127.0.0.1:")
    assert _status(studio_address) == 200
    assert _status(studio_address, headers={"Host": "evil.example"}) == 400


def test_a_slow_machine_opens_the_studio_too(gan: Gan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    from autolink_gen.studio.server import serving

    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with serving(Desks(GraphDesk(gan.graph, name="tiny"))) as address:
        assert _status(address) == 200


@pytest.mark.parametrize("prefix", ["/gradio_api/file=", "/file=", "/gradio_api/file/", "/gradio_api/file%3D"])
def test_no_file_of_the_machine_can_be_read(studio_address: str, prefix: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    assert _status(f"{studio_address}{prefix}{secret}") == 403
    assert _status(f"{studio_address}{prefix}{Path(__file__)}") == 403


@pytest.mark.parametrize("place", ["upload", "process_recording", "queue/join", "vibe-edit"])
def test_gradio_s_own_places_take_nothing(studio_address: str, place: str) -> None:
    assert _status(f"{studio_address}/gradio_api/{place}", data=b"files", method="POST") == 403


def test_a_page_elsewhere_cannot_ask(studio_address: str) -> None:
    question = f"{studio_address}/gradio_api/component_server"
    headers = {"Content-Type": "text/plain", "Origin": "https://evil.example"}
    assert _status(question, data=b"{}", headers=headers) == 403


def test_no_other_page_shows_it_in_a_frame(studio_address: str) -> None:
    with _DIRECT.open(studio_address, timeout=60) as answer:
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_a_request_beyond_the_limit_is_refused(studio_address: str) -> None:
    headers = {"Content-Length": str(2**31), "Content-Type": "application/json"}
    assert _status(f"{studio_address}/gradio_api/component_server", data=b"{}", headers=headers) == 413


def test_a_film_beyond_the_limit_is_refused(studio_address: str) -> None:
    headers = {"Content-Length": str(2**31), "Content-Type": "application/octet-stream"}
    assert _status(f"{studio_address}/studio/upload?name=a.mp4", data=b"", headers=headers) == 413


def test_a_page_elsewhere_cannot_send_films(studio_address: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": kind}
        assert _status(f"{studio_address}/studio/upload?name=a.mp4", data=b"x", headers=headers) == 415


@pytest.mark.parametrize("path", ["results/none", "results/", "results/..%2f..%2fetc%2fpasswd", "upload", "uploads/x"])
def test_nothing_but_results_is_given_out(studio_address: str, path: str) -> None:
    assert _status(f"{studio_address}/studio/{path}") == 404


def test_nothing_is_told_to_another_host(studio_address: str) -> None:
    with _DIRECT.open(f"{studio_address}/config", timeout=60) as answer:
        assert json.load(answer)["analytics_enabled"] is False


def test_the_run_of_a_gan_opens_both_desks(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "gan" / "tiny"
    save_gan(folder / "model.safetensors", tiny_gan())
    desks = open_desks(folder, device="cpu")
    assert desks.painter is not None
    assert desks.painter.name == desks.graph.name == str(folder)


def test_the_run_of_a_graph_opens_the_graph_alone(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny_graph())
    desks = open_desks(tmp_path, device="cpu")
    assert desks.painter is None
    assert len(desks.graph.pose) == 3


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with raises_mentioning(ValueError, tmp_path / "none"):
        open_desks(tmp_path / "none")


def test_the_newest_gan_is_taken_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "runs" / "graph" / "one" / "model.safetensors", tiny_graph())
    assert open_desks(None, device="cpu").painter is None
    save_gan(tmp_path / "runs" / "gan" / "two" / "model.safetensors", tiny_gan())
    assert_mentions(open_desks(None, device="cpu").graph.name, "runs/gan/two")


def test_of_two_runs_of_one_name_the_gan_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "runs" / "graph" / "birds" / "model.safetensors", tiny_graph())
    save_gan(tmp_path / "runs" / "gan" / "birds" / "model.safetensors", tiny_gan())
    desks = open_desks("birds", device="cpu")
    assert desks.painter is not None
    assert_mentions(desks.graph.name, "runs/gan/birds")


def _save_transfer(folder: Path) -> Path:
    save_transfer(folder / "model.safetensors", tiny_transfer())
    return folder


def test_the_run_of_a_transfer_network_opens_the_graph_too(tmp_path: Path) -> None:
    desks = open_desks(_save_transfer(tmp_path), device="cpu")
    assert desks.transfer is not None
    assert desks.painter is None
    assert desks.transfer.name == desks.graph.name == str(tmp_path)


def test_a_gan_brings_the_transfer_network_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_gan(tmp_path / "runs" / "gan" / "birds" / "model.safetensors", tiny_gan())
    _save_transfer(tmp_path / "runs" / "transfer" / "others")
    assert open_desks(None, device="cpu").transfer is None
    _save_transfer(tmp_path / "runs" / "transfer" / "birds")
    for run in (None, "birds", tmp_path / "runs" / "gan" / "birds"):
        transfer = open_desks(run, device="cpu").transfer
        assert transfer is not None
        assert_mentions(transfer.name, "runs/transfer/birds")


def test_where_there_are_no_runs_all_the_models_of_the_package_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    desks = open_desks(None, device="cpu")
    assert desks.painter is not None
    assert desks.transfer is not None
    assert desks.graph.name == desks.painter.name == desks.transfer.name == "package:puppets"


def test_a_studio_without_a_transfer_network_says_how_to_train_one() -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'autolink-gen[studio]'")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from autolink_gen.studio.pages import build_page

    with open_workshop() as workshop:
        page = build_page(Desks(GraphDesk(tiny_graph(), name="tiny")), workshop)
    assert_mentions(json.dumps(page.get_config_file()), "autolink-gen train-gan", "autolink-gen train-transfer")
