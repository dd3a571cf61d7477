"""Every id by which a person is known, to find them wherever they are named."""

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from opsanalytics.cleaning.redaction import EMAIL, normal_email
from opsanalytics.lake.erasures import PersonIds
from opsanalytics.lake.events import read_identity_rules, read_persons, scan_events
from opsanalytics.lake.paths import Home

EMAIL_PROPERTIES = ("$email", "email")
VERBS = "verbs"
"""Rule of a source whose vendor joined ids itself; then the distinct id alone decides."""


def known_ids(home: Home, sources: Sequence[str], person: str) -> PersonIds:
    """All ids of a person of the table persons, and what else only their events carry."""
    persons = read_persons(home).filter(pl.col("person") == person)

    def pairs(kind: str) -> tuple[tuple[str, str], ...]:
        found = persons.filter(pl.col("id_kind") == kind).select("source", "id").unique().sort("source", "id")
        return tuple(found.iter_rows())

    users = tuple(sorted({each for _, each in pairs("user")} | ({person} if named_user(persons) else set())))
    events = scan_events(home, sources=sources)
    theirs = events.filter(pl.col("person") == person)
    carried = {
        name: theirs.select(name).drop_nulls().unique().collect().to_series().sort()
        for name in ("user_id", "device_id", "distinct_id")
    }
    others = events.filter((pl.col("person") != person) | pl.col("person").is_null())
    used = {
        name: set(
            others.filter(pl.col(name).is_in(values.implode())).select(name).unique().collect().to_series()
        )
        for name, values in carried.items()
    }
    devices = pairs("device")
    aliases = {each for name, values in carried.items() for each in values if each not in used[name]}
    distinct = tuple(pair for pair in pairs("distinct") if pair[1] not in used["distinct_id"])
    by_verbs = {source for source, rule in read_identity_rules(home).items() if rule == VERBS}
    return PersonIds(
        person=person,
        users=users,
        devices=devices,
        distinct=distinct,
        deciding=tuple(pair for pair in distinct if pair[0] in by_verbs),
        aliases=tuple(sorted(aliases - set(users) - {each for _, each in (*devices, *distinct)})),
        emails=emails(theirs, (*users, *(each for _, each in distinct))),
        shared=tuple(pair for pair in devices if pair[1] in used["device_id"]),
    )


def named_user(persons: pl.DataFrame) -> bool:
    """Whether the person goes by a user's id, and not by `device:...` or `distinct:...`."""
    return (
        persons.filter((pl.col("id_kind") == "user") | pl.col("rule").is_in(["first_user_on_device"])).height
        > 0
    )


def persons_by_email(home: Home, sources: Sequence[str], address: str) -> list[str]:
    """Persons of whom an event gives this address (trimmed, lower case) as `$email` or `email`."""
    found = (
        scan_events(home, sources=sources)
        .filter(pl.col("properties").str.to_lowercase().str.contains(address, literal=True))
        .select("person", "properties")
        .unique()
        .collect()
    )
    return sorted(
        {
            person
            for person, text in found.drop_nulls("person").iter_rows()
            if address in addresses_in(json.loads(text))
        }
    )


def addresses_in(properties: dict[str, Any]) -> set[str]:
    """E-mail addresses that properties state of whoever did the event."""
    values = [properties.get(name) for name in EMAIL_PROPERTIES]
    return {normal_email(each) for each in values if isinstance(each, str) and EMAIL.fullmatch(each.strip())}


def emails(theirs: pl.LazyFrame, ids: Sequence[str]) -> tuple[str, ...]:
    """E-mail addresses that are ids, or that the person's events give as `$email` or `email`."""
    found = {normal_email(each) for each in ids if EMAIL.fullmatch(each)}
    texts = (
        theirs.filter(pl.col("properties").str.contains("email", literal=True)).select("properties").unique()
    )
    for (text,) in texts.collect().iter_rows():
        found |= addresses_in(json.loads(text))
    return tuple(sorted(found))
