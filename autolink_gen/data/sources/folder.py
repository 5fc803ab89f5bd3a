"""Sources in folders: the base of users' folders and named sets, and a user's folder."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from autolink_gen.common.files import expand_user
from autolink_gen.data.contents import FileGroup, media_files
from autolink_gen.data.folders import check_folder, is_image, walk_files
from autolink_gen.data.image_folder import ImageFolder
from autolink_gen.data.images import FIT, check_fit
from autolink_gen.data.landmarks import landmark_places
from autolink_gen.data.listing import clip_listing, log_listing
from autolink_gen.data.published.places import subfolder
from autolink_gen.data.sources.base import Source, check_split, folders_to, speaking_name
from autolink_gen.data.video.clips import Clip, FrameFolder, list_clips
from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.data.video.reader import is_video

_HELD_OUT_NAMES = ("test", "val")  # what a folder beside train is called


class SourceOfFiles(Source):
    """Images and videos in folders; a subclass knows the folder of each split."""

    @abstractmethod
    def folder(self, split: str = "train") -> Path:
        """The folder that holds a split."""

    def images(self, split: str = "train", *, size: int, fit: FIT = "crop", seed: int = 0) -> Dataset[Tensor]:
        """The images below the folder of a split; ValueError for classes that it does not have, too."""
        check_fit(fit)
        folder = self.folder(split)
        folders = [subfolder(folder, name) for name in self.classes] or [folder]
        if _hold_videos_alone(folders):
            clips = [clip for class_folder in folders for clip in _clips_below(class_folder)]
            return RandomFrames(clips, image_size=size, frames=1, fit=fit, seed=seed)
        image_folders = [ImageFolder(class_folder, image_size=size, fit=fit) for class_folder in folders]
        for images in image_folders:
            log_listing(images.listing)
        return image_folders[0] if len(image_folders) == 1 else ConcatDataset(image_folders)

    def clips(self, split: str = "train", *, size: int, seed: int = 0) -> list[Clip]:
        """The videos and folders of frames below the folder of a split."""
        return _clips_below(self.folder(split))

    def held_out(self, *, size: int, fit: FIT = "crop") -> Dataset[Tensor] | None:
        """The test split, or the folder test or val beside a folder called train."""
        train, test = self.folder("train"), self.folder("test")
        if train != test:
            return self.images("test", size=size, fit=fit)
        beside = held_out_beside(train)
        if beside is None:
            return None
        return FolderSource(str(beside), self.classes).images("test", size=size, fit=fit)

    def holds_clips_out(self) -> bool:
        """Whether the test split is another folder than the training split."""
        return self.folder("train") != self.folder("test")

    def landmarks(self, split: str = "test") -> Path | None:
        """The table beside the images of a split; None where there is none."""
        return next((place for place in landmark_places(self.folder(split)) if place.is_file()), None)

    def files(self) -> Iterator[FileGroup]:
        """The images and videos of the training split, each class by itself."""
        folder = self.folder("train")
        for class_folder in [folder / name for name in self.classes] or [folder]:
            yield media_files(class_folder)


@dataclass(frozen=True)
class FolderSource(SourceOfFiles):
    """A folder of the user's. Where it holds train and test or val, these are its splits; else it is all of them."""

    text: str
    classes: tuple[str, ...] = ()

    @cached_property
    def _path(self) -> Path:
        return expand_user(self.text)

    @property
    def label(self) -> str:
        """The folder's name, behind its parent's where it says little."""
        return speaking_name(self._path.resolve().parts) if self._path.is_dir() else self.text.replace("/", "-")

    @property
    def full_name(self) -> str:
        """The folder from the root on."""
        return str(self._path.resolve()) if self._path.is_dir() else self.text

    @property
    def trail(self) -> tuple[str, ...]:
        """The folders from the root on, without train."""
        return folders_to(self._path)

    def folder(self, split: str = "train") -> Path:
        """The folder, or one in it; ValueError where it is a file."""
        check_split(split)
        folder = check_folder(self._path)
        test = next((folder / name for name in _HELD_OUT_NAMES if (folder / name).is_dir()), None)
        if test is None or not (folder / "train").is_dir():
            return folder
        return test if split == "test" else folder / "train"


def held_out_beside(folder: Path) -> Path | None:
    """The folder test or val beside one called train; None where there is none."""
    folder = folder.absolute()
    names = _HELD_OUT_NAMES if folder.name == "train" else ()
    return next((folder.parent / name for name in names if (folder.parent / name).is_dir()), None)


def _clips_below(folder: Path) -> list[Clip]:
    """The clips below a folder; logs how many there are, and what else is there."""
    clips = list_clips(folder)
    of_frames = {clip.folder for clip in clips if isinstance(clip, FrameFolder)}
    others = (
        path for path in walk_files(folder) if not is_video(path) and not (is_image(path) and path.parent in of_frames)
    )
    log_listing(clip_listing(folder, len(clips), others))
    return clips


def _hold_videos_alone(folders: Sequence[Path]) -> bool:
    files = [path for folder in folders for path in walk_files(folder)]
    return any(map(is_video, files)) and not any(map(is_image, files))
