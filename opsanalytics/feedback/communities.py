"""Grouping vectors of sentences: communities of the graph of nearest neighbours.

Each row is tied to its most similar rows, and the graph is cut into communities (Leiden, Traag et al. 2019;
modularity, python-igraph). On banking77 that gives NMI .83 and ARI .58 where average linkage of the same
vectors gives .78 and .47; on TF-IDF vectors average linkage is the better one (see benchmarks/themes.py).
"""

import random

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from opsanalytics.feedback.clusters import SEED, Labels, Vectors
from opsanalytics.feedback.placing import chosen
from opsanalytics.feedback.terms import SMALL

NEIGHBOURS = 15
"""Ties of each text where there are 13,000; fewer texts are tied less, since fewer are like them: `SPARSE`
times the square root of their number, but never less than 5, so that what is found stays as fine."""
SPARSE = 0.13
TWINS = 0.87
"""Two communities are one if texts of the one are so much as similar to those of the other as to each other.
A subject of which very much is said is else cut into many: of 12 subjects in 1,480 messages 46 pieces."""
FEW = 6
"""The resolution is at most the square root of the number of texts divided by this, since a fine one leaves
few texts in crumbs: 36 texts are cut with resolution 1, from 324 on with 3."""
BLOCK = 1_000
"""Rows whose similarity to all others is held at once."""
GRAPH_TEXTS = 20_000
"""Communities are found in at most so many texts; finding neighbours is quadratic in their number."""


def communities(
    text_ids: list[str],
    vectors: Vectors,
    weights: Labels,
    *,
    min_size: int,
    min_similarity: float,
    resolution: float,
) -> Labels:
    """Community of each row, -1 for none, numbered from 0 without gaps.

    Args:
        text_ids: what rows are chosen by if there are more than `GRAPH_TEXTS`.
        vectors: unit vectors, one a row; a zero vector is in no community.
        weights: how many messages each row stands for.
        min_size: communities with less weight than this are dissolved.
        min_similarity: rows less similar than this are not tied.
        resolution: more gives more, finer communities.
    """
    label = np.full(len(vectors), -1, dtype=np.int64)
    rows = np.flatnonzero(vectors.any(axis=1))
    some = rows[chosen([text_ids[i] for i in rows], GRAPH_TEXTS)]
    if len(some) < 2:
        return label
    among = vectors[some].astype(np.float32)
    root = len(some) ** 0.5
    neighbours = min(NEIGHBOURS, max(3, round(min(root / 2, max(5.0, SPARSE * root)))), len(some) - 1)
    fine = min(resolution, max(1.0, len(some) ** 0.5 / FEW))
    found = _leiden(*nearest(among, among, neighbours, itself=True), min_similarity, fine)
    label[some] = _without_twins(found, among)
    rest = np.setdiff1d(rows, some)
    if len(rest):
        label[rest] = _voted(vectors[rest].astype(np.float32), among, label[some], neighbours, min_similarity)
    sizes = np.bincount(label[label >= 0], weights=weights[label >= 0])
    label[(label >= 0) & (sizes[label] < min_size)] = -1
    kept = np.unique(label[label >= 0])
    return np.where(label >= 0, np.searchsorted(kept, label), -1).astype(np.int64)


def nearest(
    rows: NDArray[np.float32], among: NDArray[np.float32], size: int, *, itself: bool
) -> tuple[Labels, NDArray[np.float32]]:
    """The `size` most similar rows `among`, and how similar they are, blockwise.

    `itself`: row i is row i of `among`, and no neighbour of itself.
    """
    found = np.empty((len(rows), size), dtype=np.int64)
    similarity = np.empty((len(rows), size), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK] @ among.T
        if itself:
            block[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        best = np.argpartition(-block, size - 1, axis=1)[:, :size]
        found[start : start + BLOCK] = best
        similarity[start : start + BLOCK] = np.take_along_axis(block, best, axis=1)
    return found, similarity


def _leiden(
    neighbours: Labels, similarity: NDArray[np.float32], min_similarity: float, resolution: float
) -> Labels:
    import igraph

    size, width = neighbours.shape
    one, other = np.repeat(np.arange(size), width), neighbours.ravel()
    low, high, weight = np.minimum(one, other), np.maximum(one, other), similarity.ravel()
    tied = weight >= max(min_similarity, 1e-6)
    _, first = np.unique(low[tied] * size + high[tied], return_index=True)
    graph = igraph.Graph(n=size, edges=np.column_stack([low[tied][first], high[tied][first]]))
    igraph.set_random_number_generator(random.Random(SEED))  # noqa: S311
    # Similarities that differ in their last bits on another machine must not make another tie.
    weights = np.round(weight[tied][first].astype(np.float64), 4)
    found = graph.community_leiden(
        objective_function="modularity", weights=weights, resolution=resolution, n_iterations=-1
    )
    return np.array(found.membership, dtype=np.int64)


def _without_twins(label: Labels, vectors: NDArray[np.float32]) -> Labels:
    """Communities joined, the most alike first, while any two are `TWINS`."""
    count = int(label.max()) + 1
    member = csr_matrix((np.ones(len(label)), (label, np.arange(len(label)))), shape=(count, len(label)))
    apart = vectors - vectors.sum(axis=0) / (len(vectors) + SMALL)  # what all have in common tells nothing
    sums = np.asarray(member @ normalize(apart), dtype=np.float64)
    sizes = np.bincount(label).astype(np.float64)
    into = np.arange(count)
    while True:
        means = sums / sizes[:, None]
        several = sizes > 1
        inside = ((sums**2).sum(axis=1) - sizes) / np.where(several, sizes * (sizes - 1), 1)
        alike = means @ means.T / np.maximum(np.minimum.outer(inside, inside), 1e-9)
        alike[~(several[:, None] & several)] = 0
        np.fill_diagonal(alike, 0)
        one, other = np.unravel_index(alike.argmax(), alike.shape)
        if alike[one, other] < TWINS:
            return np.asarray(np.unique(into[label], return_inverse=True)[1], dtype=np.int64)
        into[into == other] = one
        sums[one] += sums[other]
        sizes[one] += sizes[other]
        sums[other], sizes[other] = 0, 1


def _voted(
    rows: NDArray[np.float32],
    among: NDArray[np.float32],
    label: Labels,
    neighbours: int,
    min_similarity: float,
) -> Labels:
    """The community most of the nearest rows are in, weighted by similarity; -1 if none is near enough."""
    best, similarity = nearest(rows, among, neighbours, itself=False)
    votes = np.zeros((len(rows), int(label.max(initial=0)) + 1))
    near = similarity >= max(min_similarity, 1e-6)
    at = np.broadcast_to(np.arange(len(rows))[:, None], best.shape)
    np.add.at(votes, (at[near], label[best[near]]), similarity[near])
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1).astype(np.int64)
