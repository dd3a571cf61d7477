"""Sorted batches of a Spark partition as tables of whole persons."""

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

PERSON = "person"


def whole_persons(
    batches: Iterator[pa.RecordBatch], rows: int, *, nobody_whole: bool = False
) -> Iterator[pl.DataFrame]:
    """Tables of `rows` rows or more, each with all rows of the persons in it; the last one may be shorter.

    In: batches in which all rows of a person follow one another, over the ends of batches too. A person with
    more rows than that stays whole; rows of nobody do so only with `nobody_whole`.
    """
    held: list[pa.RecordBatch] = []
    count, enough = 0, rows
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        count += batch.num_rows
        if count < enough:
            continue
        table = _table(held)
        cut = _start_of_last(table, nobody_whole=nobody_whole)
        if cut:
            yield table[:cut]
            rest = table[cut:].rechunk()
            held = rest.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()
            count, enough = rest.height, max(rows, 2 * rest.height)
        else:
            # One person so far: looking again after each batch would take time quadratic in its rows.
            enough = 2 * count
    if held:
        yield _table(held)


def _table(batches: list[pa.RecordBatch]) -> pl.DataFrame:
    tables = [pl.DataFrame(pl.from_arrow(batch)) for batch in batches]
    return pl.concat(tables, how="vertical_relaxed")


def _start_of_last(table: pl.DataFrame, *, nobody_whole: bool) -> int:
    """Number of the first row of the person whose rows come last; of all rows if these are nobody's."""
    person = table[PERSON]
    if person[-1] is None and not nobody_whole:
        return table.height
    others = person.ne_missing(person.tail(1)).arg_true()
    return int(others[-1]) + 1 if len(others) else 0
