"""Tiny data sets in the form in which the real ones are published, made by the tests."""

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from autolink_gen.data.published.prepare import PreparedSplit, prepare_set
from autolink_gen.data.published.sets import SETS, ImageSet

WHITE_BOX = (10, 20, 30, 40)  # left, top, width, height of the bird
H36M_ACTIVITY = "Walking 1.54138969"


def _lines(file: Path, rows: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n")


def _picture(file: Path, *, width: int = 40, height: int = 60) -> None:
    """Black, with a white quarter at its top left."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = 255
    Image.fromarray(pixels).save(file, quality=95)


def celeba(root: Path, *, wild: bool) -> Path:
    """12 pictures; 7 to 9 are MAFL's to fit on, 10 to 12 to test on. In the wild, odd ones have small faces."""
    home = root / ("celeba_wild" if wild else "celeba")
    names = [f"{number:06d}.jpg" for number in range(1, 13)]
    for name in names:
        _picture(home / ("img_celeba" if wild else "img_align_celeba") / name)
    points = [f"{name}  10 15  30 15  20 30  12 45  28 45" for name in names]
    table = "list_landmarks_celeba.txt" if wild else "list_landmarks_align_celeba.txt"
    _lines(home / table, ["12", "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y", *points])
    boxes = [f"{name}  5 5 {30 if number % 2 else 10} 30" for number, name in enumerate(names)]
    _lines(home / "list_bbox_celeba.txt", ["12", "image_id x_1 y_1 width height", *boxes])
    _lines(home / "MAFL" / "training.txt", [f"{name} {'1 ' * 14}" for name in names[6:9]])
    _lines(home / "MAFL" / "testing.txt", [f"{name} {'1 ' * 14}" for name in names[9:]])
    return home


def celeba_h5(root: Path) -> Path:
    """Two pictures a part, the first landmark 32 pixels from the left and 64 from the top of 128."""
    import h5py

    home = root / "celeba_wild"
    home.mkdir(parents=True)
    with h5py.File(home / "celeba_wild.h5", "w") as file:
        for name in ("train", "mafl_train", "mafl_test"):
            pictures = np.zeros((2, 3, 128, 128), np.uint8)
            pictures[:, 0] = 255  # red
            points = np.tile(np.array([64.0, 32.0], np.float32), (2, 5, 1))
            file.create_dataset(f"{name}_img", pictures.shape, h5py.h5t.STD_U8BE, data=pictures)
            file.create_dataset(f"{name}_landmark", points.shape, "float32", data=points)
    return home


def human36m(root: Path) -> Path:
    """Two frames of Walking for each subject, and one of an activity that is not used."""
    home = root / "human36m"
    for subject in (1, 5, 6, 7, 8, 9, 11):
        for activity, frames in ((H36M_ACTIVITY, 2), ("Eating.54138969", 1)):
            for frame in range(frames):
                person = home / f"S{subject}"
                _picture(person / "WithBackground" / activity / f"{frame}.jpg")
                mask = np.zeros((60, 40), np.uint8)
                mask[:30] = 255
                (person / "BackgroudMask" / activity).mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(person / "BackgroudMask" / activity / f"{frame}.png")
                (person / "Landmarks" / activity).mkdir(parents=True, exist_ok=True)
                rows_columns = np.tile([0.25, 0.75], (32, 1))
                savemat(person / "Landmarks" / activity / f"{frame}.mat", {"keypoints_2d": rows_columns})
    return home


def deepfashion(root: Path) -> Path:
    """Three pictures to train on, two to test on; landmarks in 255ths."""
    home = root / "deepfashion"
    for part, count in (("train", 3), ("test", 2)):
        names = [f"WOMEN/{part}_{number}.jpg" for number in range(count)]
        for name in names:
            _picture(home / "img" / name, width=64, height=64)
        _lines(home / f"data_{part}.csv", [",filename", *(f"{number},{name}" for number, name in enumerate(names))])
        points = [{"keypoints": [[51.0, 102.0], [255.0, 0.0]]} for _ in names]
        (home / f"data_{part}.json").write_text(json.dumps(points))
    return home


def old_frame(columns: dict[str, list]) -> dict:
    """What is inside a DataFrame that pandas before 1.3 has pickled."""
    values = np.empty((len(columns), len(next(iter(columns.values())))), object)
    for row, column in enumerate(columns.values()):
        for place, value in enumerate(column):
            values[row, place] = value
    block = {"values": values, "mgr_locs": slice(0, len(columns), 1)}
    return {"0.14.1": {"axes": [np.array(list(columns), object), np.arange(values.shape[1])], "blocks": [block]}}


def taichi(root: Path) -> Path:
    """Three frames to fit on and two to test on; the last landmark of the first is unlabelled."""
    home = root / "taichi"
    for part, count in (("train", 3), ("test", 2)):
        names = [f"clip#{number}.png" for number in range(count)]
        for name in names:
            _picture(home / "eval_images/taichi-256" / part / name)
        points = [np.tile([51.0, 102.0], (18, 1)) for _ in names]
        points[0][-1] = -1
        state = old_frame({"file_name": names, "value": points})
        (home / "landmark").mkdir(exist_ok=True)
        (home / "landmark" / f"taichi_{part}_gt.pkl").write_bytes(pickle.dumps(state))
    return home


def cub(root: Path) -> Path:
    """Three classes and a fourth, two pictures each, one to train on; every second landmark is hidden."""
    home = root / "CUB_200_2011"
    rows: dict[str, list[str]] = {name: [] for name in ("images", "labels", "split", "boxes", "parts")}
    for number in range(1, 9):
        label = (number + 1) // 2
        name = f"{label:03d}.Bird/Bird_{number:04d}.jpg"
        _picture(home / "images" / name, width=60, height=80)
        rows["images"].append(f"{number} {name}")
        rows["labels"].append(f"{number} {label}")
        rows["split"].append(f"{number} {number % 2}")
        rows["boxes"].append(f"{number} {' '.join(f'{value:.1f}' for value in WHITE_BOX)}")
        rows["parts"] += [f"{number} {part} 25.0 40.0 {part % 2}" for part in range(1, 16)]
    files = {"images": "images.txt", "labels": "image_class_labels.txt", "split": "train_test_split.txt",
             "boxes": "bounding_boxes.txt", "parts": "parts/part_locs.txt"}  # fmt: skip
    for name, file in files.items():
        _lines(home / file, rows[name])
    return home


def flowers(root: Path) -> Path:
    """Six flowers: one to test on, one that is not used, four to learn from."""
    home = root / "flowers-102"
    for number in range(1, 7):
        _picture(home / "jpg" / f"image_{number:05d}.jpg")
    savemat(home / "setid.mat", {"trnid": [[2]], "valid": [[5]], "tstid": [[1, 3, 4, 6]]})
    return home


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "celeba-aligned": lambda root: celeba(root, wild=False),
    "celeba-wild": lambda root: celeba(root, wild=True),
    "human36m": human36m,
    "human36m-nobg": human36m,
    "deepfashion": deepfashion,
    "taichi": taichi,
    "cub-001": cub,
    "cub-002": cub,
    "cub-003": cub,
    "cub-all": cub,
    "flowers": flowers,
}


def prepare(name: str, root: Path, *, size: int = 16, overwrite: bool = False) -> list[PreparedSplit]:
    """Make a tree ready."""
    entry = SETS[name]
    assert isinstance(entry, ImageSet)
    return prepare_set(name, entry, root, size=size, overwrite=overwrite)
