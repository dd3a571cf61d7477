"""Which text belongs to which group, for any number of texts and independent of their order."""

import hashlib

import numpy as np

from opsanalytics.feedback.clusters import Clusters, Labels, Vectors, cluster


def place(
    text_ids: list[str],
    vectors: Vectors,
    weights: Labels,
    *,
    min_size: int,
    max_distance: float,
    min_similarity: float,
    sample: int,
) -> Clusters:
    """Group texts; row i of the result is text i. `vectors` are those of the texts, the other arguments
    are as in `ThemeSettings`.

    If there are more than `sample` texts, groups are found in those with the smallest hash of their id:
    a random sample that hardly changes when texts are added.
    """
    if weights.sum() < min_size:
        size = len(text_ids)
        return Clusters(np.full(size, -1, dtype=np.int64), np.zeros(size), 0)

    return cluster(
        vectors,
        weights,
        chosen(text_ids, sample),
        min_size=min_size,
        max_distance=max_distance,
        min_similarity=min_similarity,
    )


def chosen(text_ids: list[str], size: int) -> Labels:
    """Rows of the `size` texts with the smallest hash of their id, in order."""
    if len(text_ids) <= size:
        return np.arange(len(text_ids))
    hashes = [hashlib.sha256(name.encode()).digest() for name in text_ids]
    return np.array(sorted(sorted(range(len(text_ids)), key=hashes.__getitem__)[:size]), dtype=np.int64)
