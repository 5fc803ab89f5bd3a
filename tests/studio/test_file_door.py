from pathlib import Path
from typing import Any

import pytest
from helpers.messages import assert_mentions

pytest.importorskip("starlette", reason="gradio is not installed: pip install 'autolink-gen[studio]'")

from starlette.testclient import TestClient

from autolink_gen.studio.files import FileDoor
from autolink_gen.studio.shelf import Shelf

HEADERS = {"content-type": "application/octet-stream"}


@pytest.fixture
def door(tmp_path: Path) -> FileDoor:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return FileDoor(app, uploads=Shelf(tmp_path / "uploads", most=1), results=Shelf(tmp_path / "results"))


def test_a_film_that_is_sent_is_kept_as_it_is(door: FileDoor) -> None:
    answer = TestClient(door).post("/studio/upload?name=my%20film.mp4", content=b"0123456789", headers=HEADERS)
    file = door.uploads.get(answer.json()["token"])
    assert file.path.read_bytes() == b"0123456789"
    assert file.name == "my film.mp4"


def test_where_there_is_no_room_one_line_says_so(door: FileDoor) -> None:
    with door.uploads.new("a.mp4"):
        answer = TestClient(door).post("/studio/upload?name=b.mp4", content=b"x", headers=HEADERS)
    assert_mentions(answer.json()["error"], "b.mp4")


def test_a_result_is_given_whole_and_in_parts_and_uploads_are_not(door: FileDoor) -> None:
    client = TestClient(door)
    with door.results.new("out.mp4") as file:
        file.path.write_bytes(b"0123456789")
    whole = client.get(f"/studio/results/{file.token}")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, b"0123456789", "video/mp4")
    part = client.get(f"/studio/results/{file.token}", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    token = client.post("/studio/upload?name=a.mp4", content=b"x", headers=HEADERS).json()["token"]
    assert client.get(f"/studio/results/{token}").status_code == 404


def test_what_is_not_the_door_s_goes_through(door: FileDoor) -> None:
    assert TestClient(door).get("/elsewhere").status_code == 418
