"""The named data sets: description, source, layout of files, published scores."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autolink_gen.common.progress import Progress
from autolink_gen.data.published.celeba_h5 import read_celeba_h5
from autolink_gen.data.published.readers import (
    Splits,
    read_celeba,
    read_cub,
    read_deepfashion,
    read_flowers,
    read_human36m,
    read_taichi,
)

PUPPETS = "puppets"


@dataclass(frozen=True)
class Embedded:
    """A data set that is drawn on the fly and needs no files."""

    about: str


@dataclass(frozen=True)
class Layout:
    """One layout in which a set is published: its required files and folders, and their reader.

    In `tree`, "S1/WithBackground/<activity>/*.jpg" asks for the folder before the first mark of "<" or "*".
    """

    tree: tuple[str, ...]
    read: Callable[[Path, Progress], Splits]


@dataclass(frozen=True)
class PublishedScore:
    """A published score of AutoLink: at a keypoint count, with one thickness for all sets or a tuned one."""

    num_keypoints: int | None
    same_thickness: float | None
    tuned: float | None = None


@dataclass(frozen=True)
class ImageSet:
    """A data set of image files, or of videos.

    Sets that can be read as they are have folders for each split, `train` and `test`, inside the set's own folder,
    first choice first ("." is that folder itself); `depth` is the number of folder levels between such a folder and
    its pictures: 0 for `train/*.jpg`, 1 for `train/<class>/*.jpg`. `level` says what such a level is called.
    `videos`: its files are videos.

    Sets with `layouts` are made ready by `autolink-gen data prepare`, all of them or, as Tai-Chi, their annotated
    images. `form` says how their landmarks are written, `homes` are the names that the set's folder may have, beside
    its own. `counts` are the published numbers of images of each split, `protocol` is its protocol of
    :mod:`autolink_gen.evaluation.landmarks`, `names` are those of its landmarks. `settings` over a recipe are those
    that the published runs had on this set.
    """

    about: str
    train: tuple[str, ...] = ("train",)
    test: tuple[str, ...] = ("test",)
    depth: int = 0
    level: str = "folder"
    videos: bool = False
    homes: tuple[str, ...] = ()
    where: str = ""
    licence: str = ""
    size: str = ""
    form: str = ""
    layouts: tuple[Layout, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    protocol: str | None = None
    names: tuple[str, ...] = ()
    figures: tuple[PublishedScore, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    torchvision: str | None = None  # the class that downloads it

    def candidates(self, split: str) -> tuple[str, ...]:
        """The folders to try for a split."""
        return self.test if split == "test" else self.train


_FACE = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
_BIRD = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left_eye", "left_leg", "left_wing", "nape", "right_eye",
    "right_leg", "right_wing", "tail", "throat",
)  # fmt: skip
_MAFL = ("MAFL/training.txt", "MAFL/testing.txt")
_MIRRORED = {"data": {"flip": 0.5}}


def _celeba(images: str, landmarks: str, *, boxes: str | None = None) -> Layout:
    read = partial(read_celeba, images=images, landmarks=landmarks, boxes=boxes)
    return Layout((f"{images}/*.jpg", landmarks, *([boxes] if boxes else []), *_MAFL), read)


def _human36m(about: str, figure: PublishedScore, *, masked: bool) -> ImageSet:
    kinds = {"WithBackground": "jpg", "Landmarks": "mat"} | ({"BackgroudMask": "png"} if masked else {})
    tree = [f"S{s}/{kind}/<activity>/*.{end}" for s in (1, 5, 6, 7, 8, 9, 11) for kind, end in kinds.items()]
    return ImageSet(
        about,
        train=(),
        test=(),
        homes=("human36m", "h36m"),
        where="http://vision.imar.ro/human3.6m, then cropped to the person, in the tree of the authors' code",
        licence="free for academic use, after registration",
        size="about 20 GB cropped",
        form="keypoints_2d (32, 2) in each .mat, (row, column) in [0, 1]; BackgroudMask is spelled so",
        layouts=(Layout(tuple(tree), partial(read_human36m, masked=masked)),),
        protocol="h36m",
        figures=(figure,),
        settings={} if masked else _MIRRORED,
    )


def _cub(name: str, figure: PublishedScore, *, test_class: int | None) -> ImageSet:
    return ImageSet(
        f"birds, {name}, each cut out by its box, with 15 landmarks",
        train=(),
        test=(),
        homes=("CUB_200_2011", "cub"),
        where="https://www.vision.caltech.edu/datasets/cub_200_2011",
        licence="non-commercial research and education",
        size="1.1 GB",
        layouts=(
            Layout(
                ("images/<class>/*.jpg", "images.txt", "image_class_labels.txt", "train_test_split.txt",
                 "bounding_boxes.txt", "parts/part_locs.txt"),
                partial(read_cub, test_class=test_class),
            ),
        ),
        counts={} if test_class else {"train": 5994, "test": 5794},
        protocol="cub",
        names=_BIRD,
        figures=(figure,),
    )  # fmt: skip


SETS: dict[str, Embedded | ImageSet] = {
    PUPPETS: Embedded("articulated figures with known joints, drawn on the fly; needs no files"),
    "faces68": ImageSet(
        "faces in the wild with 68 landmarks each",
        where="frames of YouTube Faces, cropped to the face; not published in this form, but any images with a table "
        "of landmarks will do",
        protocol="faces68",
    ),
    "celeba-aligned": ImageSet(
        "faces, aligned and cropped, with 5 landmarks; training leaves MAFL's out",
        train=(),
        test=(),
        homes=("celeba",),
        where="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, "
        "MAFL's lists: https://mmlab.ie.cuhk.edu.hk/projects/TCDCN.html",
        licence="non-commercial research",
        size="1.4 GB",
        layouts=(_celeba("img_align_celeba", "list_landmarks_align_celeba.txt"),),
        counts={"fit": 19000, "test": 1000},
        protocol="celeba_aligned",
        names=_FACE,
        figures=(PublishedScore(10, 3.92, 3.54),),
        settings=_MIRRORED,
        torchvision="CelebA",
    ),
    "celeba-wild": ImageSet(
        "faces in the wild that take 30 % of the image or more, with 5 landmarks",
        train=(),
        test=(),
        homes=("celeba_wild", "celeba_wild_raw", "celeba"),
        where="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, "
        "MAFL's lists: https://mmlab.ie.cuhk.edu.hk/projects/TCDCN.html",
        licence="non-commercial research",
        size="10 GB, or 2.5 GB as celeba_wild.h5",
        layouts=(
            Layout(("celeba_wild.h5",), read_celeba_h5),
            _celeba("img_celeba", "list_landmarks_celeba.txt", boxes="list_bbox_celeba.txt"),
        ),
        counts={"train": 45609, "fit": 5379, "test": 283},
        protocol="celeba_wild",
        names=_FACE,
        figures=(PublishedScore(4, 7.72, 6.11), PublishedScore(8, 5.66, 5.24)),
        settings=_MIRRORED | {"model": {"sigma2": 2.5e-3}},
    ),
    "human36m": _human36m("people before their background, with 32 landmarks",
                          PublishedScore(16, None, 5.02), masked=False),
    "human36m-nobg": _human36m("people, the background black, with 32 landmarks",
                               PublishedScore(16, 2.81, 2.76), masked=True),
    "deepfashion": ImageSet(
        "dressed people, with landmarks",
        train=(),
        test=(),
        where="https://github.com/theRealSuperMario/unsupervised-disentangling (custom_datasets/deepfashion)",
        licence="non-commercial research",
        size="about 0.5 GB",
        form="files in the second column of the .csv, [{keypoints: [[x, y], ...]}, ...] in 255ths in the .json",
        layouts=(
            Layout(
                ("img/<folder>/*.jpg", "data_train.csv", "data_train.json", "data_test.csv", "data_test.json"),
                read_deepfashion,
            ),
        ),
        protocol="deepfashion",
        figures=(PublishedScore(16, 65.0, 66.0),),
    ),
    "taichi": ImageSet(
        "frames of people doing Tai-Chi, a folder a clip",
        train=("train", "."),
        test=("test", "."),
        depth=1,
        level="clip",
        where="https://github.com/AliaksandrSiarohin/motion-cosegmentation",
        licence="by the videos' owners; for research",
        size="about 15 GB of frames",
        form="tables of pandas with the columns file_name and value (18, 2), (x, y) in 255ths, -1 unlabelled",
        layouts=(
            Layout(
                ("landmark/taichi_train_gt.pkl", "landmark/taichi_test_gt.pkl", "eval_images/taichi-256/train/*.png",
                 "eval_images/taichi-256/test/*.png"),
                read_taichi,
            ),
        ),
        counts={"fit": 5000, "test": 300},
        protocol="taichi",
        figures=(PublishedScore(10, 337.5, 316.1),),
        settings=_MIRRORED | {"model": {"sigma2": 5e-4}},
    ),
    "cub-001": _cub("class 001 to test on, 001 to 003 to learn from", PublishedScore(None, None, 20.2), test_class=1),
    "cub-002": _cub("class 002 to test on, 001 to 003 to learn from", PublishedScore(None, None, 19.2), test_class=2),
    "cub-003": _cub("class 003 to test on, 001 to 003 to learn from", PublishedScore(None, None, 18.5), test_class=3),
    "cub-all": _cub("all 200 classes", PublishedScore(None, None, 11.3), test_class=None),
    "flowers": ImageSet(
        "flowers of 102 kinds",
        train=(),
        test=(),
        homes=("flowers-102", "flower"),
        where="https://www.robots.ox.ac.uk/~vgg/data/flowers/102",
        licence="for research; the images are their photographers'",
        size="0.35 GB",
        layouts=(Layout(("jpg/*.jpg", "setid.mat"), read_flowers),),
        counts={"train": 6149, "test": 1020},
        settings=_MIRRORED,
        torchvision="Flowers102",
    ),
    "hands": ImageSet(
        "hands, from above and from below",
        train=("Hands", "."),
        test=("Hands", "."),
        homes=("11k-hands", "11k_hands", "11k Hands"),
        where="https://sites.google.com/view/11khands",
        licence="fair academic use",
        size="0.6 GB",
        settings=_MIRRORED | {"model": {"fit": "stretch"}},
    ),
    "horses": ImageSet(
        "horses, of CycleGAN's horse2zebra",
        train=("trainA",),
        test=("testA",),
        homes=("horse2zebra",),
        where="https://www.kaggle.com/datasets/balraj98/horse2zebra-dataset",
        licence="ImageNet's: non-commercial research",
        size="0.1 GB",
    ),
    "zebras": ImageSet(
        "zebras, of CycleGAN's horse2zebra",
        train=("trainB",),
        test=("testB",),
        homes=("horse2zebra",),
        where="https://www.kaggle.com/datasets/balraj98/horse2zebra-dataset",
        licence="ImageNet's: non-commercial research",
        size="0.1 GB",
    ),
    "afhq": ImageSet(
        "animal faces; afhq/cat, afhq/dog and afhq/wild are one class each",
        test=("test", "val"),
        depth=1,
        level="class",
        homes=("afhq_v2",),
        where="https://github.com/clovaai/stargan-v2",
        licence="CC BY-NC 4.0",
        size="0.7 GB; version 2 6.5 GB",
        settings=_MIRRORED,
    ),
    "voxceleb2": ImageSet(
        "talking heads, a video a clip",
        train=("dev/mp4", "dev"),
        test=("test/mp4", "test"),
        depth=2,
        level="id or video",
        videos=True,
        where="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox2.html",
        licence="CC BY 4.0 for the lists; the videos are their owners'",
        size="about 250 GB",
    ),
}  # fmt: skip


def unknown_set(text: str) -> str:
    """The message for an unknown set: near names, and all names."""
    close = difflib.get_close_matches(text.lower(), SETS, n=2, cutoff=0.6)
    guess = f". Did you mean {' or '.join(close)}?" if close else "."
    return (
        f"{text!r} is neither a data set nor a folder that exists{guess} The data sets are "
        f"{', '.join(SETS)}; for images of your own give their folder, for example --data ./my_pictures"
    )
