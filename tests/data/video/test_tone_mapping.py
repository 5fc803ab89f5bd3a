"""HDR video looks as the SDR that it was made from; the reference formulas here are the inverse of the product's."""

import logging
from pathlib import Path

import numpy as np
import pytest
from helpers.colour_clips import bars_of, far_from, write_bars

from autolink_gen.common.limits import PIXELS_VARIABLE
from autolink_gen.data.video.reader import VideoError, VideoReader
from autolink_gen.data.video.tone_mapping import Transfer, sdr_table, to_sdr

_COLOURS = np.array([[235, 235, 235], [128, 128, 128], [16, 16, 16], [200, 150, 100], [90, 140, 60], [60, 80, 170]])
_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
_PQ, _HLG = 16, 18


def _hlg(nits: np.ndarray) -> np.ndarray:
    """BT.2100: the inverse OOTF of 1000 nits, then the OETF."""
    light = nits / 1000
    luminance = (light @ [0.2627, 0.6780, 0.0593])[:, None]
    scene = light / np.maximum(luminance, 1e-9) ** (1 / 6)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def _pq(nits: np.ndarray) -> np.ndarray:
    """BT.2100: the inverse EOTF."""
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _write_hdr(path: Path, colours: np.ndarray, transfer: int) -> Path:
    """The colours as BT.2408 brings SDR into HDR: its white at 203 nits."""
    nits = 203 * (colours / 255) ** 2.4 @ _TO_BT2020.T
    signals = _hlg(nits) if transfer == _HLG else _pq(nits)
    marks = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    return write_bars(path, signals, matrix="2020", bits=10, codec="libx265", **marks)


@pytest.mark.parametrize("transfer", [_HLG, _PQ])
def test_hdr_looks_as_the_sdr_that_it_was_made_from(
    tmp_path: Path, transfer: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = _write_hdr(tmp_path / "clip.mp4", _COLOURS, transfer)
    with caplog.at_level(logging.WARNING):
        reader = VideoReader(path)
        frames = [frame for _ in range(2) for frame in reader]
    assert far_from(frames[-1], _COLOURS) <= 5
    (told,) = (record.message for record in caplog.records)  # once, however often the file is read
    assert "clip.mp4" in told and "HDR" in told


@pytest.mark.parametrize("transfer", [_HLG, _PQ])
def test_pure_colours_stay_pure(tmp_path: Path, transfer: int) -> None:
    pure = 255 * np.eye(3)
    found = np.array(bars_of(next(iter(VideoReader(_write_hdr(tmp_path / "clip.mp4", pure, transfer)))), 3))
    assert found[np.eye(3, dtype=bool)].min() >= 238  # of 255: light above 0.8 of white is pressed together
    assert found[~np.eye(3, dtype=bool)].max() <= 32  # a level of 10 bits is 17 of these near black


# The signals of grey steps, BT.2408 table 1: white at 203 nits is HLG 75 %, PQ 58 %; half of a screen's peak.
@pytest.mark.parametrize(("transfer", "white"), [(Transfer.HLG, 0.75), (Transfer.PQ, 0.5807)])
def test_reference_white_is_near_white_and_brighter_light_is_told_apart(transfer: Transfer, white: float) -> None:
    greys = 255 * to_sdr(np.repeat([[0.0], [white], [white + 0.1], [1.0]], 3, axis=1), transfer)[:, 0]
    assert greys[0] == 0 and 240 <= greys[1] <= 250
    assert greys[1] + 3 < greys[2] <= greys[3] and greys[3] == pytest.approx(255)


@pytest.mark.parametrize("transfer", list(Transfer))
def test_the_table_gives_the_formula_for_every_grey(transfer: Transfer) -> None:
    table, signals = sdr_table(transfer), np.repeat(np.linspace(0, 1, 1024)[:, None], 3, axis=1)
    index = table.parts[0] | table.parts[1] | table.parts[2]
    found = table.colours[index].view(np.uint8).reshape(-1, 4)[:, :3]
    assert np.abs(found - 255 * to_sdr(signals, transfer)).max() < 1.6  # a step of 127, and rounding
    assert (np.diff(found[:, 0].astype(int)) >= 0).all()


def test_wide_colours_of_sdr_become_those_of_bt709(tmp_path: Path) -> None:
    signals = ((_COLOURS / 255) ** 2.4 @ _TO_BT2020.T) ** (1 / 2.4)
    marks = {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": 1}
    path = write_bars(tmp_path / "clip.mp4", signals, matrix="2020", bits=10, codec="libx265", **marks)
    assert far_from(next(iter(VideoReader(path))), _COLOURS) <= 5


def test_hdr_takes_more_of_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write_hdr(tmp_path / "clip.mp4", _COLOURS, _PQ)
    kept_frames, frame_bytes = 17, 3  # of HEVC; a pixel of 10 bits
    for made_bytes, fits in ((12, True), (11, False)):
        monkeypatch.setenv(PIXELS_VARIABLE, str(-(-32 * 128 * (kept_frames * frame_bytes + made_bytes) // 10)))
        if fits:
            VideoReader(path)
        else:
            with pytest.raises(VideoError, match=PIXELS_VARIABLE):
                VideoReader(path)
