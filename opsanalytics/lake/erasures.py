"""Persons who were forgotten: salted hashes of their ids, and the record of each erasure.

The ids themselves are kept nowhere, except in `unfinished.json` while an erasure is under way: a killed
one must be able to go on when half of the files no longer know them.
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from opsanalytics.lake.files import write_text
from opsanalytics.lake.paths import Home

USER, DEVICE, DISTINCT, MENTION, EMAIL = "user", "device", "distinct", "mention", "email"
"""What an id is: of a person in all sources, of a source, as a value anywhere, an e-mail address."""
DECIDING = "deciding"
"""A distinct id that says whose an event is whatever user it names: the vendor joined ids itself."""


class PersonIds(BaseModel):
    """Ids by which a person is known, in clear."""

    model_config = ConfigDict(frozen=True)

    person: str
    users: tuple[str, ...] = ()
    devices: tuple[tuple[str, str], ...] = ()
    """(source, id)."""
    distinct: tuple[tuple[str, str], ...] = ()
    """(source, id)."""
    deciding: tuple[tuple[str, str], ...] = ()
    """Those of `distinct` whose source goes by them alone."""
    aliases: tuple[str, ...] = ()
    """Other ids that only this person's events carry."""
    emails: tuple[str, ...] = ()
    """Trimmed, lower case."""
    shared: tuple[tuple[str, str], ...] = ()
    """(source, device): devices that others use too. What is anonymous on them is the person's, the id
    itself is not only theirs and stays in the others' records."""

    @property
    def own(self) -> tuple[str, ...]:
        """Every id that is of this person alone, sorted."""
        shared = {device for _, device in self.shared}
        devices = {device for _, device in self.devices} - shared
        return tuple(
            sorted({*self.users, *devices, *(each for _, each in self.distinct), *self.aliases, *self.emails})
        )


class Forgotten(BaseModel):
    """One person, as hashes."""

    model_config = ConfigDict(frozen=True)

    audit: str
    at: datetime
    hashes: tuple[str, ...]


class Tombstones(BaseModel):
    """Everybody who was forgotten; `salt` makes the hashes useless without this file."""

    model_config = ConfigDict(frozen=True, ignored_types=(cached_property,))

    salt: str
    persons: tuple[Forgotten, ...] = ()

    def hash_of(self, kind: str, value: str, source: str = "") -> str:
        text = f"{kind}\0{source}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.new(bytes.fromhex(self.salt), text, hashlib.sha256).hexdigest()

    @cached_property
    def audits(self) -> dict[str, str]:
        """Hash -> audit number."""
        return {each: person.audit for person in self.persons for each in person.hashes}

    def hashes_of(self, ids: PersonIds) -> tuple[str, ...]:
        """All that records of this person are known by, sorted."""
        found = {self.hash_of(USER, user) for user in ids.users}
        found |= {self.hash_of(DEVICE, device, source) for source, device in ids.devices}
        found |= {self.hash_of(DISTINCT, each, source) for source, each in ids.distinct}
        found |= {self.hash_of(DECIDING, each, source) for source, each in ids.deciding}
        found |= {self.hash_of(EMAIL, email) for email in ids.emails}
        found |= {self.hash_of(MENTION, each) for each in ids.own}
        return tuple(sorted(found))


class AuditEntry(BaseModel):
    """One line of `audit.jsonl`: who was forgotten (as a hash), when, by whom, and what it took away."""

    model_config = ConfigDict(frozen=True)

    audit: str
    person: str
    """Salted hash."""
    ids: tuple[str, ...]
    """Salted hashes of all ids."""
    requested_at: datetime
    finished_at: datetime
    by: str
    counts: dict[str, int]


class Unfinished(BaseModel):
    """An erasure that has begun and not ended."""

    model_config = ConfigDict(frozen=True)

    audit: str
    at: datetime
    by: str
    ids: PersonIds
    counts: dict[str, int] = {}


def read_tombstones(home: Home) -> Tombstones | None:
    """Everybody who was forgotten; None if nobody ever was."""
    path = home.erasures / "tombstones.json"
    return Tombstones.model_validate_json(path.read_bytes()) if path.exists() else None


def bury(home: Home, unfinished: Unfinished) -> Tombstones:
    """Make the person one of the forgotten; again changes nothing."""
    stones = read_tombstones(home) or Tombstones(salt=secrets.token_hex(32))
    others = tuple(each for each in stones.persons if each.audit != unfinished.audit)
    entry = Forgotten(audit=unfinished.audit, at=unfinished.at, hashes=stones.hashes_of(unfinished.ids))
    stones = Tombstones(salt=stones.salt, persons=(*others, entry))
    write_text(home.erasures / "tombstones.json", stones.model_dump_json(indent=1) + "\n")
    return stones


def read_unfinished(home: Home) -> Unfinished | None:
    """The erasure that a killed process left, if there is one."""
    path = home.erasures / "unfinished.json"
    return Unfinished.model_validate_json(path.read_bytes()) if path.exists() else None


def write_unfinished(home: Home, unfinished: Unfinished) -> None:
    write_text(home.erasures / "unfinished.json", unfinished.model_dump_json(indent=1) + "\n")


def read_audit(home: Home) -> list[AuditEntry]:
    """All erasures, the oldest first."""
    path = home.erasures / "audit.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [AuditEntry.model_validate_json(line) for line in lines]


def finish(home: Home, entry: AuditEntry) -> None:
    """Write the entry into the record, once, and forget the ids themselves."""
    entries = [each for each in read_audit(home) if each.audit != entry.audit]
    text = "".join(each.model_dump_json() + "\n" for each in (*entries, entry))
    write_text(home.erasures / "audit.jsonl", text)
    (home.erasures / "unfinished.json").unlink(missing_ok=True)
