"""Clips and draws of frames from them: what is found, what is read, what a draw depends on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.messages import assert_line_mentions, is_mentioned
from helpers.video_clips import make_frames, write_clip, write_keyframes
from PIL import Image

from autolink_gen.data.puppets.dataset import puppet_clip
from autolink_gen.data.video import clips as clips_module
from autolink_gen.data.video.clips import PUPPET_FRAMES, Clip, FrameFolder, PuppetClip, VideoClip, list_clips
from autolink_gen.data.video.random_frames import RandomFrames, _shares


def write_folder(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(make_frames(count)):
        Image.fromarray(frame).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def clips_folder(tmp_path: Path) -> Path:
    """Two videos as VoxCeleb2's lie, a folder of frames, a lone picture that is no clip."""
    for person in ("id2", "id1"):
        place = tmp_path / "set" / person / "video" / "00001.mp4"
        place.parent.mkdir(parents=True)
        write_clip(place, 12)
    write_folder(tmp_path / "set" / "walk", 5)
    Image.new("RGB", (40, 40)).save(tmp_path / "set" / "lone.png")
    return tmp_path / "set"


def test_videos_and_folders_of_frames_are_found(clips_folder: Path) -> None:
    clips = list_clips(clips_folder)
    names = ["id1/video/00001.mp4", "id2/video/00001.mp4", "walk"]
    assert [clip.name for clip in clips] == [str(clips_folder / name) for name in names]
    assert [clip.count() for clip in clips] == [12, 12, 5]
    assert all(isinstance(clip, Clip) for clip in clips)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "lone.png")
    with pytest.raises(ValueError, match=r"no clips in .*\.mp4.*found 1 x \.png"):
        list_clips(tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        list_clips(tmp_path / "elsewhere")


def test_frames_of_a_video_are_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = VideoClip(write_keyframes(tmp_path / "clip.mp4", 50, every=10))
    frames = dict(clip.read([25, 41], min_side=32))
    assert list(frames) == list(range(20, 42))
    monkeypatch.setattr(clips_module, "_SKIP", 5)
    frames = dict(clip.read([25, 41], min_side=32))
    assert list(frames) == [20, 21, 22, 23, 24, 25, 40, 41]
    for number, pixels in frames.items():
        assert pixels[-4, -4].mean() == pytest.approx(20 + 4 * number, abs=3)
    assert [number for number, _ in clip.read([3, 3, 4], min_side=32)] == [0, 1, 2, 3, 4]
    assert list(dict(clip.read([99], min_side=32))) == list(range(40, 50)), "the end, where there is no such frame"


def test_frames_of_a_folder(tmp_path: Path) -> None:
    (clip,) = list_clips(write_folder(tmp_path / "walk", 5))
    assert isinstance(clip, FrameFolder)
    (number, pixels), *_ = clip.read([3], min_side=32)
    assert number == 3
    assert pixels[-4, -4].mean() == 32


def test_a_frame_that_cannot_be_read_is_replaced_by_the_nearest(tmp_path: Path, caplog) -> None:
    (clip,) = list_clips(write_folder(tmp_path / "walk", 5))
    for number in (3, 4):
        clip.files[number].write_text("no picture")
    for _ in range(2):
        assert [number for number, _ in clip.read([1, 3, 4], min_side=32)] == [1, 2, 2]
    said = [record.message for record in caplog.records]
    assert len(said) == 2 and all(is_mentioned(line, "nearest") for line in said)
    for file in clip.files:
        file.write_text("no picture")
    (again,) = list_clips(tmp_path / "walk")
    assert list(again.read([0, 2], min_side=32)) == []


def test_a_bad_frame_a_clip_spoils_no_clip(tmp_path: Path) -> None:
    for name in ("walk", "run"):
        write_folder(tmp_path / "set" / name, 6)
        sorted((tmp_path / "set" / name).iterdir())[2].write_text("no picture")
    draws = draws_of(tmp_path / "set")
    apart = [index for index in range(30) if len({int(6 * share) for share in _shares(0, index, 2)}) == 2]
    assert len(apart) > 15
    for index in apart:
        first, second = draws[index]
        assert not torch.equal(first, second), "two frames, not one twice"
    assert draws.bad_clips == []


def test_frames_of_a_puppet_are_those_of_its_clip() -> None:
    clip = PuppetClip(3, seed=1, size=32, split="test")
    frames = dict(clip.read([2, 70], min_side=32))
    whole, _ = puppet_clip(1, 3, num_frames=PUPPET_FRAMES, size=32, split="test")
    assert all(np.array_equal(frames[number], whole[number]) for number in (2, 70))
    assert clip.name == "puppet 3"
    assert clip.count() == PUPPET_FRAMES


# ---- draws ----


def draws_of(folder: Path, **changes) -> RandomFrames:
    return RandomFrames(list_clips(folder), **{"image_size": 32, **changes})


def test_two_frames_of_one_clip(clips_folder: Path) -> None:
    draws = draws_of(clips_folder)
    assert len(draws) >= 100_000
    pair = draws[7]
    assert (pair.shape, pair.dtype) == ((2, 3, 32, 32), torch.uint8)
    numbers = [int(share * 12) for share in _shares(0, 7, 2)]  # draw 7 of three clips is of the second
    for picture, number in zip(pair, numbers, strict=True):
        assert float(picture[:, -2, -2].float().mean()) == pytest.approx(20 + 4 * number, abs=3)


def test_a_draw_depends_on_seed_and_index_alone(clips_folder: Path) -> None:
    draws = draws_of(clips_folder)
    straight = [draws[index] for index in range(12)]
    again, forgetful = draws_of(clips_folder), draws_of(clips_folder, cache_bytes=0)
    assert all(torch.equal(again[index], straight[index]) for index in reversed(range(12)))
    assert all(torch.equal(forgetful[index], straight[index]) for index in range(12))
    other = draws_of(clips_folder, seed=1)
    assert any(not torch.equal(other[index], straight[index]) for index in range(12))


def test_draws_reach_all_frames_and_both_orders(tmp_path: Path) -> None:
    shares = np.array([_shares(0, index, 2) for index in range(2000)])
    counts = np.bincount((shares * 5).astype(int).ravel(), minlength=5)
    assert counts.min() > 700 and len(counts) == 5
    assert 900 < (shares[:, 0] < shares[:, 1]).sum() < 1100


def test_one_frame_for_the_graph_learner(clips_folder: Path) -> None:
    assert draws_of(clips_folder, frames=1)[4].shape == (3, 32, 32)


def test_what_was_decoded_is_not_decoded_again(clips_folder: Path, monkeypatch) -> None:
    draws = draws_of(clips_folder)
    reads = []
    plain = VideoClip.read
    monkeypatch.setattr(
        VideoClip, "read", lambda self, numbers, **kwargs: reads.append(numbers) or plain(self, numbers, **kwargs)
    )
    for index in range(0, 300, 3):
        draws[index]
    assert len(reads) <= 12


def test_memory_has_a_limit(clips_folder: Path) -> None:
    draws = draws_of(clips_folder, cache_bytes=4 * 3 * 32 * 32)
    for index in range(30):
        draws[index]
    assert len(draws._memory) == 4


def test_a_damaged_clip_is_reported_once_and_replaced(clips_folder: Path, caplog) -> None:
    bad = clips_folder / "id1" / "video" / "00001.mp4"
    bad.write_bytes(b"no video")
    draws = draws_of(clips_folder)
    pairs = [draws[index] for index in (0, 3, 6)]
    assert all(pair.shape == (2, 3, 32, 32) for pair in pairs)
    assert draws.bad_clips == [str(bad)]
    (record,) = caplog.records
    assert_line_mentions(record.message, bad, "next")


def test_too_many_damaged_clips_end_it(clips_folder: Path) -> None:
    for person in ("id1", "id2"):
        (clips_folder / person / "video" / "00001.mp4").write_bytes(b"")
    draws = draws_of(clips_folder)
    with pytest.raises(ValueError, match=r"2 of the 3 clips .*id1.*id2.*remove or replace them"):
        draws[0]


def test_a_clip_that_breaks_off_gives_its_last_frame(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "walk", 5)
    video = write_clip(tmp_path / "set" / "clip.mp4", 12)
    clip = VideoClip(video)
    clip.count = lambda: 100
    draws = RandomFrames([clip], image_size=32)
    index = next(i for i in range(50) if min(_shares(0, i, 2)) > 0.2)
    shown = sorted(float(picture[:, -2, -2].float().mean()) for picture in draws[index])
    assert shown == pytest.approx([20 + 4 * 10, 20 + 4 * 11], abs=2), "two frames, not one twice"


def test_arguments_are_checked(clips_folder: Path) -> None:
    with pytest.raises(ValueError, match="no clips"):
        RandomFrames([], image_size=32)
    with pytest.raises(ValueError, match="frames=3"):
        draws_of(clips_folder, frames=3)
    draws = draws_of(clips_folder)
    with pytest.raises(IndexError):
        draws[len(draws)]
    shutil.rmtree(clips_folder)
    with pytest.raises(ValueError, match="cannot be read"):
        draws[0]
