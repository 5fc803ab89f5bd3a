import pytest

from autolink_gen.common.limits import DOWNLOAD_VARIABLE, PIXELS_VARIABLE, max_download_bytes, max_pixels


def test_the_environment_raises_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = max_pixels(), max_download_bytes()
    monkeypatch.setenv(PIXELS_VARIABLE, "1000000000")
    monkeypatch.setenv(DOWNLOAD_VARIABLE, "5")
    assert (max_pixels(), max_download_bytes()) == (1_000_000_000, 5)
    assert usual == (64_000_000, 16 * 2**30)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", "²"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(PIXELS_VARIABLE, text)
    with pytest.raises(ValueError, match=PIXELS_VARIABLE):
        max_pixels()
