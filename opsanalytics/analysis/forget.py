"""Erasing a person from everything in the home folder, so that they do not come back.

Order: what is to be done is written down, the tombstone is laid (from then on no cleaning takes the
person in), the landed files are rewritten, the lake is cleaned from them, what was made of the lake is
made again or removed, and the record of the erasure replaces the note. A killed erasure is finished by
the next one: every step can be repeated.
"""

import getpass
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.analysis.traces import drop_remade, take_out, traces
from opsanalytics.cleaning.erasing import candidates, scrub_source
from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.feedback import clean_feedback, read_or_refuse
from opsanalytics.cleaning.lines import read_batches, records
from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.private_records import parse_private
from opsanalytics.cleaning.profiles import clean_profiles, landed_profiles
from opsanalytics.cleaning.redaction import EMAIL, email_hash, normal_email
from opsanalytics.config import Settings
from opsanalytics.identity.known_ids import addresses_in, known_ids, persons_by_email
from opsanalytics.identity.people import persons_with
from opsanalytics.identity.persons import rebuild
from opsanalytics.lake.erasures import (
    MENTION,
    AuditEntry,
    PersonIds,
    Unfinished,
    bury,
    finish,
    read_tombstones,
    read_unfinished,
    write_unfinished,
)
from opsanalytics.lake.events import scan_events
from opsanalytics.lake.locks import alone
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.profiles import DEVICE_PREFIX
from opsanalytics.lake.publish import publish
from opsanalytics.sources.base import EventSourceSettings, FeedbackRow, SourceSettings
from opsanalytics.sources.files import EventFileSettings
from opsanalytics.sources.lines import RawLines

BATCH_BYTES = 8 * 1024 * 1024
WAIT_SECONDS = 60.0


class UnknownPersonError(LookupError):
    """Nobody has this id."""


class AmbiguousPersonError(LookupError):
    """Several persons have this id."""

    def __init__(self, persons: Sequence[str]) -> None:
        super().__init__(f"several persons have this id: {', '.join(persons)}")


@dataclass(frozen=True)
class Plan:
    """What erasing a person takes away."""

    ids: PersonIds
    events: int
    messages: int
    shared: tuple[tuple[str, str], ...]
    """(source, device): ids that others use too and that stay in the others' records."""


@dataclass(frozen=True)
class Erased:
    """A finished erasure."""

    entry: AuditEntry
    left: tuple[Path, ...]
    """Files that still name the person and that nothing could be taken out of."""
    yours: tuple[str, ...] = ()
    """Folders and buckets that events are read from: files there are not changed, and what is read from
    them again loses the person again."""


def plan(settings: Settings, identifier: str, environ: Mapping[str, str]) -> Plan:
    """What erasing whoever has this id takes away. Changes nothing.

    Raises:
        UnknownPersonError: no event, no profile and no message has it.
        AmbiguousPersonError: persons of several sources have it; name one by its own id.
    """
    home = settings.home
    sources = [source.name for source in settings.event_sources]
    rules = settings.privacy_rules(environ)
    spelled = [identifier, *(each.hashed(identifier) for each in rules.values() if each.hash)]
    rows = messages(settings)
    if EMAIL.fullmatch(identifier):
        address = normal_email(identifier)
        wrote = [
            row.user_id for row in rows if row.user_id and row.email and normal_email(row.email) == address
        ]
        spelled += [
            name for user in wrote for name in (user, *(each.hashed(user) for each in rules.values()))
        ]
        spelled += persons_by_email(home, sources, address)
        spelled += profiles_of(settings, set(), {address})[0]
    persons = sorted({person for name in spelled for person in persons_with(home, name)})
    if len(persons) > 1:
        raise AmbiguousPersonError(persons)
    if persons:
        ids = with_landed_ids(settings, known_ids(home, sources, persons[0]), rules)
    else:
        ids = PersonIds(person=identifier, users=(identifier,))
    if EMAIL.fullmatch(identifier):
        ids = ids.model_copy(update={"emails": tuple(sorted({*ids.emails, normal_email(identifier)}))})
    profiles, addresses = profiles_of(settings, {*ids.own, identifier}, set(ids.emails))
    update = {"emails": tuple(sorted({*ids.emails, *addresses}))}
    if not persons:
        update["users"] = tuple(sorted({*ids.users, *profiles}))
    ids, theirs = with_messages(rows, ids.model_copy(update=update))
    if not persons and not theirs and not profiles:
        raise UnknownPersonError(identifier)
    events = scan_events(home, sources=sources).filter(pl.col("person") == ids.person)
    return Plan(ids, int(events.select(pl.len()).collect().item()), theirs, ids.shared)


def messages(settings: Settings) -> list[FeedbackRow]:
    """All landed messages as they came."""
    return [
        row
        for source in settings.feedback_sources
        for manifest in deliveries(settings.home, source.name)
        for landed in manifest.files
        for rows, _ in read_or_refuse(
            source, settings.home.delivery(source.name, manifest.delivery) / landed.name
        )
        for row in rows
    ]


def profiles_of(settings: Settings, names: set[str], addresses: set[str]) -> tuple[list[str], set[str]]:
    """Ids of landed profiles that have one of these ids or e-mail addresses, and all their addresses."""
    found: set[str] = set()
    stated: set[str] = set()
    for source in settings.event_sources:
        for identifier, properties in landed_profiles(source, settings.home):
            theirs = addresses_in(properties)
            if identifier.removeprefix(DEVICE_PREFIX) in names or identifier in names or theirs & addresses:
                found.add(identifier)
                stated |= theirs
    return sorted(found), stated


def with_messages(rows: Sequence[FeedbackRow], ids: PersonIds) -> tuple[PersonIds, int]:
    """The ids with the e-mail addresses under which the person wrote, and how many landed messages are
    theirs: those with one of their user ids or addresses."""
    own = {*ids.own, ids.person}
    addresses = {*ids.emails, *(normal_email(row.email) for row in rows if row.email and row.user_id in own)}
    theirs = {
        row.id for row in rows if row.user_id in own or (row.email and normal_email(row.email) in addresses)
    }
    return ids.model_copy(update={"emails": tuple(sorted(addresses))}), len(theirs)


def with_landed_ids(settings: Settings, ids: PersonIds, rules: Mapping[str, PrivacyRules]) -> PersonIds:
    """The ids with those that landed records have where the lake has keyed hashes of them."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in ("user_id", "device_id", "distinct_id")}
    known = {
        "user_id": set(ids.users),
        "device_id": {each for _, each in ids.devices} - {each for _, each in ids.shared},
        "distinct_id": {each for _, each in ids.distinct} | set(ids.aliases),
    }
    for source in settings.event_sources:
        hashing = rules.get(source.name)
        if hashing is None or not hashing.hash:
            continue
        for raw in landed_records(settings, source):
            shown = parse_private(source, hashing, raw)[0].rows
            came = source.parse_records(raw).rows
            pairs = shown.select("position", *found).join(came.select("position", *found), on="position")
            for name, values in known.items():
                theirs = pairs.filter(pl.col(name).is_in(sorted(values)))[f"{name}_right"]
                found[name] |= {(source.name, each) for each in theirs.drop_nulls().unique()}
    return ids.model_copy(
        update={
            "users": tuple(sorted({*ids.users, *(each for _, each in found["user_id"])})),
            "devices": tuple(sorted({*ids.devices, *found["device_id"]})),
            "distinct": tuple(sorted({*ids.distinct, *found["distinct_id"]})),
        }
    )


def landed_records(settings: Settings, source: EventSourceSettings) -> Iterator[RawLines]:
    """All landed records of a source, in batches of bounded size."""
    for manifest in deliveries(settings.home, source.name):
        for landed in manifest.files:
            path = settings.home.delivery(source.name, manifest.delivery) / landed.name
            for batch in read_batches(path, BATCH_BYTES):
                yield records(batch).raw


def was_forgotten(settings: Settings, identifier: str) -> datetime | None:
    """When whoever had this id was forgotten, if they were."""
    stones = read_tombstones(settings.home)
    audit = stones.audits.get(stones.hash_of(MENTION, identifier)) if stones else None
    return next((each.at for each in stones.persons if each.audit == audit), None) if stones else None


def forget(
    settings: Settings,
    what: Plan,
    environ: Mapping[str, str],
    *,
    at: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> Erased:
    """Erase a person.

    Raises:
        LockHeldError: another process works in the home folder.
        CredentialError: the key of `[privacy]` is needed and not set.
    """
    settings.privacy_rules(environ)  # before anything is changed
    with alone(settings.home, wait_seconds=WAIT_SECONDS):
        begun = Unfinished(
            audit=secrets.token_hex(8),
            at=at,
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            ids=what.ids,
            counts={"events": what.events, "messages": what.messages},
        )
        write_unfinished(settings.home, begun)
        return complete(settings, begun, environ, tell)


def resume(
    settings: Settings, environ: Mapping[str, str], *, tell: Callable[[str], None] = lambda _: None
) -> Erased | None:
    """Finish the erasure that a killed process left; None if there is none.

    Raises:
        As `forget`.
    """
    settings.privacy_rules(environ)
    if read_unfinished(settings.home) is None:
        return None
    with alone(settings.home, wait_seconds=WAIT_SECONDS):
        begun = read_unfinished(settings.home)
        return complete(settings, begun, environ, tell) if begun is not None else None


def complete(
    settings: Settings, begun: Unfinished, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Erased:
    """All steps of an erasure; those that were done before change nothing."""
    home = settings.home
    stones = bury(home, begun)
    rules = settings.privacy_rules(environ)
    only = candidates(begun.ids)
    kept: list[Path] = []
    for source in settings.sources:
        tell(f"landed files of {source.name}")
        kept += scrub_source(source, home, only=only).kept
    for events in settings.event_sources:
        tell(f"lake of {events.name}")
        clean_events(events, home, settings.event_names, privacy=rules.get(events.name))
        if events.profiles_landed_as and (home.landing / events.profiles_landed_as).is_dir():
            clean_profiles(events, home, privacy=rules.get(events.name))
    for feedback in settings.feedback_sources:
        tell(f"messages of {feedback.name}")
        clean_feedback(feedback, home, privacy=rules.get(feedback.name))
    tell("persons")
    rebuild(
        home,
        [source.name for source in settings.event_sources],
        {source.name: source.identity_rules for source in settings.event_sources},
    )
    tell("marts, reports and the published file")
    drop_remade(home)
    names = (*begun.ids.own, *((begun.ids.person,) if begun.ids.person not in begun.ids.own else ()))
    hashes = tuple(email_hash(email) for email in begun.ids.emails)
    remade = home.published.exists()
    wanted = (*names, *hashes)
    for path in traces(home, wanted):
        take_out(home, path, wanted)
    if remade:
        publish(home, published_tables(home))
    left = sorted({*traces(home, wanted), *kept})
    notes = [
        note
        for source in settings.sources
        for name in landed_names(source)
        for manifest in deliveries(home, name)
        for note in manifest.erasures
        if note.audit == begun.audit
    ]
    entry = AuditEntry(
        audit=begun.audit,
        person=stones.hash_of(MENTION, begun.ids.person),
        ids=stones.hashes_of(begun.ids),
        requested_at=begun.at,
        finished_at=datetime.now(begun.at.tzinfo),
        by=begun.by,
        counts=begun.counts
        | {
            "landed records": sum(note.records for note in notes),
            "mentions blanked": sum(note.mentions for note in notes),
            "files left": len(left),
        },
    )
    finish(home, entry)
    yours = tuple(source.public_path for source in settings.sources if isinstance(source, EventFileSettings))
    return Erased(entry, tuple(left), yours)


def landed_names(source: SourceSettings) -> Iterator[str]:
    """Names under which deliveries of a source lie in the landing area."""
    yield source.name
    if isinstance(source, EventSourceSettings) and source.profiles_landed_as is not None:
        yield source.profiles_landed_as
