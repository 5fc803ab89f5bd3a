"""Labelling by hand: marks on a few pictures in, named landmarks on all of them and their regressor out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from pydantic import Field

from autolink_gen.common.spread import evenly
from autolink_gen.common.text import typed
from autolink_gen.inference.landmark_regressor import LandmarkRegressor, fit_landmarks, graph_fingerprint
from autolink_gen.models.autolink import AutoLink
from autolink_gen.studio.painting import Pose

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\w+([ -]\w+)*$")]
REGRESSOR_FILE = "landmarks.json"
_MOST_LEFT_OUT = 20  # each is a fit, at each click


@dataclass(frozen=True)
class LabelledPicture:
    """A picture's keypoints, (x, y) in [-1, 1], and the marks on it, null for landmarks without one.

    ``widths`` are those of the keypoints' heatmaps: landmarks follow the narrow ones, as in ``evaluate``. Marks are
    fractions of the picture's width and height, from its top left corner; ``aspect`` is height by width.
    """

    keypoints: Pose
    widths: list[Annotated[float, Field(ge=0)]]
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

    ``error_percent`` of a picture's width is the mean distance from the marks of each picture, of ``num_left_out``, to
    what a fit on the other pictures finds there; None with less than two. ``file`` is the content of the regressor's
    file, which ``command`` uses.
    """

    landmarks: list[list[tuple[float, float] | None]]
    num_pictures: int
    num_left_out: int
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
        shown = self._shown(request)
        rows = np.flatnonzero(shown.labelled.any(axis=1))
        if not len(rows):
            raise ValueError("no picture has a mark yet; click on one")
        names, marked = tuple(request.names), shown.rows(rows)
        left_out = evenly(len(rows), _MOST_LEFT_OUT) if len(rows) > 1 else ()
        regressor = self._regressor(names, marked)
        return LabelFit(
            landmarks=[[_or_none(point) for point in points] for points in regressor.predict(shown.keypoints)],
            num_pictures=len(rows),
            num_left_out=len(left_out),
            error_percent=self._left_out_error(names, marked, left_out),
            file=regressor.text(),
            command=f"autolink-gen detect IMAGES --model {typed(self.name)} --regressor {REGRESSOR_FILE}",
        )

    def _regressor(self, names: tuple[str, ...], marked: "_Marked") -> LandmarkRegressor:
        points = np.nan_to_num(marked.marks)
        coefficients = fit_landmarks(marked.keypoints, points, marked.labelled, widths=marked.widths)
        return LandmarkRegressor(names, coefficients, self.fingerprint, len(points))

    def _left_out_error(self, names: tuple[str, ...], marked: "_Marked", left_out: Sequence[int]) -> float | None:
        distances = []
        for row in left_out:
            one, others = marked.rows(np.array([row])), marked.rows(np.delete(np.arange(len(marked.marks)), row))
            missed = self._regressor(names, others).predict(one.keypoints)[0] - one.marks[0]
            distances.append(np.linalg.norm(missed * [1, one.aspects[0]], axis=1))
        known = np.concatenate(distances)[~np.isnan(np.concatenate(distances))] if distances else np.empty(0)
        return float(known.mean() * 100) if len(known) else None

    def _shown(self, request: LabelRequest) -> "_Marked":
        """The pictures as arrays; ValueError for other numbers than they should be."""
        if len(set(request.names)) < len(request.names):
            raise ValueError("two landmarks have the same name; rename one")
        for picture in request.pictures:
            counts = (len(picture.keypoints), len(picture.widths), len(picture.marks))
            if counts != (self.num_keypoints, self.num_keypoints, len(request.names)):
                raise ValueError(
                    f"a picture has {counts[0]} keypoints, {counts[1]} widths and {counts[2]} marks, for a graph of "
                    f"{self.num_keypoints} and {len(request.names)} names"
                )
        missing = (np.nan, np.nan)
        marks = [[missing if mark is None else mark for mark in picture.marks] for picture in request.pictures]
        return _Marked(
            np.array([picture.keypoints for picture in request.pictures]),
            np.array([picture.widths for picture in request.pictures]),
            np.array(marks, dtype=np.float64),
            np.array([picture.aspect for picture in request.pictures]),
        )


@dataclass(frozen=True)
class _Marked:
    """Pictures as arrays; marks are NaN where there are none."""

    keypoints: Float[ndarray, "N K 2"]
    widths: Float[ndarray, "N K"]
    marks: Float[ndarray, "N P 2"]
    aspects: Float[ndarray, " N"]

    @property
    def labelled(self) -> Bool[ndarray, "N P"]:
        return ~np.isnan(self.marks).any(axis=2)

    def rows(self, chosen: Int[ndarray, " n"]) -> "_Marked":
        return _Marked(self.keypoints[chosen], self.widths[chosen], self.marks[chosen], self.aspects[chosen])


def _or_none(point: Float[ndarray, "2"]) -> tuple[float, float] | None:
    """JSON knows no NaN."""
    return None if np.isnan(point).any() else (float(point[0]), float(point[1]))
