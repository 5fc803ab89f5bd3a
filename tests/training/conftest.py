"""Where bad updates are held back: on the host, or on the device, for which a CPU stands here."""

import pytest

from autolink_gen.training import guarded_updates


@pytest.fixture
def device_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates are held back on the device, as on CUDA."""
    monkeypatch.setattr(guarded_updates, "decides_on_device", lambda fabric: True)


@pytest.fixture(params=["host", "device"])
def guard(request: pytest.FixtureRequest) -> str:
    """Either of the two, by its name."""
    if request.param == "device":
        request.getfixturevalue("device_decides")
    return str(request.param)
