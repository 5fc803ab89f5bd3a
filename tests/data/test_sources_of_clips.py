"""How a name or a folder becomes clips, and how several sets become one."""

from pathlib import Path

import pytest
import torch
from helpers.picture_files import save_picture
from helpers.video_clips import write_clip
from torch.utils.data import Dataset

from autolink_gen.data.mixture import Mixture
from autolink_gen.data.source import open_source
from autolink_gen.data.sources.puppets import PUPPET_CLIPS
from autolink_gen.data.video.clips import PuppetClip
from autolink_gen.data.video.random_frames import RandomFrames

pytestmark = pytest.mark.usefixtures("nobody_says_where")


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """VoxCeleb2's layout: two persons to learn from, one to test on."""
    for name in ("dev/mp4/id1/a/00001.mp4", "dev/mp4/id2/b/00001.mp4", "test/mp4/id3/c/00001.mp4"):
        path = tmp_path / "sets" / "voxceleb2" / name
        path.parent.mkdir(parents=True)
        write_clip(path, 3)
    return tmp_path / "sets"


def test_clips_of_voxceleb2(heads: Path) -> None:
    names = {
        split: [Path(clip.name).parts[-3] for clip in open_source("voxceleb2", root=heads).clips(split, size=32)]
        for split in ("train", "test")
    }
    assert names == {"train": ["id1", "id2"], "test": ["id3"]}


def test_clips_of_a_set_of_frames_and_of_a_folder(root: Path) -> None:
    assert [Path(clip.name).name for clip in open_source("taichi", root=root).clips(size=32)] == ["clip1"]
    assert len(open_source(root / "taichi").clips(size=32)) == 1
    with pytest.raises(ValueError, match="no clips in"):
        open_source(root / "faces68" / "test").clips(size=32)


def test_whether_clips_are_held_out(heads: Path) -> None:
    assert open_source("voxceleb2", root=heads).holds_clips_out() and open_source("puppets").holds_clips_out()
    alone = heads / "voxceleb2" / "dev"
    assert not open_source(alone).holds_clips_out()
    assert open_source(f"{alone}+puppets").holds_clips_out()


def test_clips_of_puppets() -> None:
    train, test = (open_source("puppets").clips(split, size=32, seed=5) for split in ("train", "test"))
    assert (len(train), len(test)) == (PUPPET_CLIPS["train"], PUPPET_CLIPS["test"])
    assert isinstance(test[0], PuppetClip)
    assert (test[0].split, test[0].seed, test[0].size) == ("test", 5, 32)


def test_frames_of_videos_are_pictures_too(heads: Path) -> None:
    for data in ("voxceleb2", str(heads / "voxceleb2" / "dev")):
        dataset = open_source(data, root=heads).images(size=32)
        assert isinstance(dataset, RandomFrames)
        assert dataset[0].shape == (3, 32, 32)
    held_out = open_source("voxceleb2", root=heads).held_out(size=32)
    assert isinstance(held_out, RandomFrames)
    assert [Path(clip.name).parts[-3] for clip in held_out.clips] == ["id3"]


def test_several_sets_are_opened_as_one(root: Path, heads: Path) -> None:
    both = open_source("faces68 + afhq/cat", root=root).images(size=16)
    assert isinstance(both, Mixture)
    assert sorted(both.lengths) == [1, 2] and len(both) == 4
    held_out = open_source("faces68+afhq/cat", root=root).held_out(size=16)
    assert isinstance(held_out, Mixture) and len(held_out) == 2
    assert open_source(f"faces68+{root / 'afhq' / 'val'}", root=root).held_out(size=16) is None
    assert len(open_source("puppets+voxceleb2", root=heads).clips(size=32)) == PUPPET_CLIPS["train"] + 2


def test_a_mixture_has_as_much_of_one_as_of_the_other() -> None:
    class Numbers(Dataset[torch.Tensor]):
        def __init__(self, *numbers: int) -> None:
            self.numbers = torch.tensor(numbers)

        def __len__(self) -> int:
            return len(self.numbers)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.numbers[index]

    mixture = Mixture([Numbers(0, 1), Numbers(10, 11, 12, 13, 14)])
    assert [int(mixture[i]) for i in range(len(mixture))] == [0, 10, 1, 11, 0, 12, 1, 13, 0, 14]
    with pytest.raises(IndexError, match="item 10 of 10"):
        mixture[10]


@pytest.mark.parametrize("name", ["a+b", "+"])
def test_a_folder_with_a_plus_in_its_name_is_one(tmp_path: Path, name: str) -> None:
    save_picture(tmp_path / name / "a.png")
    assert len(open_source(str(tmp_path / name)).images(size=16)) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "named"), [("faces68+nothing", "'nothing'"), ("faces68+", r"'faces68\+'")])
def test_of_several_sets_the_unknown_one_is_named(root: Path, data: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"--data {named} is neither"):
        open_source(data, root=root).images(size=16)


def test_a_wrong_tree_of_voxceleb2_is_shown(tmp_path: Path) -> None:
    (tmp_path / "voxceleb2" / "mp4").mkdir(parents=True)
    with pytest.raises(ValueError, match="voxceleb2 in the form") as caught:
        open_source("voxceleb2", root=tmp_path).clips(size=32)
    assert "voxceleb2/dev/mp4/<id or video>/<id or video>/*.mp4" in str(caught.value)
    assert "any kind of video" in str(caught.value)
