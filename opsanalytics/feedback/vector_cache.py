"""Vectors of texts that were encoded before: encoding is the only slow part, and texts do not change.

One file a model, by sha256 of the text. It can be deleted at any time. It holds no more than the texts of the
last run, so what was erased from feedback is gone from here with the next run.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from opsanalytics.feedback.sentences import DIMENSIONS, Encode, Halves
from opsanalytics.lake.files import write_parquet

_SCHEMA = {"text": pl.Binary, "vector": pl.Binary}


def cached(encode: Encode, path: Path, *, keep_others: bool) -> Encode:
    """`encode`, of which what is in the file at `path` is not asked again.

    Args:
        encode: gives vectors of texts.
        path: Parquet file of this model, made if there is none.
        keep_others: whether vectors stay in the file whose texts were not asked for.
    """

    def encoded(texts: Sequence[str]) -> Halves:
        names = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        known: dict[bytes, bytes] = {}
        if path.exists():
            known = dict(pl.read_parquet(path).select(list(_SCHEMA)).iter_rows())
        asked = dict(zip(names, texts, strict=True))
        new = {name: text for name, text in asked.items() if name not in known}
        if new:
            vectors = encode(list(new.values()))
            known |= {name: row.tobytes() for name, row in zip(new, vectors, strict=True)}
        kept = known if keep_others else {name: known[name] for name in asked}
        if new or len(kept) < len(known):
            write_parquet(path, pl.DataFrame(sorted(kept.items()), schema=_SCHEMA, orient="row"))
        found = np.frombuffer(b"".join(known[name] for name in names), dtype=np.float16)
        return found.reshape(len(texts), DIMENSIONS)

    return encoded
