"""A window that the vendor cannot deliver in one answer, fetched as one answer for some events each.

The names come from everywhere they may be seen: the partial answers to this window, what landed
before, the lake, and the vendor's own list. An export that is narrowed to names can only miss an
event whose name none of these has; what was seen in a partial answer is checked against the whole.
"""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import IO

import msgspec
import polars as pl

from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventApiSettings, Request
from opsanalytics.sources.download import TooLargeError, WindowDownload
from opsanalytics.sources.errors import IncompleteExportError
from opsanalytics.sources.landing import Received
from opsanalytics.sources.windows import Window

NAMES_BYTES = 6_000
"""So long is the list of names in a URL at most: servers refuse longer ones with 414."""
NEAR_DELIVERIES = 3
NEAR_DAYS = 45
BLOCK_BYTES = 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


class NamedLine(msgspec.Struct):
    """What of an exported line tells its event."""

    event: str


read_name = msgspec.json.Decoder(NamedLine).decode


def event_counts(path: Path) -> Counter[str]:
    """Names of the events in a landed or partial answer, with how often each came.

    Reads as far as the bytes go; what cannot be read is left out.
    """
    counts: Counter[str] = Counter()
    with path.open("rb") as file:
        for line in whole_lines(decoded(file)):
            try:
                counts[read_name(line).event] += 1
            except msgspec.DecodeError:
                continue  # cut, broken, or the word that the vendor gave up
    return counts


def decoded(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, gunzipped if it is gzip; ends without a word where a stream is cut."""
    gzipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    decoder = zlib.decompressobj(wbits=31)
    while block := file.read(BLOCK_BYTES):
        if not gzipped:
            yield block
            continue
        try:
            while block:
                yield decoder.decompress(block)
                block = decoder.unused_data
                if decoder.eof:
                    decoder = zlib.decompressobj(wbits=31)
        except zlib.error:
            return


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    tail = b""
    for block in blocks:
        lines = (tail + block).split(b"\n")
        tail = lines.pop()
        yield from lines
    yield tail


def known_names(settings: EventApiSettings, home: Home, window: Window) -> Counter[str]:
    """Names of events near `window`, from the lake and from the nearest deliveries, with their counts."""
    counts: Counter[str] = Counter()
    days = [window.first_day + timedelta(days=offset) for offset in range(-NEAR_DAYS, NEAR_DAYS + 1)]
    files = [path for day in days if (path := home.events_file(settings.name, day)).exists()]
    if files:
        names = pl.scan_parquet(files, glob=False, hive_partitioning=False).select("source_event")
        counts.update(dict(names.collect()["source_event"].value_counts().iter_rows()))
    with_days = [each for each in deliveries(home, settings.name) if each.first_day and each.files]
    nearest = sorted(with_days, key=lambda each: abs((each.first_day or date.min) - window.first_day))
    for manifest in nearest[:NEAR_DELIVERIES]:
        for landed in manifest.files:
            counts.update(landed_counts(home.delivery(settings.name, manifest.delivery) / landed.name))
    return counts


@lru_cache(maxsize=4 * NEAR_DELIVERIES)
def landed_counts(path: Path) -> Counter[str]:
    """As `event_counts`; a landed file is named by its content, so its counts can be kept."""
    return event_counts(path)


def halves(names: Sequence[str], weight: Counter[str]) -> list[list[str]]:
    """The names in two groups of about equal weight, each in alphabetical order."""
    groups: list[list[str]] = [[], []]
    totals = [0, 0]
    for name in sorted(names, key=lambda name: (-weight[name], name)):
        smaller = 0 if totals[0] <= totals[1] else 1
        groups[smaller].append(name)
        totals[smaller] += weight[name] + 1
    return [sorted(group) for group in groups if group]


def fits_url(names: Sequence[str]) -> bool:
    return len(json.dumps(list(names))) <= NAMES_BYTES or len(names) == 1


def receive_by_event(
    settings: EventApiSettings,
    window: Window,
    request: Request,
    names: Counter[str],
    seen_records: int,
    *,
    temporary: Callable[[], AbstractContextManager[tuple[IO[bytes], Path]]],
    download: Callable[[Request, bool], WindowDownload],
    tell: Callable[[str], None],
    stack: ExitStack,
) -> list[Received]:
    """All events of `window`, in parts by their names; groups of names are halved as often as needed.

    Args:
        names: every name that may occur, with a weight.
        seen_records: so many records the longest partial answer to the whole window had.
        temporary: makes a temporary file; `stack` keeps them until the parts are landed.
        download: attempts at a request; told whether something smaller can be asked for.

    Raises:
        IncompleteExportError: a single event is too much, or the parts hold less than was seen before.
        SourceError: as any download.
    """
    waiting = halves(list(names), names)
    parts: list[Received] = []
    while waiting:
        group = waiting.pop(0)
        if not fits_url(group):
            waiting[:0] = halves(group, names)
            continue
        narrowed = settings.narrowed(request, group)
        if narrowed is None:
            raise TypeError(f"{settings.kind} cannot narrow an export to events")
        file, path = stack.enter_context(temporary())
        try:
            received = download(narrowed, len(group) > 1).run(file, path).received
        except TooLargeError as error:
            tell(f"{window}: {len(group)} events are too much ({error}); asking for half of them")
            waiting[:0] = halves(group, names)
            continue
        if received is not None and received.records:
            parts.append(received)
        tell(f"{window}: {len(group)} events landed, {sum(map(len, waiting))} to go")
    records = sum(part.records for part in parts)
    if records < seen_records:
        raise IncompleteExportError(
            f"source {settings.name}: {window}: asked for event by event, {records} records came, but a "
            f"partial answer to the whole had {seen_records}. Nothing of it was kept; run again later."
        )
    return parts
