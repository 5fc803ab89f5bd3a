"""Poses as NWB, Neurodata Without Borders, in the container of ndx-pose."""

import datetime
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autolink_gen.common.extras import needs
from autolink_gen.common.text import unicode_text
from autolink_gen.inference.pose_tables import SCORER, PoseTable

if TYPE_CHECKING:
    from pynwb import NWBFile

_PIXELS = "(x, y) in pixels of the video; (0, 0) is the centre of its first, upper left pixel"


def check_nwb() -> None:
    """MissingExtraError where pynwb or ndx-pose is missing."""
    with needs("pose", "writing .nwb files"):
        import ndx_pose  # noqa: F401
        import pynwb  # noqa: F401


def write_nwb(path: Path, table: PoseTable) -> None:
    """A PoseEstimation of a video in the module "behavior", with the time of each frame, and NaN for unknown points.

    Own code, as sleap-io leaves unknown points out and cuts rates to whole numbers, after which readers take points for
    those of other frames. It is linked to where sleap-io looks for it, too.
    """
    import pynwb

    file_name = unicode_text(table.records[0].file.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the temporary file's ending, and on names that sleap-io needs
        file = pynwb.NWBFile(
            session_description=f"keypoints of {file_name}; the session's start is when this file was written",
            identifier=str(uuid.uuid4()),
            session_start_time=datetime.datetime.now(datetime.timezone.utc),
        )
        behavior = file.create_processing_module("behavior", f"keypoints by {SCORER}")
        _add_poses(file, behavior, table, file_name)
        with pynwb.NWBHDF5IO(str(path), "w") as writer:
            writer.write(file)


def _add_poses(file: "NWBFile", behavior: Any, table: PoseTable, file_name: str) -> None:
    from ndx_pose import PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons

    names = [unicode_text(name).replace("/", "-").replace(":", "-") for name in table.skeleton.names]
    edges = np.array(table.skeleton.edges, dtype=np.uint8).reshape(-1, 2)
    skeleton = Skeleton(name=SCORER, nodes=names, edges=edges)
    behavior.add(Skeletons(skeletons=[skeleton]))
    timestamps: Any = np.array([record.time_s or 0.0 for record in table.records])
    series = []
    for index, name in enumerate(names):
        series.append(
            PoseEstimationSeries(
                name=name,
                data=table.points_px[:, index],
                confidence=table.likelihoods[:, index],
                confidence_definition="likelihood from 0 to 1",
                unit="pixels",
                reference_frame=_PIXELS,
                timestamps=timestamps,
            )
        )
        timestamps = series[0]  # of the others: a link
    poses = PoseEstimation(
        name="PoseEstimation",
        pose_estimation_series=series,
        description=f"keypoints of {file_name} by {unicode_text(table.skeleton.model_name)}",
        original_videos=[unicode_text(str(table.records[0].file.absolute()))],
        scorer=SCORER,
        source_software=SCORER,
        skeleton=skeleton,
    )
    behavior.add(poses)
    stem = unicode_text(table.records[0].file.stem).replace("/", "-").replace(":", "-")
    file.create_processing_module(f"SLEAP_VIDEO_000_{stem}", "the same, where sleap-io looks for it").add(poses)
