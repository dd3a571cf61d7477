"""Releases that the configuration names: items count as shipped once the data shows them."""

from datetime import UTC, datetime, time

import polars as pl

from opsanalytics.analysis.backlog import record_shipped
from opsanalytics.analysis.scope import Scope
from opsanalytics.behavior.filters import step_matches
from opsanalytics.behavior.spec import Step
from opsanalytics.improvement.decisions import Decision
from opsanalytics.improvement.verification.settings import Release


def apply_releases(scope: Scope) -> list[Decision]:
    """Ship the items of every release that the data shows; what came of that is in the log, by its name.

    A release ships an item once. What people decided afterwards stays, and what they shipped themselves too.

    Raises:
        LockHeldError: another process has been deciding for ten minutes.
    """
    made = []
    for release in scope.settings.releases:
        out = release_moment(scope.events, release)
        if out is None:
            continue
        day = out.astimezone(scope.settings.project.zone).date()
        for item in release.items:
            made += record_shipped(
                scope.settings,
                item,
                day,
                at=scope.as_of,
                by=f"release {release.name}",
                reason=f"first seen in the data at {out:%Y-%m-%d %H:%M} UTC",
            )
    return made


def release_moment(events: pl.LazyFrame, release: Release) -> datetime | None:
    """When a release was first out, UTC; None: not yet."""
    columns = events.collect_schema().names()
    seen = events.filter(pl.col("ts").is_not_null())
    if release.after is not None:
        seen = seen.filter(pl.col("ts") >= datetime.combine(release.after, time(), UTC))
    if release.event is not None:
        step = Step(event=release.event, where=release.where)
        first = seen.filter(step_matches(step, columns)).select(pl.col("ts").min()).collect()
        moment: datetime | None = first["ts"][0]
        return moment
    if "app_version" not in columns:
        return None
    users = (
        seen.filter((pl.col("app_version") == release.app_version) & pl.col("person").is_not_null())
        .group_by("person")
        .agg(pl.col("ts").min())
        .sort("ts", "person")
        .collect()
    )
    if users.height < release.persons:
        return None
    out: datetime = users["ts"][0]
    return out
