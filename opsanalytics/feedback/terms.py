"""The terms of texts, counted once: words, pairs of neighbouring words, and n-grams of the letters of words.

Spaces are fitted to many selections of the same texts. All that depends on the selection is which terms are
too rare or too common and what they weigh; the counts do not, so a fit is a matter of sparse matrices.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from opsanalytics.feedback.clusters import Labels, Vectors
from opsanalytics.feedback.words import phrases

LETTERS = (3, 5)
"""Length of the n-grams: they tie inflections and misspellings together."""
LETTERS_WEIGHT = 1.5
"""Weight of letter n-grams beside words: 1.0 to 2.0 differ by less than 0.01 NMI on banking77."""
MOST_LETTERS = 50_000
"""So many n-grams are used, the most frequent."""
SMALL = 20
"""Below this many messages rare and frequent terms cannot be told apart, so none is dropped."""


class Terms:
    """Counts of the terms of each of `documents` (content words, at least one in all of them)."""

    def __init__(self, documents: Sequence[list[str]]) -> None:
        counter = CountVectorizer(analyzer=phrases)
        self.phrases: csr_matrix = counter.fit_transform(documents).tocsr()
        names = counter.get_feature_names_out()
        single = np.array([" " not in name for name in names])
        self.words: csr_matrix = self.phrases[:, np.flatnonzero(single)]
        self.single: NDArray[np.bool_] = single
        """Which phrases are words."""
        spelled = CountVectorizer(analyzer="char_wb", ngram_range=LETTERS)
        self._letters: csr_matrix = spelled.fit_transform(names[single]).tocsr()

    def letters(self, rows: Labels) -> csr_matrix:
        """How often each n-gram of letters occurs in each of `rows`."""
        return self.words[rows] @ self._letters


class Weighing:
    """TF-IDF (sublinear) of the terms that are neither too rare nor too common in some of the texts."""

    def __init__(self, terms: Terms, fitted: Labels) -> None:
        """Weigh by the texts `fitted`."""
        self._terms = terms
        self._words = _Part(terms.phrases[fitted], min_count=2, max_share=0.5)
        self._letters = _Part(terms.letters(fitted), min_count=3, max_share=0.3, most=MOST_LETTERS)
        familiar = np.zeros(len(terms.single), dtype=np.int64)
        familiar[self._words.kept] = 1
        self._familiar = familiar[terms.single]

    def matrix(self, rows: Labels) -> csr_matrix:
        """Weights of terms, one text a row."""
        words = self._words.weights(self._terms.phrases[rows])
        letters = self._letters.weights(self._terms.letters(rows))
        return hstack([words, letters * LETTERS_WEIGHT]).tocsr()

    def known(self, rows: Labels) -> Vectors:
        """Share of each text's words that have a weight: of the others nothing can be said."""
        counts = self._terms.words[rows]
        return np.asarray(counts @ self._familiar / np.maximum(1, counts.sum(axis=1).A1), dtype=np.float64)


class _Part:
    """The terms of one kind."""

    def __init__(self, counts: csr_matrix, *, min_count: int, max_share: float, most: int = 0) -> None:
        texts, terms = counts.shape
        occurs = np.bincount(counts.indices, minlength=terms)
        kept = np.flatnonzero((occurs >= min_count) & (occurs <= max_share * texts))
        if texts < SMALL or not len(kept):
            kept = np.flatnonzero(occurs)
        if most and len(kept) > most:
            often = np.asarray(counts.sum(axis=0)).ravel()[kept]
            kept = np.sort(kept[np.argsort(-often, kind="stable")[:most]])
        self.kept = kept
        self._weigh = TfidfTransformer(sublinear_tf=True).fit(counts[:, kept])

    def weights(self, counts: csr_matrix) -> csr_matrix:
        return self._weigh.transform(counts[:, self.kept])
