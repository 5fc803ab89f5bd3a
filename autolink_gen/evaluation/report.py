"""The report of an evaluation on annotated landmarks: a protocol's score and readable errors."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from autolink_gen.common.text import shown
from autolink_gen.data.published.sets import SETS, ImageSet
from autolink_gen.evaluation.human36m import NUM_LANDMARKS
from autolink_gen.evaluation.landmarks import (
    EYES,
    PROTOCOLS,
    Annotations,
    blind,
    eye_relative_distances,
    labelled_landmarks,
    landmark_distances,
    nme,
    per_landmark,
    predict,
    share_within,
)

# What the paper's tables hold of a protocol's score: its name, and what to multiply with.
IN_TABLES = {
    "celeba_wild": ("NME, % of the eye distance", 100.0),
    "celeba_aligned": ("NME, % of the eye distance", 100.0),
    "faces68": ("NME, % of the eye distance", 100.0),
    "cub": ("mean distance, % of the width", 100.0),
    "h36m": ("mean distance, % of the width", 100.0),
    "deepfashion": ("landmarks within 6 of 255 pixels, %, more is better", -100.0),
    "taichi": ("sum of mean absolute errors, of 255 pixels", 1.0),
}
# Landmarks in [0, 1] times this are in the unit of the protocol.
PROTOCOL_SCALES = {"deepfashion": 255.0, "taichi": 255.0}
PCK_OF_EYES, PCK_OF_WIDTH = 0.1, 0.05
# Facial regions among the usual 68 landmarks: name, first, last.
FACE_PARTS = (("jaw", 0, 16), ("brows", 17, 26), ("nose", 27, 35), ("eyes", 36, 47), ("mouth", 48, 67))


@dataclass(frozen=True)
class LandmarkReport:
    """Scores of one model on one test split.

    `score` is the protocol's own, `score_mean_pose` that of a detector that looks at no image. The errors,
    mean distance, the mean pose's, and each landmark's (NaN: never visible), are in percent of the image's
    eye distance where `by_eyes`, else of its width; `pck_percent` is the share of landmarks within
    `pck_threshold` of that length. `mae_percent` of the coordinates is always of the image's size.
    """

    protocol: str
    score: float
    score_mean_pose: float
    by_eyes: bool
    error_percent: float
    error_mean_pose_percent: float
    pck_percent: float
    pck_threshold: float
    mae_percent: float
    per_landmark_percent: tuple[float, ...]
    num_fit: int
    num_test: int
    num_keypoints: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the errors under the name that fits: `nme_*`, or `mean_distance_*`."""
        values = asdict(self)
        name = "nme" if values.pop("by_eyes") else "mean_distance"
        for key in ("percent", "mean_pose_percent"):
            values[f"{name}_{key}"] = values.pop(f"error_{key}")
        region_errors = self.parts_percent()
        values["parts_percent"] = {
            region: error for (region, _, _), error in zip(FACE_PARTS, region_errors, strict=False)
        }
        values["per_landmark_percent"] = [None if math.isnan(e) else e for e in self.per_landmark_percent]
        return values

    def parts_percent(self) -> list[float]:
        """The mean error of each of `FACE_PARTS`; empty unless there are 68 landmarks."""
        if len(self.per_landmark_percent) != FACE_PARTS[-1][2] + 1:
            return []
        return [float(np.nanmean(self.per_landmark_percent[first : last + 1])) for _, first, last in FACE_PARTS]


def default_protocol(data: str, num_landmarks: int) -> str:
    """The protocol of a named set; of other images, by the number of their landmarks."""
    entry = SETS.get(data)
    protocol = entry.protocol if isinstance(entry, ImageSet) else None
    # Other landmarks than the set's may be given.
    if protocol and (PROTOCOLS[protocol] is not nme or num_landmarks in EYES):
        return protocol
    return {5: "celeba_wild", 68: "faces68"}.get(num_landmarks, "cub")


def check_protocol(protocol: str, num_landmarks: int | None = None, *, names: Sequence[str] = ()) -> None:
    """ValueError unless the protocol exists and fits the number and names of the landmarks."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    if num_landmarks is None:
        return
    needed = ""
    if PROTOCOLS[protocol] is nme and num_landmarks not in EYES:
        needed = (
            "68 landmarks (the eyes are 36-41 and 42-47), or 5 (the eyes are 0 and 1), to measure by their distance"
        )
    elif protocol == "h36m" and num_landmarks != NUM_LANDMARKS:
        needed = f"Human3.6M's {NUM_LANDMARKS} landmarks, 0-{NUM_LANDMARKS - 1}, to pair left and right"
    if needed:
        raise ValueError(
            f"protocol {protocol} needs {needed}, and the table has {num_landmarks}; choose cub, which takes any number"
        )
    if PROTOCOLS[protocol] is nme:
        _check_eyes(protocol, num_landmarks, names)


def _check_eyes(protocol: str, num_landmarks: int, names: Sequence[str]) -> None:
    """ValueError if the landmarks taken for eyes have other names."""
    eyes = {number for eye in EYES[num_landmarks] for number in range(num_landmarks)[eye]}
    eye_columns = {number for number, name in enumerate(names) if "eye" in name.lower() and "brow" not in name.lower()}
    if eye_columns and not eyes <= eye_columns:
        landmark = min(eyes - eye_columns)
        raise ValueError(
            f"protocol {protocol} measures by the distance of the eyes, which are {', '.join(map(str, sorted(eyes)))} "
            f"of {num_landmarks} landmarks, and {landmark} is {shown(names[landmark])}; put the columns into that "
            f"order, or choose cub"
        )


def report_landmarks(fit: Annotations, test: Annotations, *, protocol: str) -> LandmarkReport:
    """Fit on one split, score on the other; both with landmarks in [0, 1].

    Raises ValueError for an unknown protocol, or for what the protocol cannot do without.
    """
    check_protocol(protocol)
    score, scale = PROTOCOLS[protocol], PROTOCOL_SCALES.get(protocol, 1.0)
    scaled = [replace(split, true=split.true * scale) for split in (fit, test)]
    by_eyes = score is nme
    predicted = predict(fit, test)
    errors = landmark_errors(predicted, test, by_eyes=by_eyes)
    threshold = PCK_OF_EYES if by_eyes else PCK_OF_WIDTH
    mean_pose_errors = landmark_errors(predict(blind(fit), blind(test)), test, by_eyes=by_eyes)
    return LandmarkReport(
        protocol=protocol,
        score=score(scaled[0], scaled[1]),
        score_mean_pose=score(blind(scaled[0]), blind(scaled[1])),
        by_eyes=by_eyes,
        error_percent=float(np.nanmean(errors)) * 100,
        error_mean_pose_percent=float(np.nanmean(mean_pose_errors)) * 100,
        pck_percent=share_within(errors, threshold) * 100,
        pck_threshold=threshold,
        mae_percent=float(np.abs(predicted - test.true)[labelled_landmarks(test)].mean()) * 100,
        per_landmark_percent=tuple(float(error) * 100 for error in per_landmark(errors)),
        num_fit=len(fit.true),
        num_test=len(test.true),
        num_keypoints=test.detected.shape[1],
    )


def landmark_errors(predicted: Float[ndarray, "N P 2"], test: Annotations, *, by_eyes: bool) -> Float[ndarray, "N P"]:
    """Distance of landmarks in [0, 1] from predictions, in eye distances or widths; NaN: not visible."""
    return eye_relative_distances(predicted, test) if by_eyes else landmark_distances(predicted, test)


def image_errors(errors: Float[ndarray, "N P"]) -> Float[ndarray, " N"]:
    """The mean error of each image; NaN for one without a visible landmark."""
    return per_landmark(errors.T)
