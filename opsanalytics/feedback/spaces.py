"""Where texts lie, by their words or by sentence embeddings, for the registry of themes."""

from typing import Protocol

import numpy as np
from scipy.sparse.linalg import norm
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from opsanalytics.feedback.clusters import SEED, Labels, Vectors
from opsanalytics.feedback.sentences import Sentences
from opsanalytics.feedback.terms import Terms, Weighing

BLOCK = 5_000
"""Texts whose weights are held at once."""
UNDERSTOOD = 0.4
"""A text without a word that occurs in another one has a place if the dimensions hold so much of the length
of its letters' weights: misspelled words have more, random letters less."""
FEW = 100
"""Of no more texts than this what they have in common stays in; of twice as many half of it is taken out."""


class TextSpace(Protocol):
    """Vectors of texts by row number."""

    def vectors(self, rows: Labels) -> Vectors:
        """Unit vectors; zero where nothing is known of a text."""
        ...

    def known(self, rows: Labels) -> Vectors:
        """Share of each text that the space can say something about."""
        ...


class WordSpace:
    """By words: latent semantic analysis of TF-IDF weights, at most 200 dimensions fitted to some texts.

    Few texts get few dimensions (1.6 times the square root of their number): with as many dimensions as
    texts everything is far from everything. What all texts have in common is taken out: long texts of one
    site are all near each other for the words that any of them has.
    """

    def __init__(self, terms: Terms, fitted: Labels) -> None:
        self._weighing = Weighing(terms, fitted)
        matrix = self._weighing.matrix(fitted)
        dimensions = min(200, round(1.6 * len(fitted) ** 0.5), min(matrix.shape) - 1)
        self._reduce = None
        if dimensions >= 1:
            # its share of variance, if there is no variance
            with np.errstate(divide="ignore", invalid="ignore"):
                # Lanczos: exact, and many times faster than the default where terms outnumber texts
                self._reduce = TruncatedSVD(dimensions, algorithm="arpack", random_state=SEED).fit(matrix)

        texts = self._directions(fitted)
        # of a handful of texts the middle is what they are about
        self._middle = texts.mean(axis=0) * max(0.0, 1 - FEW / len(texts))

    def vectors(self, rows: Labels) -> Vectors:
        directions = self._directions(rows)
        return np.asarray(normalize((directions - self._middle) * directions.any(axis=1, keepdims=True)))

    def _directions(self, rows: Labels) -> Vectors:
        parts = [self._placed(rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK)]
        return np.vstack(parts) if parts else self._placed(rows)

    def _placed(self, rows: Labels) -> Vectors:
        weights = self._weighing.matrix(rows)
        placed = weights.toarray() if self._reduce is None else self._reduce.transform(weights)
        share = np.linalg.norm(placed, axis=1) / np.maximum(norm(weights, axis=1), 1e-9)
        understood = (self._weighing.known(rows) > 0) | (share >= UNDERSTOOD)
        return np.asarray(normalize(placed * understood[:, None]))

    def known(self, rows: Labels) -> Vectors:
        return self._weighing.known(rows)


class SentenceSpace:
    """By sentence embeddings; texts that the model cannot read by their words, in dimensions of their own.

    So a Japanese text is near other Japanese texts with the same words, and near no English one.
    """

    def __init__(self, terms: Terms, sentences: Sentences, fitted: Labels) -> None:
        self._sentences, self._readable = sentences.vectors, sentences.readable
        foreign = fitted[~self._readable[fitted]]
        self._words = WordSpace(terms, foreign) if len(foreign) else None

    def vectors(self, rows: Labels) -> Vectors:
        read: Vectors = self._sentences[rows].astype(np.float64)
        # half precision is not quite of length one
        length = np.linalg.norm(read, axis=1, keepdims=True)
        read = np.divide(read, length, out=np.zeros_like(read), where=length > 0)
        if self._words is None:
            return np.asarray(read)
        foreign = ~self._readable[rows]
        spelled = self._words.vectors(rows) * foreign[:, None]
        return np.hstack([read, spelled])

    def known(self, rows: Labels) -> Vectors:
        readable = self._readable[rows]
        if self._words is None:
            return readable.astype(np.float64)
        return np.where(readable, 1.0, self._words.known(rows))
