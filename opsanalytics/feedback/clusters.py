"""Grouping messages by what they are about: TF-IDF, latent semantic analysis, average linkage.

Words and pairs of words carry the subject, letter n-grams tie inflections and misspellings together;
their TF-IDF weights (sublinear) are reduced by a truncated SVD, and messages are joined bottom-up by
average cosine distance until no two groups are closer than `max_distance`. So the number of themes
follows from the messages. On banking77 (13,083 messages, 77 intents) this gives a higher NMI and ARI
than k-means on the same vectors and than the kNN graph with Leiden communities measured in the design
notes; see `opsanalytics_tests/feedback/test_real_feedback.py` for the floor that is tested.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.preprocessing import normalize

Vectors: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]

SEED = 20_240_501


@dataclass(frozen=True)
class Clusters:
    """`label` per message (-1: in no group) and its cosine `similarity` to the group's centre (or 0)."""

    label: Labels
    similarity: Vectors
    count: int


def cluster(
    vectors: Vectors,
    weights: Labels,
    sample: Labels,
    *,
    min_size: int,
    max_distance: float,
    min_similarity: float,
) -> Clusters:
    """Group unit `vectors`, find the groups in the rows `sample`, and put every row to its nearest centre.

    Args:
        vectors: unit vectors, one a row; zero where no word of a message occurs in another.
        weights: how many messages each row stands for.
        sample: rows that groups are found in (average linkage is quadratic in their number).
        min_size: groups with less weight than this are dissolved.
        max_distance: average cosine distance up to which two groups are one.
        min_similarity: rows less similar than this to every centre stay without a group.
    """
    nothing = Clusters(np.full(len(vectors), -1, dtype=np.int64), np.zeros(len(vectors)), 0)
    sample = sample[vectors[sample].any(axis=1)]  # a zero vector has no direction, so no distance
    if not len(sample):
        return nothing
    if len(sample) == 1:
        found = np.ones(1)
    else:
        found = fcluster(linkage(vectors[sample], "average", metric="cosine"), max_distance, "distance")
    # A group that is too small in the sample can still be large enough outside it.
    enough = max(2, round(min_size * len(sample) / max(1, len(vectors))))
    centres = centres_of(vectors[sample], weights[sample], found.astype(np.int64), enough)
    for _ in range(2):  # the second pass re-homes members of groups that proved too small
        if not len(centres):
            return nothing
        similarity = vectors @ centres.T
        label = np.where(similarity.max(axis=1) >= min_similarity, similarity.argmax(axis=1), -1)
        centres = centres_of(vectors, weights, label, min_size)
    if not len(centres):
        return nothing
    similarity = vectors @ centres.T
    label = np.where(similarity.max(axis=1) >= min_similarity, similarity.argmax(axis=1), -1)
    sizes = np.bincount(label[label >= 0], weights=weights[label >= 0], minlength=len(centres))
    label[(label >= 0) & (sizes[label] < min_size)] = -1
    kept = np.unique(label[label >= 0])
    nearest = np.where(label >= 0, similarity.max(axis=1), 0.0)
    compact = np.where(label >= 0, np.searchsorted(kept, label), -1)
    return Clusters(compact.astype(np.int64), nearest, len(kept))


def centres_of(vectors: Vectors, weights: Labels, label: Labels, min_size: int) -> Vectors:
    """Unit centres of the groups of at least `min_size` weight, by group number; none of them is empty."""
    sizes = {int(name): weights[label == name].sum() for name in np.unique(label) if name >= 0}
    kept = [name for name, size in sizes.items() if size >= min_size]
    if not kept:
        return np.empty((0, vectors.shape[1]))
    return np.asarray(normalize(np.vstack([vectors[label == name].mean(axis=0) for name in kept])))
