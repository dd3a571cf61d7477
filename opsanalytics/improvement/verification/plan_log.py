"""Verification plans as they were frozen, in the state of the home, beside the decisions about the items.

A plan is never changed: who wants another one adds a version, and the earlier ones stay.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from opsanalytics.improvement.decision_log import LOCK, connect, transaction
from opsanalytics.improvement.verification.plan import Plan
from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verification_plans (
    item_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    because TEXT NOT NULL,
    hash TEXT NOT NULL,
    plan TEXT NOT NULL,
    PRIMARY KEY (item_id, version)
)
"""


@dataclass(frozen=True)
class Frozen:
    """A version of an item's plan."""

    item_id: str
    version: int
    """From 1."""
    at: datetime
    """When it was frozen, UTC."""
    by: str
    because: str
    """What it was made for: accepted, shipped, ..., or why a person changed it."""
    hash: str
    plan: Plan


@dataclass(frozen=True)
class PlanLog:
    """All versions, by item and version."""

    versions: tuple[Frozen, ...] = ()
    latest: Mapping[str, Frozen] = field(default_factory=dict)

    @classmethod
    def of(cls, versions: Sequence[Frozen]) -> "PlanLog":
        ordered = sorted(versions, key=lambda each: (each.item_id, each.version))
        return cls(tuple(ordered), {each.item_id: each for each in ordered})

    def made_before(self, due: datetime) -> "PlanLog":
        """What was frozen before a moment."""
        return PlanLog.of([each for each in self.versions if each.at < due])

    def told(self) -> str:
        """All of it as text, for fingerprints."""
        return json.dumps([(each.item_id, each.version, str(each.at), each.hash) for each in self.versions])


def read_plans(home: Home) -> PlanLog:
    """All plans of a home.

    Raises:
        ValueError: a plan was changed behind our back: it no longer has its hash.
    """
    if not home.state.exists():
        return PlanLog()
    with closing(connect(home)) as con:
        con.execute(_SCHEMA)
        rows = con.execute(
            "SELECT item_id, version, at, by, because, hash, plan FROM verification_plans ORDER BY 1, 2"
        ).fetchall()
    frozen = [
        Frozen(
            item_id, version, datetime.fromisoformat(at), by, because, digest, Plan.model_validate_json(plan)
        )
        for item_id, version, at, by, because, digest, plan in rows
    ]
    for each in frozen:
        if each.plan.hash != each.hash:
            raise ValueError(
                f"{home.state}: version {each.version} of the verification plan of {each.item_id} does not "
                f"have the hash it was frozen with ({each.hash}); restore the file from a backup, or plan "
                f"anew: opsanalytics backlog plan-verification {each.item_id}"
            )
    return PlanLog.of(frozen)


def freeze(home: Home, plans: Sequence[Plan], *, at: datetime, by: str, because: str) -> list[Frozen]:
    """Add a version for each plan; one that says what the latest says already is passed over.

    Raises:
        LockHeldError: another process has been deciding for ten minutes.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    added = []
    with exclusive(home, LOCK), closing(connect(home)) as con, transaction(con):
        con.execute(_SCHEMA)
        for plan in plans:
            version, digest = con.execute(
                "SELECT max(version), hash FROM verification_plans WHERE item_id = ? GROUP BY item_id",
                (plan.item_id,),
            ).fetchone() or (0, "")
            if digest == plan.hash:
                continue
            frozen = Frozen(plan.item_id, version + 1, at, by, because, plan.hash, plan)
            con.execute(
                "INSERT INTO verification_plans VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    frozen.item_id,
                    frozen.version,
                    at.isoformat(),
                    by,
                    because,
                    frozen.hash,
                    plan.model_dump_json(),
                ),
            )
            added.append(frozen)
    return added
