"""What the people of the generated product decided, so that the demo shows the loop closed.

They took two problems on in the week before 12 October, when both fixes shipped: one works, the other one
changes nothing. Their decisions go through the functions of the command line, as of the day they were made:
plans are frozen from what was known that day.
"""

from datetime import datetime, timedelta

import polars as pl

from opsanalytics.analysis.backlog import Known, decide_about
from opsanalytics.analysis.marts import backlog_marts, verification_marts
from opsanalytics.analysis.scope import Scope
from opsanalytics.config import Settings
from opsanalytics.demo.product.catalogue import FIXED_ON
from opsanalytics.improvement.decision_log import read_log

ACCEPTED_ON = FIXED_ON - timedelta(days=1)
OWNERS = {"CARD_REDIRECT on /checkout": "Ines", "BANK_CONNECT_FAILED on /connect-bank": "Tom"}
"""Whoever fixes it, by the place of the item."""


def close_the_loop(settings: Settings) -> None:
    """Take the demo's decisions and judge what shipped; on a home where somebody has decided, do nothing."""
    if decide(settings):
        scope = Scope.of(settings)
        verification_marts(scope)
        backlog_marts(scope)


def decide(settings: Settings) -> list[str]:
    """Take the demo's decisions, once; the ids of the items they are about.

    Raises:
        NothingLandedError: the pipeline has not run.
    """
    if read_log(settings.home).decisions:
        return []
    scope = Scope.of(settings).until(_midnight(ACCEPTED_ON))
    if scope.as_of < _midnight(ACCEPTED_ON):
        return []
    known = Known.as_of(scope)
    places = known.pain_points.filter(pl.col("lane") == "behaviour").select("place", "item_id")
    items = {place: item for place, item in places.iter_rows() if place in OWNERS}
    steps: tuple[tuple[str, datetime], ...] = (
        ("accept", ACCEPTED_ON),
        ("assign", ACCEPTED_ON),
        ("ship", FIXED_ON),
    )
    for action, at in steps:
        for place, item in sorted(items.items()):
            details = {"assign": {"owner": OWNERS[place]}, "ship": {"on": FIXED_ON.date().isoformat()}}
            decide_about(settings, [item], action, details.get(action), at=at, by=OWNERS[place], known=known)
    return sorted(items.values())


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
