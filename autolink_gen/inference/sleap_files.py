"""Poses as SLEAP's .slp, written by sleap-io."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autolink_gen.common.extras import needs
from autolink_gen.inference.pose_tables import SCORER, PoseTable

if TYPE_CHECKING:
    from numpy import ndarray


def check_sleap_io() -> None:
    """MissingExtraError where sleap-io is missing."""
    with needs("pose", "writing .slp files"):
        import sleap_io  # noqa: F401


def write_slp(path: Path, table: PoseTable) -> None:
    """SLEAP's labels: a predicted instance a frame, with the likelihoods as the points' scores."""
    import sleap_io

    sleap_io.save_slp(_labels(table), str(path), embed=False, verbose=False)


def _labels(table: PoseTable) -> Any:
    import sleap_io

    names = list(table.skeleton.names)  # sleap-io puts its nodes in the list itself
    edges = [(names[i], names[j]) for i, j in table.skeleton.edges]
    skeleton = sleap_io.Skeleton(nodes=names, edges=edges, name=SCORER)
    video = _video(table)
    labelled = []
    for index, record in enumerate(table.records):
        points: ndarray = np.asarray(record.points_px, dtype=np.float64)
        instance = sleap_io.PredictedInstance.from_numpy(
            points, skeleton, point_scores=np.nan_to_num(record.likelihoods), score=record.score
        )
        number = record.frame if table.is_video else index
        labelled.append(sleap_io.LabeledFrame(video=video, frame_idx=number, instances=[instance]))
    return sleap_io.Labels(labelled, videos=[video], skeletons=[skeleton])


def _video(table: PoseTable) -> Any:
    """The video, which is not opened again, or the images as one."""
    import sleap_io

    files = [str(record.file.absolute()) for record in table.records]
    if not table.is_video:
        return sleap_io.Video.from_filename(files)
    first, last = table.records[0], table.records[-1]
    shape = (last.frame + 1, first.height_px, first.width_px, 3)
    return sleap_io.Video(filename=files[0], open_backend=False, backend_metadata={"shape": shape})
