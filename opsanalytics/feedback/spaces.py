"""Where texts lie, by their words or by sentence embeddings, for the registry of themes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from opsanalytics.feedback.clusters import Labels, Space, Vectors
from opsanalytics.feedback.sentences import Sentences


class TextSpace(Protocol):
    """Vectors of texts by row number."""

    def vectors(self, rows: Labels) -> Vectors:
        """Unit vectors; zero where nothing is known of a text."""
        ...

    def known(self, rows: Labels) -> Vectors:
        """Share of each text that the space can say something about."""
        ...


class WordSpace:
    """By words, fitted to some texts."""

    def __init__(self, words: Sequence[list[str]], fitted: Labels) -> None:
        self._words = words
        self._space = Space([words[i] for i in fitted])

    def vectors(self, rows: Labels) -> Vectors:
        return self._space.vectors([self._words[i] for i in rows])

    def known(self, rows: Labels) -> Vectors:
        return self._space.known([self._words[i] for i in rows])


class SentenceSpace:
    """By sentence embeddings; texts that the model cannot read by their words, in dimensions of their own.

    So a Japanese text is near other Japanese texts with the same words, and near no English one.
    """

    def __init__(self, words: Sequence[list[str]], sentences: Sentences, fitted: Labels) -> None:
        self._sentences, self._readable = sentences.vectors, sentences.readable
        foreign = fitted[~self._readable[fitted]]
        self._words = WordSpace(words, foreign) if len(foreign) else None

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
