"""Reports on a graph's scores: on landmarks, on puppets, or on images without landmarks."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autolink_gen.common.text import counted
from autolink_gen.evaluation.equivariance import Equivariance
from autolink_gen.evaluation.few_shot import FewShotScore
from autolink_gen.evaluation.leak import AppearanceLeak
from autolink_gen.evaluation.puppets import PuppetScores, compare
from autolink_gen.evaluation.report import FACE_PARTS, IN_TABLES, LandmarkReport
from autolink_gen.evaluation.reports import Evaluation

_PER_LINE = 12


@dataclass(frozen=True, kw_only=True)
class GraphEvaluation(Evaluation):
    """The scores of a graph; what was not measured is None.

    ``landmarks``: by the protocol, on annotated images, ``num_test_fitted`` of which were fitted on as well;
    ``landmark_names``: those of the table. ``puppets``: joints and bones, beside ``untrained``, a network that learned
    nothing. ``leak``: what keypoints tell of the images' appearance. ``equivariance``: how they follow moved images.
    """

    equivariance: Equivariance
    leak: AppearanceLeak | None = None
    few_shot: tuple[FewShotScore, ...] | None = None
    landmarks: LandmarkReport | None = None
    landmark_names: tuple[str, ...] = ()
    num_test_fitted: int | None = None
    puppets: PuppetScores | None = None
    untrained: PuppetScores | None = None

    @property
    def nme_percent(self) -> float | None:
        """Mean landmark error in % of the eye distance; None if the protocol uses no eyes."""
        return self.landmarks.error_percent if self.landmarks is not None and self.landmarks.by_eyes else None

    @property
    def mean_distance_percent(self) -> float | None:
        """Mean landmark error in % of the image's width; None if the protocol uses the eyes."""
        return self.landmarks.error_percent if self.landmarks is not None and not self.landmarks.by_eyes else None

    @property
    def pck_percent(self) -> float | None:
        """Percentage of landmarks within `landmarks.pck_threshold` of their true place."""
        return None if self.landmarks is None else self.landmarks.pck_percent

    @property
    def mae_percent(self) -> float | None:
        """Mean absolute error of landmark coordinates, in % of the image's size."""
        return None if self.landmarks is None else self.landmarks.mae_percent

    @property
    def joint_error_percent(self) -> float | None:
        """Mean error of the puppets' joints, in percent of the image's width."""
        return None if self.puppets is None else self.puppets.joint_error_percent

    def scores(self) -> dict[str, Any]:
        """The scores as plain values; those that were not measured are left out."""
        values: dict[str, Any] = {}
        if self.landmarks is not None:
            values |= {**self.landmarks.to_dict(), "num_test_fitted": self.num_test_fitted}
        if self.puppets is not None and self.untrained is not None:
            values |= {**asdict(self.puppets), "untrained": asdict(self.untrained)}
        values |= {} if self.leak is None else self.leak.to_dict()
        if self.few_shot is not None:
            values["few_shot"] = [asdict(score) for score in self.few_shot]
        return {**values, "equivariance": asdict(self.equivariance)}

    def lines(self) -> list[str]:
        """The scores in words."""
        lines = []
        if self.landmarks is not None:
            lines += _landmark_lines(self.landmarks, self.landmark_names)
        if self.puppets is not None and self.untrained is not None:
            lines += compare(self.puppets, self.untrained)
        lines += [] if self.leak is None else _leak_lines(self.leak)
        if self.few_shot is not None:
            lines += _few_shot_lines(self.few_shot)
        return [*lines, _equivariance_line(self.equivariance)]


def _landmark_lines(report: LandmarkReport, names: Sequence[str]) -> list[str]:
    """The scores on landmarks, each by its name where it has one."""
    what, scale = IN_TABLES[report.protocol]
    name, length = ("NME", "eye distance") if report.by_eyes else ("mean distance", "image's width")
    mean_pose = f"mean pose {report.error_mean_pose_percent:.1f} %"
    mean_error = f"{name}: {report.error_percent:.2f} % of the {length} ({mean_pose})"
    return [
        f"protocol {report.protocol}, {what}: {scale * report.score:.2f} "
        f"(mean pose {scale * report.score_mean_pose:.2f})",
        *([] if math.isclose(scale * report.score, report.error_percent) else [mean_error]),
        f"PCK@{report.pck_threshold:g} of the {length}: {report.pck_percent:.1f} %",
        f"mean absolute error of a coordinate: {report.mae_percent:.2f} % of the image's size",
        f"{name} of each landmark, in %:",
        *_each_landmark(report, names),
    ]


def _each_landmark(report: LandmarkReport, names: Sequence[str]) -> list[str]:
    errors = report.per_landmark_percent
    if means := report.parts_percent():
        return [
            f"  {region} {first}-{last}, mean {mean:.1f}: {_row(errors[first : last + 1])}"
            for (region, first, last), mean in zip(FACE_PARTS, means, strict=True)
        ]
    if names:
        return [f"  {landmark}: {error:.1f}" for landmark, error in zip(names, errors, strict=True)]
    starts = range(0, len(errors), _PER_LINE)
    return [f"  from {start}: {_row(errors[start : start + _PER_LINE])}" for start in starts]


def _row(errors: Sequence[float]) -> str:
    return " ".join(f"{error:.1f}" for error in errors)


def _leak_lines(leak: AppearanceLeak) -> list[str]:
    lines = [
        f"appearance leak: keypoints alone tell {100 * leak.appearance_leak:.1f} % of the variance of an image's mean "
        f"colour (another image's {100 * leak.appearance_leak_shuffled:.1f} %; the less, the better), "
        f"{leak.appearance_leak_pictures} images"
    ]
    if leak.class_leak is not None and leak.class_leak_shuffled is not None and leak.class_share is not None:
        lines.append(
            f"  and the class of {100 * leak.class_leak:.1f} % of the images (another image's "
            f"{100 * leak.class_leak_shuffled:.1f} %; the largest class has {100 * leak.class_share:.1f} %)"
        )
    return lines


def _few_shot_lines(scores: Sequence[FewShotScore]) -> list[str]:
    by_eyes = any(score.by_eyes for score in scores)
    length = "eye distance" if by_eyes else "image's width"
    return [
        f"landmarks by a map for few labelled images (ridge), as --regressor has it, mean error in % of the {length} "
        f"± deviation over draws:",
        *(f"  {_few_shot_line(score)}" for score in scores),
    ]


def _few_shot_line(score: FewShotScore) -> str:
    text = f"{counted(score.num_pictures, 'image'):<14}{score.mean_percent:6.2f}"
    return f"{text} ± {score.deviation_percent:.2f} ({score.draws} draws)" if score.draws > 1 else text


def _equivariance_line(error: Equivariance) -> str:
    return (
        f"keypoints of {error.num_pictures} moved images, off in % of the width: shifted "
        f"{error.shifted_percent:.1f}, turned {error.turned_percent:.1f}, mirrored {error.mirrored_percent:.1f} "
        f"(another image's {error.unrelated_percent:.1f})"
    )
