"""Labelling by hand: marks on a few pictures in, named landmarks on all of them and their regressor out."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field

from autolink_gen.common.text import typed
from autolink_gen.inference.landmark_regressor import LandmarkRegressor, fit_landmarks, graph_fingerprint
from autolink_gen.models.autolink import AutoLink
from autolink_gen.studio.painting import Pose

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\w+( \w+)*$")]
REGRESSOR_FILE = "landmarks.json"


@dataclass(frozen=True)
class LabelledPicture:
    """A picture's keypoints, (x, y) in [-1, 1], and the marks on it, null for landmarks without one.

    Marks are fractions of the picture's width and height, from its top left corner; ``aspect`` is height by width.
    """

    keypoints: Pose
    marks: list[tuple[Fraction, Fraction] | None]
    aspect: Annotated[float, Field(gt=0, le=1e4)] = 1.0


@dataclass(frozen=True)
class LabelRequest:
    """The names of landmarks, and the pictures, those without marks too."""

    names: Annotated[list[Name], Field(min_length=1, max_length=100)]
    pictures: Annotated[list[LabelledPicture], Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class LabelFit:
    """Where the landmarks are on each picture, as fractions, null where none was marked anywhere.

    ``error_percent`` of a picture's width is the mean distance from the marks of each picture to what a fit on the
    other pictures finds there; None with less than two. ``file`` is the content of the regressor's file, which
    ``command`` uses.
    """

    landmarks: list[list[tuple[float, float] | None]]
    num_pictures: int
    error_percent: float | None
    file: str
    command: str


class LabelDesk:
    """Fits named landmarks to one graph's keypoints; ``name`` is how commands name its run."""

    def __init__(self, graph: AutoLink, *, name: str) -> None:
        self.name, self.num_keypoints = name, graph.config.num_keypoints
        self.fingerprint = graph_fingerprint(graph.edge_weights)

    def fit(self, request: LabelRequest) -> LabelFit:
        """The landmarks of all pictures; ValueError without a mark, and for what does not fit together."""
        keypoints, marks = self._arrays(request)
        labelled = ~np.isnan(marks).any(axis=2)
        rows = np.flatnonzero(labelled.any(axis=1))
        if not len(rows):
            raise ValueError("no picture has a mark yet; click on one")
        regressor = self._regressor(tuple(request.names), keypoints[rows], marks[rows])
        aspects = np.array([picture.aspect for picture in request.pictures])
        return LabelFit(
            landmarks=[[_or_none(point) for point in points] for points in regressor.predict(keypoints)],
            num_pictures=len(rows),
            error_percent=self._left_out_error(keypoints[rows], marks[rows], aspects[rows]),
            file=regressor.text(),
            command=f"autolink-gen detect IMAGES --model {typed(self.name)} --regressor {REGRESSOR_FILE}",
        )

    def _regressor(
        self, names: tuple[str, ...], keypoints: Float[ndarray, "N K 2"], marks: Float[ndarray, "N P 2"]
    ) -> LandmarkRegressor:
        visible = ~np.isnan(marks).any(axis=2)
        coefficients = fit_landmarks(keypoints, np.nan_to_num(marks), visible)
        return LandmarkRegressor(names, coefficients, self.fingerprint, len(keypoints))

    def _left_out_error(
        self, keypoints: Float[ndarray, "N K 2"], marks: Float[ndarray, "N P 2"], aspects: Float[ndarray, "N"]
    ) -> float | None:
        distances = []
        for row in range(len(marks)) if len(marks) > 1 else ():
            rest = np.arange(len(marks)) != row
            names = tuple(map(str, range(marks.shape[1])))
            predicted = self._regressor(names, keypoints[rest], marks[rest]).predict(keypoints[[row]])[0]
            distances.append(np.linalg.norm((predicted - marks[row]) * [1, aspects[row]], axis=1))
        known = np.concatenate(distances)[~np.isnan(np.concatenate(distances))] if distances else np.empty(0)
        return float(known.mean() * 100) if len(known) else None

    def _arrays(self, request: LabelRequest) -> tuple[Float[ndarray, "N K 2"], Float[ndarray, "N P 2"]]:
        """Keypoints, and marks with NaN where there are none; ValueError for other numbers than they should be."""
        if len(set(request.names)) < len(request.names):
            raise ValueError("two landmarks have the same name; rename one")
        for picture in request.pictures:
            if len(picture.keypoints) != self.num_keypoints or len(picture.marks) != len(request.names):
                raise ValueError(
                    f"a picture has {len(picture.keypoints)} keypoints and {len(picture.marks)} marks, for a graph of "
                    f"{self.num_keypoints} and {len(request.names)} names"
                )
        missing = (np.nan, np.nan)
        marks = [[missing if mark is None else mark for mark in picture.marks] for picture in request.pictures]
        return np.array([picture.keypoints for picture in request.pictures]), np.array(marks, dtype=np.float64)


def _or_none(point: Float[ndarray, "2"]) -> tuple[float, float] | None:
    """JSON knows no NaN."""
    return None if np.isnan(point).any() else (float(point[0]), float(point[1]))
