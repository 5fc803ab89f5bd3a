"""Named landmarks from keypoints, by a linear map fitted on a few labelled images."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from autolink_gen.common.files import reading, write_text_atomically
from autolink_gen.common.text import typed
from autolink_gen.inference.landmark_ridge import fit_slopes

_KIND = "autolink-gen landmark regressor"
_SURENESS_POWER = 4  # the inverse of the square of a heatmap's variance: chosen on people held out, and on puppets
_LEAST_WIDTH = 0.02  # of a heatmap, in units of [-1, 1]: narrower ones are as sure
_REACH = 0.1  # of the image's size: keypoints so near to a landmark lead it where no more is known
FACE_NAMES = {
    5: ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
    68: tuple(
        f"{region}_{number}"
        for region, count in (("jaw", 17), ("right_brow", 5), ("left_brow", 5), ("nose", 9), ("right_eye", 6),
                            ("left_eye", 6), ("mouth", 20))
        for number in range(count)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class LandmarkRegressor:
    """A linear map with bias from the K keypoints of one graph to P named landmarks.

    ``coefficients``: from the keypoints in [0, 1], flattened, and 1, to (x, y) as fractions of the image's width
    and height, from its top left corner; NaN for a landmark that was labelled nowhere. ``graph`` tells the graph
    that it was fitted on (`graph_fingerprint`), ``num_images`` how many images.
    """

    names: tuple[str, ...]
    coefficients: Float[ndarray, "D P 2"]
    graph: str
    num_images: int

    def predict(self, keypoints: Float[ndarray, "N K 2"]) -> Float[ndarray, "N P 2"]:
        """Landmarks as fractions of the image's size, from its keypoints (x, y) in [-1, 1]."""
        ones = np.ones((len(keypoints), 1))
        return np.tensordot(np.concatenate([_features(keypoints), ones], axis=1), self.coefficients, axes=1)

    def parts(self) -> Float[ndarray, "P K"]:
        """How much of each landmark comes from each keypoint: rows sum to 1, and are NaN for one labelled nowhere."""
        slopes = np.abs(self.coefficients[:-1]).reshape(-1, 2, len(self.names), 2).sum(axis=(1, 3)).T
        total = slopes.sum(axis=1, keepdims=True)
        return np.where(total == 0, 1 / slopes.shape[1], slopes / np.where(total == 0, 1, total))

    def text(self) -> str:
        """The content of its file, JSON."""
        values = {
            "kind": _KIND,
            "graph": self.graph,
            "num_pictures": self.num_images,
            "names": self.names,
            "coefficients": [[_or_none(point) for point in row] for row in self.coefficients],
        }
        return json.dumps(values) + "\n"

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        write_text_atomically(file, self.text())

    @classmethod
    def load(cls, file: Path) -> "LandmarkRegressor":
        """Read a file that :meth:`save` wrote; ValueError with its name for another."""
        with reading(file, "regressor", remedy="give one that `autolink-gen evaluate` wrote"):
            values = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(values, dict) or values.get("kind") != _KIND:
                raise ValueError("it is JSON of another kind")
            names = tuple(map(str, values["names"]))
            coefficients = np.array(values["coefficients"], dtype=np.float64)
            if coefficients.ndim != 3 or coefficients.shape[1:] != (len(names), 2) or not len(coefficients) % 2:
                raise ValueError(f"it has {len(names)} names and coefficients of the shape {coefficients.shape}")
            if np.isinf(coefficients).any():
                raise ValueError("its coefficients are not finite")
            return cls(names, coefficients, str(values["graph"]), int(values["num_pictures"]))

    def check_graph(self, edge_weights: Float[Tensor, "K K"], *, run: str) -> None:
        """ValueError unless it was fitted on this run's graph: other keypoints mean other things."""
        if self.graph != graph_fingerprint(edge_weights):
            raise ValueError(
                f"the regressor was fitted on another graph than that of {run}; choose its own with --model, or fit it "
                f"on this one: autolink-gen evaluate {typed(run)} --data IMAGES"
            )


def fit_landmarks(
    detected: Float[ndarray, "N K 2"],
    true: Float[ndarray, "N P 2"],
    visible: Bool[ndarray, "N P"] | None = None,
    *,
    widths: Float[ndarray, "N K"] | None = None,
) -> Float[ndarray, "D P 2"]:
    """Fit the coefficients of a `LandmarkRegressor`.

    Keypoints are in [-1, 1], landmarks are fractions. A landmark follows its nearest keypoints, for which one image is
    enough, and among these the surer ones, whose heatmaps have small ``widths`` (None: all alike). The remaining error
    is fitted by ridge regression on the deviations from the mean pose (`fit_slopes`), again on the surer ones first.
    Each landmark is fitted on the images that show it; NaN if there are none.
    """
    features = _features(detected)
    widths = np.ones(detected.shape[:2]) if widths is None else widths
    is_labelled = np.ones(true.shape[:2], dtype=bool) if visible is None else visible
    result = np.full((features.shape[1] + 1, *true.shape[1:]), np.nan)
    # Landmarks shown in the same images are fitted together: mostly that is all of them.
    patterns, pattern_of = np.unique(is_labelled, axis=1, return_inverse=True)
    for index, rows in enumerate(patterns.T):
        if rows.any():
            columns = pattern_of.reshape(-1) == index
            result[:, columns] = _fit_group(features[rows], true[rows][:, columns], widths[rows].mean(axis=0))
    return result


def landmark_names(num_landmarks: int) -> tuple[str, ...]:
    """The usual names of 5 or 68 facial landmarks, else numbers; left is the person's own."""
    return FACE_NAMES.get(num_landmarks, tuple(f"landmark_{number}" for number in range(num_landmarks)))


def graph_fingerprint(edge_weights: Float[Tensor, "K K"]) -> str:
    """A hash of the edge weights that identifies a learned graph."""
    return hashlib.sha256(edge_weights.detach().float().cpu().numpy().tobytes()).hexdigest()[:16]


def _fit_group(
    features: Float[ndarray, "N D"], true: Float[ndarray, "N P 2"], widths: Float[ndarray, "K"]
) -> Float[ndarray, "d P 2"]:
    slopes = _neighbour_slopes(features, true, widths)
    missed = true - np.tensordot(features, slopes, axes=1)
    spans = np.maximum(widths, _LEAST_WIDTH)
    fitted = fit_slopes(features.reshape(len(features), -1, 2), missed, spans.min() / spans)
    slopes = slopes + fitted.reshape(slopes.shape)
    bias = true.mean(axis=0) - np.tensordot(features.mean(axis=0), slopes, axes=1)
    return np.concatenate([slopes, bias[None]])


def _neighbour_slopes(
    features: Float[ndarray, "N D"], true: Float[ndarray, "N P 2"], widths: Float[ndarray, "K"]
) -> Float[ndarray, "D P 2"]:
    """Slopes with which each landmark follows the sure keypoints near it in the mean pose."""
    keypoints = features.mean(axis=0).reshape(-1, 2)
    distances = np.linalg.norm(keypoints[:, None] - true.mean(axis=0), axis=-1)
    nearest = distances.min(axis=0)
    sureness = np.maximum(widths, _LEAST_WIDTH) ** -_SURENESS_POWER
    shares = np.exp(-((distances**2 - nearest**2) / _REACH**2)) * sureness[:, None]
    shares /= shares.sum(axis=0)
    return (shares[:, None, :, None] * np.eye(2)[None, :, None]).reshape(features.shape[1], *true.shape[1:])


def _features(keypoints: Float[ndarray, "N K 2"]) -> Float[ndarray, "N D"]:
    return (np.asarray(keypoints, dtype=np.float64).reshape(len(keypoints), -1) + 1) / 2


def _or_none(point: Float[ndarray, "2"]) -> list[float | None]:
    """JSON knows no NaN."""
    return [None if np.isnan(value) else float(value) for value in point]
