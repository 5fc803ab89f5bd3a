"""Clusters of a learned graph's keypoints, and the keypoints left without some clusters."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from autolink_gen.common.extras import needs
from autolink_gen.ops.keypoints import linked_keypoints

# A share of the largest weight: links every pair, so that a graph in pieces is one, and decides nothing else.
_FAINT = 1e-6


def cluster_keypoints(
    edge_weights: Float[ndarray, "K K"] | Float[Tensor, "K K"], num_clusters: int, *, seed: int = 0
) -> Int[ndarray, "K"]:
    """Part keypoints into clusters with strong edges inside and weak ones between (AutoLink, Figure 7c).

    Spectral clustering of the symmetric edge weights. With two clusters one is often the object and the other
    the background. Returns each keypoint's cluster, numbered by the lowest keypoint in it: keypoint 0 is in
    cluster 0. Raises ValueError where `num_clusters` is not from 1 to K.
    """
    raw = edge_weights.detach().cpu().numpy() if isinstance(edge_weights, Tensor) else edge_weights
    weights = np.asarray(raw, dtype=np.float64)
    count = len(weights)
    if not 1 <= num_clusters <= count:
        raise ValueError(f"clusters must be from 1 to the number of keypoints, {count}; got {num_clusters}")
    if not np.isfinite(weights).all():
        raise ValueError("the edge weights are not finite, so the graph has no clusters; train it again")
    if num_clusters in (1, count):
        return np.arange(count) if num_clusters == count else np.zeros(count, dtype=np.int64)
    return _numbered_by_first(_spectral_labels(weights, num_clusters, seed))


def remaining_keypoints(
    edge_weights: Float[ndarray, "K K"] | Float[Tensor, "K K"], num_clusters: int, dropped: Sequence[int]
) -> Int[ndarray, "L"]:
    """The keypoints that are in none of the ``dropped`` clusters, numbered as by :func:`cluster_keypoints`.

    Raises ValueError for a cluster that does not exist, and where fewer than two keypoints are left.
    """
    labels = cluster_keypoints(edge_weights, num_clusters)
    num_found = int(labels.max()) + 1
    for number in dropped:
        if not 0 <= number < num_found:
            range_text = f"they are 0 to {num_found - 1}" if num_found > 1 else "0 is the only one"
            remedy = f"autolink-gen view-graph --clusters {num_clusters} shows which keypoints each has"
            raise ValueError(f"there is no cluster {number}, {range_text}: {remedy}")
    remaining = np.flatnonzero(~np.isin(labels, list(dropped)))
    if len(remaining) < 2:
        rest = f"keypoint {remaining[0]} alone" if len(remaining) else "no keypoint"
        numbers = ", ".join(map(str, sorted(set(dropped))))
        raise ValueError(f"without cluster {numbers} of {num_found} {rest} is left, and an edge needs two: drop fewer")
    return remaining


def _spectral_labels(weights: ndarray, num_clusters: int, seed: int) -> ndarray:
    with needs("eval", "parting keypoints into clusters"):
        from sklearn.cluster import SpectralClustering

    largest = weights.max()
    affinity = np.maximum(weights / largest if largest > 0 else weights, _FAINT)
    np.fill_diagonal(affinity, 0)
    method = SpectralClustering(num_clusters, affinity="precomputed", random_state=seed, assign_labels="kmeans")
    return method.fit_predict(affinity)


def _numbered_by_first(labels: ndarray) -> ndarray:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


def cluster_labels(edge_weights: Float[Tensor, "K K"], num_clusters: int) -> Int[Tensor, "K"]:
    """The cluster of each keypoint, 0 for one without edges.

    Raises ValueError for more clusters than keypoints with edges.
    """
    weights = edge_weights.detach().cpu()
    labels, linked = torch.zeros(len(weights), dtype=torch.long), linked_keypoints(weights)
    labels[linked] = torch.from_numpy(cluster_keypoints(weights[linked][:, linked], num_clusters).astype(np.int64))
    return labels
