"""`inspect_videos`: every frame decoded, the damaged ones counted, all that is bad named at once."""

from pathlib import Path

from helpers.messages import assert_line_mentions, assert_mentions
from helpers.video_clips import destroy_packet, noise_clip, waves_clip, write_clip

from autolink_gen.data.check import inspect_folder
from autolink_gen.data.video.check import VideoReport, inspect_videos


def test_whole_damaged_and_lost_videos(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", 6)
    hurt = destroy_packet(waves_clip(tmp_path / "hurt.mp4"), packet=20, keep=0.0)
    half = noise_clip(tmp_path / "half.mp4")
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    none = tmp_path / "none.mp4"
    none.write_text("This is a text, not a film.")

    found = inspect_videos([whole, hurt, none, half])

    assert found[1] == VideoReport(hurt, num_frames=39, bad_frames=1) and found[3] == VideoReport(whole, num_frames=6)
    assert [report.path for report in found if report.problem] == [none]
    assert [report.path for report in found if report.cut] == [half]
    assert "half.mp4" in found[0].cut and "none.mp4" in found[2].problem


def test_a_film_cut_in_the_middle_is_no_whole_one(tmp_path: Path) -> None:
    """Matroska says how long it is, and a cut leaves no damaged frame."""
    cut = noise_clip(tmp_path / "cut.webm")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    (found,) = inspect_videos([cut])
    assert 0 < found.num_frames < 40 and not found.problem
    assert_mentions(found.cut, "cut.webm", "early")
    (whole,) = inspect_videos([noise_clip(tmp_path / "whole.webm")])
    assert whole.problem == ""


def test_the_beginning_of_a_cut_mp4_is_counted(tmp_path: Path) -> None:
    """Its index, at the front, promises frames that are not there."""
    cut = noise_clip(tmp_path / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    report = inspect_folder(tmp_path)
    (found,) = report.cut_videos
    assert 10 < found.num_frames < 25 and found.bad_frames == 0
    assert not report.unreadable_videos and not report.ends_training
    assert_line_mentions(report.lines(), cut, "early", found.num_frames, "read")


def test_damage_within_a_cut_mp4_still_counts(tmp_path: Path) -> None:
    cut = noise_clip(tmp_path / "cut.mp4")
    for packet in range(1, 13):
        destroy_packet(cut, packet=packet, keep=0.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (found,) = inspect_videos([cut])
    assert_mentions(found.problem, cut, "damaged")


def test_one_video_more_than_training_passes_over_ends_it(tmp_path: Path) -> None:
    write_clip(tmp_path / "good.mp4", 2)
    (tmp_path / "a.mp4").touch()
    assert not inspect_folder(tmp_path).ends_training
    (tmp_path / "b.mp4").touch()
    assert inspect_folder(tmp_path).ends_training


def test_a_bar_follows_the_frames(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / f"{number}.mp4", 5 + number) for number in range(2)]
    seen = []

    def progress(items, total, label):
        items = list(items)
        seen.append((label, total, len(items)))
        return items

    inspect_videos(paths, progress=progress)
    assert seen == [("opening videos", 2, 2), ("reading videos", 11, 11)]
