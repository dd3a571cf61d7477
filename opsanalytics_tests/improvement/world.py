"""A small product with a known truth: one real problem, three decoys, and what its users say."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.behavior.spec import Funnel
from opsanalytics.feedback.themes import Themes, find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.settings import BacklogSettings, FrictionSettings
from opsanalytics_tests.feedback.messages import messages

START = datetime(2026, 1, 5, tzinfo=UTC)
AS_OF = START + timedelta(weeks=8)
EFFECT = -0.25
FUNNEL = Funnel(
    name="onboarding", title="Onboarding", steps=["sign_up", "connect_bank", "purchase"], window="7d"
)
FRICTION = FrictionSettings(error_events=("error_shown",))
COMPLAINTS = (
    "The bank connection crashed when I tried to connect my bank",
    "Connect bank crashed again, the bank page is broken",
    "App crashed on the bank page, cannot connect my bank",
    "My bank connection crashed twice today",
)


@dataclass(frozen=True)
class World:
    events: pl.DataFrame
    feedback: pl.DataFrame


def make_world(seed: int = 1, persons: int = 2_500) -> World:
    """Generate it.

    CRASH really costs 25 points. HINT is met by engaged people, TOOLTIP by people who are not, PUSH on
    Android; engaged people pass more often, people on Android less.
    """
    rng = np.random.default_rng(seed)
    android, engaged = rng.random(persons) < 0.4, rng.random(persons) < 0.5
    signed_up = rng.uniform(1, 54 * 86_400, persons)
    met = {
        "CRASH": rng.random(persons) < 0.15,
        "HINT": rng.random(persons) < np.where(engaged, 0.5, 0.1),
        "TOOLTIP": rng.random(persons) < np.where(engaged, 0.1, 0.5),
        "PUSH": rng.random(persons) < np.where(android, 0.6, 0.05),
    }
    chance = 0.55 + np.where(engaged, 0.2, -0.1) - np.where(android, 0.2, 0.0) + EFFECT * met["CRASH"]
    connects = rng.random(persons) < np.clip(chance, 0.02, 0.98)
    buys = connects & (rng.random(persons) < 0.5)
    rows: list[tuple[str, float, str, str, str]] = []
    for i in range(persons):
        person, platform = f"p{i:04}", "android" if android[i] else "web"

        def add(
            event: str, at: float, page: str, code: str = "", who: str = person, on: str = platform
        ) -> None:
            rows.append(
                (who, at, event, on, f'{{"page":"{page}"' + (f',"code":"{code}"' if code else "") + "}")
            )

        for view in range(5 if engaged[i] else 1):
            add("page_view", signed_up[i] - 60 - view, "/")
        add("sign_up", signed_up[i], "/sign-up")
        add("page_view", signed_up[i] + 1, "/connect-bank")
        for code, hit in met.items():
            if hit[i]:
                add("error_shown", signed_up[i] + rng.uniform(2, 30), "/connect-bank", code)
        if connects[i]:
            add("connect_bank", signed_up[i] + 60 + rng.exponential(600), "/connect-bank")
        if buys[i]:
            add("purchase", signed_up[i] + 20_000 + rng.exponential(600), "/checkout")
    frame = pl.DataFrame(
        rows, schema=["person", "seconds", "event", "platform", "properties"], orient="row"
    ).select(
        "person",
        "event",
        (pl.lit(START) + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64)))
        .cast(pl.Datetime("us", "UTC"))
        .alias("ts"),
        "platform",
        "properties",
        app_version=pl.lit("1.0"),
    )
    crashed = [f"p{i:04}" for i in np.flatnonzero(met["CRASH"])]
    others = [f"p{i:04}" for i in np.flatnonzero(~met["CRASH"])]
    said = [(crashed[i], f"{COMPLAINTS[i % 4]}, {_more(rng)}", 0.0) for i in range(40)]
    said += [(others[i], f"I love the reports and the dashboard, {_more(rng)}", 1.0) for i in range(30)]
    said += [(others[i + 50], f"The yearly price is too expensive, {_more(rng)}", 0.25) for i in range(30)]
    return World(
        frame,
        messages(
            [text for _, text, _ in said],
            users=[person for person, _, _ in said],
            satisfaction=[happy for _, _, happy in said],
            start=START,
        ),
    )


def _more(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(["really", "team", "today", "folks", "week", "morning"], 2, replace=False))


def analyse(
    events: pl.DataFrame,
    feedback: pl.DataFrame,
    *,
    friction: FrictionSettings = FRICTION,
    backlog: BacklogSettings | None = None,
) -> tuple[Themes, Improvement]:
    """Themes and the whole improvement stage."""
    entered = funnel(events.lazy(), FUNNEL, as_of=AS_OF).mature
    themes = find_themes(feedback, as_of=AS_OF)
    found = analyse_improvement(
        events.lazy(),
        [FunnelPersons(FUNNEL, entered)],
        themes,
        as_of=AS_OF,
        friction=friction,
        backlog=backlog,
    )
    return themes, found
