from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_mentions, raises_mentioning
from helpers.video_clips import write_in

from autolink_gen.common.progress import Progress
from autolink_gen.data.video.animated_images import open_video
from autolink_gen.data.video.stream import FrameStream
from autolink_gen.inference.detect import detect_images, video_frames
from autolink_gen.inference.generate import Gan
from autolink_gen.studio.jobs import Job
from autolink_gen.studio.walks import walk_video

FRAMES = 12


def test_every_frame_of_a_short_video_has_the_keypoints_of_detect(gan: Gan, film: Path) -> None:
    walk = walk_video(gan.graph, FrameStream(film), name="tiny")
    expected = [found.keypoints for found in detect_images(gan.graph, video_frames(open_video(film)))]
    assert np.array(walk.keypoints) == pytest.approx(np.clip(expected, -1, 1), abs=1e-3)
    assert walk.times_s == pytest.approx([step / 10 for step in range(FRAMES)])
    assert (walk.width, walk.height) == (64, 48)
    assert {len(each) for each in (walk.likelihoods, walk.pictures)} == {FRAMES}
    assert np.array(walk.smoothed["median"][5]) == pytest.approx(np.median(walk.keypoints[3:8], axis=0), abs=1e-4)
    rough, smooth = (np.abs(np.diff(poses, axis=0)).sum() for poses in (walk.keypoints, walk.smoothed["one-euro"]))
    assert 0 < smooth < rough


@pytest.mark.parametrize("says_its_length", [True, False])
def test_of_a_longer_video_evenly_spread_frames_are_taken(gan: Gan, film: Path, says_its_length: bool) -> None:
    stream = FrameStream(film)
    if not says_its_length:
        stream.num_frames = 0
    job = Job()
    walk = walk_video(gan.graph, stream, name="tiny", most=4, with_pictures=False, progress=job.progress)
    assert (job.done, job.total) == (4, 4)
    assert walk.times_s == pytest.approx([0.0, 0.3, 0.6, 0.9])
    assert walk.pictures == []
    assert walk.remark == ""


def test_a_video_that_ends_early_is_remarked_on_unless_it_was_stopped(gan: Gan, tmp_path: Path) -> None:
    film = write_in(tmp_path / "cut.webm", "webm", "libvpx", count=40)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    *_, last = FrameStream(film)
    walk = walk_video(gan.graph, FrameStream(film), name="tiny")
    assert_mentions(walk.remark, "cut.webm", "early", f"{last.time_s + 0.04:.1f} of 1.6 seconds")
    stopped = walk_video(gan.graph, FrameStream(film), name="tiny", progress=lambda items, *_: islice(items, 8))
    assert (len(stopped.times_s), stopped.remark) == (8, "")


def test_a_walk_that_is_stopped_keeps_its_frames_but_for_none(gan: Gan, film: Path) -> None:
    def some(count: int) -> Progress:
        return lambda items, total, label: islice(items, count)

    assert len(walk_video(gan.graph, FrameStream(film), name="tiny", progress=some(5)).keypoints) == 5
    with raises_mentioning(ValueError, "stopped"):
        walk_video(gan.graph, FrameStream(film), name="tiny", progress=some(0))


def test_a_frame_that_comes_twice_at_the_end_of_a_cut_video_counts_once(
    gan: Gan, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = FrameStream(film)
    first, second, *_ = stream
    monkeypatch.setattr(stream, "timed_spread", lambda most: iter([first, second, second]))
    assert walk_video(gan.graph, stream, name="tiny").times_s == pytest.approx([0.0, 0.1])
