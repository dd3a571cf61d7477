"""One person: found by any id, with every id, the rule that gave it, and the event that shows it."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from opsanalytics.lake.events import read_persons, scan_events, scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import PERSONS

RULES = {
    "user_id": "The events carry it as the id of a signed-in user.",
    "first_user_on_device": "The first user seen on a device has its anonymous events, earlier ones too.",
    "anonymous_device": "Nobody has signed in on this device yet, so the device itself is the person.",
    "vendor_merge": "The vendor's own identity events joined it to the person's other ids.",
    "vendor_id_of_user": "The vendor's own person id came with this user.",
    "distinct_id": "Events carry neither user nor device, so the distinct id itself is the person.",
}
"""Why an id belongs to its person, by the `rule` of the table persons."""
KEPT_APART = (
    "Two users never become one because they used the same device; what is anonymous on it belongs to the "
    "first of them."
)
IDENTITY_EVENTS = ("$identify", "$create_alias", "$merge")
HINTS = 5


@dataclass(frozen=True)
class Evidence:
    """The event that shows something."""

    source: str
    ts: datetime
    event: str
    event_id: str


@dataclass(frozen=True)
class Id:
    """One id of a person."""

    source: str
    kind: str
    """user, device or distinct."""
    id: str
    rule: str
    why: str
    since: datetime
    """First event that shows it, UTC."""
    evidence: Evidence | None
    """That event; None if it is not in the lake any more."""


@dataclass(frozen=True)
class SharedDevice:
    """A device on which more than one user signed in."""

    source: str
    device: str
    users: tuple[tuple[str, datetime], ...]
    """Users by the first event that shows them there, the first one being who has the anonymous events."""
    tie: bool
    """Whether the first two were seen at the same moment; then the smaller id is first."""

    @property
    def owner(self) -> str:
        return self.users[0][0]


@dataclass(frozen=True)
class PersonReport:
    """How an identity came about."""

    person: str
    ids: tuple[Id, ...]
    """By kind (user, device, distinct), source and id."""
    shared_devices: tuple[SharedDevice, ...]
    """Devices that this person shares with others, whoever has the anonymous events."""
    conflicts: tuple[str, ...]
    """What makes the identity doubtful, in words."""
    events: int
    first: datetime | None
    last: datetime | None


def persons_with(home: Home, identifier: str) -> list[str]:
    """Persons that have this id, of any kind or source, or are called by it; sorted."""
    persons = read_persons(home)
    found = persons.filter((pl.col("id") == identifier) | (pl.col("person") == identifier))
    exact = found.filter((pl.col("person") == identifier) | (pl.col("id_kind") == "user"))
    return sorted((exact if exact.height else found)["person"].unique().to_list())


def nearest(home: Home, identifier: str) -> list[str]:
    """Known ids that look like an unknown one, the likeliest first."""
    ids = read_persons(home)["id"].unique().sort()
    lower = identifier.lower()
    inside = ids.filter(ids.str.to_lowercase().str.contains(lower, literal=True)).head(HINTS).to_list()
    start = lower[:3]
    pool = (
        ids.filter(ids.str.to_lowercase().str.starts_with(start)).head(5_000).to_list()
        or ids.head(5_000).to_list()
    )
    close = difflib.get_close_matches(identifier, pool, n=HINTS, cutoff=0.6)
    return list(dict.fromkeys([*inside, *close]))[:HINTS]


def explain(home: Home, sources: Sequence[str], person: str) -> PersonReport:
    """All that is known of one person of the table persons. Reads the event files once.

    Args:
        sources: names of the configured event sources.
    """
    known = read_persons(home).filter(pl.col("person") == person)
    devices = known.filter(pl.col("id_kind") == "device")
    users = known.filter(pl.col("id_kind") == "user")["id"].unique().to_list()
    seen = sightings(home, sources, known)
    theirs = (
        scan_events(home, sources=sources)
        .filter(pl.col("person") == person)
        .select(pl.len().alias("events"), pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
        .collect()
        .row(0)
    )
    shared = shared_devices(home, sources, seen, users, devices)
    ids = [
        Id(
            source=row["source"],
            kind=row["id_kind"],
            id=row["id"],
            rule=row["rule"],
            why=why(row),
            since=row["since"],
            evidence=stated(home, row) if row["rule"] == "vendor_merge" else evidence(seen, row, person),
        )
        for row in known.sort(
            pl.col("id_kind").replace_strict({"user": 0, "device": 1, "distinct": 2}), "source", "id"
        ).iter_rows(named=True)
    ]
    return PersonReport(
        person=person,
        ids=tuple(ids),
        shared_devices=tuple(shared),
        conflicts=tuple(conflicts(home, person, known, shared)),
        events=theirs[0],
        first=theirs[1],
        last=theirs[2],
    )


def why(row: dict[str, str]) -> str:
    if row["id_kind"] == "distinct" and row["rule"] == "user_id":
        return "Events without user and device carry the user's id as their distinct id."
    return RULES.get(row["rule"], row["rule"])


def sightings(home: Home, sources: Sequence[str], known: pl.DataFrame) -> pl.DataFrame:
    """Events that carry any of the ids: source, ts, event, event_id and the three ids, in order of time."""
    wanted = {
        kind: known.filter(pl.col("id_kind") == kind)["id"].unique().implode()
        for kind in ("user", "device", "distinct")
    }
    carries = (
        pl.col("user_id").is_in(wanted["user"])
        | pl.col("device_id").is_in(wanted["device"])
        | pl.col("distinct_id").is_in(wanted["distinct"])
    )
    return (
        scan_raw_events(home)
        .filter(pl.col("source").is_in(list(sources)) & carries.fill_null(value=False))
        .select("source", "ts", "event", "event_id", "user_id", "device_id", "distinct_id")
        .sort("ts", "source", "event_id")
        .collect()
    )


def evidence(seen: pl.DataFrame, row: dict[str, str], person: str) -> Evidence | None:
    """The first event that gives an id to its person."""
    column = {"user": "user_id", "device": "device_id", "distinct": "distinct_id"}[row["id_kind"]]
    events = seen.filter((pl.col("source") == row["source"]) & (pl.col(column) == row["id"]))
    if row["id_kind"] == "device" and row["rule"] != "anonymous_device":
        events = events.filter(pl.col("user_id") == person)
    if row["rule"] == "vendor_id_of_user":
        events = events.filter(pl.col("user_id") == person)
    elif row["id_kind"] == "distinct":
        alone = events.filter(pl.col("user_id").is_null() & pl.col("device_id").is_null())
        # Where the vendor's own ids decide, events carry others beside them.
        events = alone if alone.height else events
    for first in events.head(1).iter_rows(named=True):
        return Evidence(first["source"], first["ts"], first["event"], first["event_id"])
    return None


def stated(home: Home, row: dict[str, str]) -> Evidence | None:
    """The first identity event of the vendor that names an id."""
    verbs = (
        scan_raw_events(home)
        .filter(
            (pl.col("source") == row["source"])
            & pl.col("source_event").is_in(IDENTITY_EVENTS)
            & pl.col("properties").str.contains(json.dumps(row["id"]), literal=True)
        )
        .select("source", "ts", "event", "event_id")
        .sort("ts", "event_id")
        .head(1)
        .collect()
    )
    return next((Evidence(*found) for found in verbs.iter_rows()), None)


def shared_devices(
    home: Home, sources: Sequence[str], seen: pl.DataFrame, users: Iterable[str], devices: pl.DataFrame
) -> list[SharedDevice]:
    """Devices with several users, of which this person is one or has the anonymous events."""
    mine = pl.concat(
        [
            seen.filter(pl.col("user_id").is_in(list(users))).select("source", "device_id"),
            devices.select("source", device_id="id"),
        ]
    ).drop_nulls()
    there = (
        scan_raw_events(home)
        .filter(pl.col("source").is_in(list(sources)) & pl.col("user_id").is_not_null())
        .select("source", "device_id", "user_id", "ts")
        .join(mine.unique().lazy(), on=["source", "device_id"], how="semi")
        .group_by("source", "device_id", "user_id")
        .agg(pl.col("ts").min())
        .sort("source", "device_id", "ts", "user_id")
        .collect()
    )
    found = []
    for (source, device), rows in there.group_by("source", "device_id", maintain_order=True):
        if rows.height > 1:
            signed_in = tuple(rows.select("user_id", "ts").iter_rows())
            found.append(
                SharedDevice(str(source), str(device), signed_in, signed_in[0][1] == signed_in[1][1])
            )
    return found


def conflicts(home: Home, person: str, known: pl.DataFrame, shared: Iterable[SharedDevice]) -> Iterable[str]:
    for device in shared:
        if device.tie:
            yield (
                f"device {device.device} of {device.source}: {device.users[0][0]} and {device.users[1][0]} "
                "were first seen there at the same moment; the smaller id counts as first"
            )
    others = read_persons(home).filter(
        pl.col("id").is_in(known["id"].unique().implode()) & (pl.col("person") != person)
    )
    for row in others.sort(PERSONS.order).iter_rows(named=True):
        yield (
            f"{row['id']} is also a {row['id_kind']} id in {row['source']}, where it is {row['person']}; "
            "ids of different kinds or sources are not joined"
        )
