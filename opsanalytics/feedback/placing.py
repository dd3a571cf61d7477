"""Which text belongs to which group, for any number of texts and independent of their order."""

import hashlib
from collections.abc import Callable

import numpy as np

from opsanalytics.feedback.clusters import Clusters, Labels, Vectors, cluster

LARGE_SHARE = 0.05
LARGE_SIZES = 6
"""A group with this share of all texts, and so many times the smallest size, is looked at again."""


def place(
    text_ids: list[str],
    vectors: Vectors,
    among: Callable[[Labels], Vectors],
    weights: Labels,
    *,
    min_size: int,
    max_distance: float,
    min_similarity: float,
    sample: int,
) -> Clusters:
    """Group texts; row i of the result is text i. `vectors` are those of the texts, `among` gives those of
    some of them in a space of their own, the other arguments are as in `ThemeSettings`.

    If there are more than `sample` texts, groups are found in those with the smallest hash of their id:
    a random sample that hardly changes when texts are added.
    """
    if weights.sum() < min_size:
        size = len(text_ids)
        return Clusters(np.full(size, -1, dtype=np.int64), np.zeros(size), 0)

    def find(members: Labels, placed: Vectors) -> Clusters:
        return cluster(
            placed,
            weights[members],
            chosen([text_ids[i] for i in members], sample),
            min_size=min_size,
            max_distance=max_distance,
            min_similarity=min_similarity,
        )

    groups = find(np.arange(len(text_ids)), vectors)
    # A group of many texts is often what all of them have in common ("question", "answer"). Weighed among
    # themselves such words count for nothing, and what sets the texts apart shows.
    label, similarity, count = groups.label.copy(), groups.similarity.copy(), groups.count
    for name in range(groups.count):
        members = np.flatnonzero(groups.label == name)
        if len(members) < max(LARGE_SHARE * len(text_ids), LARGE_SIZES * min_size):
            continue
        parts = find(members, among(members))
        if parts.count > 1:
            inside = parts.label >= 0
            label[members] = np.where(inside, parts.label + count, -1)
            similarity[members] = parts.similarity
            count += parts.count
    kept = np.unique(label[label >= 0])
    compact = np.where(label >= 0, np.searchsorted(kept, label), -1)
    return Clusters(compact.astype(np.int64), similarity, len(kept))


def chosen(text_ids: list[str], size: int) -> Labels:
    """Rows of the `size` texts with the smallest hash of their id, in order."""
    if len(text_ids) <= size:
        return np.arange(len(text_ids))
    hashes = [hashlib.sha256(name.encode()).digest() for name in text_ids]
    return np.array(sorted(sorted(range(len(text_ids)), key=hashes.__getitem__)[:size]), dtype=np.int64)
