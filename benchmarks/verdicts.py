"""How often verdicts on fixes are wrong, and how often they see a real one, with plainer ways beside them.

    python benchmarks/verdicts.py [--runs 200] [--worlds plain,drift] [--structural] [--events 6]

Worlds are those of `opsanalytics_tests.simulators.fixes`: daily counts of an affected and an unaffected arm,
56 days before shipping (84 with --structural) and 57 after, 300 and 600 units a day, looks at 14, 28 and 56
days. Each drawn world is judged by everybody:

    ours         the verdict of the program (`verdict.judge`): worked, harmed or regressed count
    did          difference in differences by counts alone, 95 % interval, at the last look
    before/after two-proportion z test of the affected arm alone, 95 %, at the last look
    weekly peeks difference in differences by counts, looked at every week

A verdict where nothing was changed is false; of real changes the share called by their sign is shown.
`covers`: how often the interval of the last look reached (98.3 %) holds the truth. `--events` runs so many
products through events, funnel and plan as well (the whole path), half of them with a real fix. No new run
starts after `--budget` seconds. `--worlds real` are those with a real change.
"""

import argparse
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from opsanalytics.behavior.spec import Funnel
from opsanalytics.improvement.verification.gap import count_error
from opsanalytics.improvement.verification.measure import Panel
from opsanalytics.improvement.verification.observed import attempts, last_complete_day
from opsanalytics.improvement.verification.plan import make_plan
from opsanalytics.improvement.verification.settings import VerificationSettings
from opsanalytics.improvement.verification.verdict import judge
from opsanalytics.improvement.verification.verify import panel_for
from opsanalytics_tests.improvement.items import pain_point
from opsanalytics_tests.simulators.fixes import FIRST, World, events_of, panel_of, plan_for

NULLS = ("plain", "drift", "step", "season", "regression", "shocks", "low", "diverging")
REAL = (
    World(effect=0.02),
    World(effect=0.03),
    World(effect=0.04),
    World(effect=-0.04),
    World("drift", 0.04),
    World("season", 0.04),
    World("shocks", 0.04),
    World("low", 0.04),
    World("novelty", 0.06, after=113),
)
Z = 1.959964


def by_counts(panel: Panel, start: int, last: int, *, alone: bool = False) -> float:
    """z of a difference in differences by counts, or of the affected arm alone."""
    used = panel.until(last).on(panel.until(last).day != start)
    after = used.day > start
    arms = (used.affected,) if alone else (used.affected, *used.others)
    change = 0.0
    for arm, sign in zip(arms, (1, -1), strict=False):
        change += sign * (arm.on(after).mean - arm.on(~after).mean)
    return change / count_error(arms, after)


def did(panel: Panel, start: int) -> float:
    return by_counts(panel, start, start + 56)


def before_after(panel: Panel, start: int) -> float:
    return by_counts(panel, start, start + 56, alone=True)


def peeks(panel: Panel, start: int) -> float:
    """The first z beyond 1.96 of eight weekly looks, or the last."""
    z = 0.0
    for week in range(1, 9):
        z = by_counts(panel, start, start + 7 * week)
        if abs(z) > Z:
            return z
    return z


PLAINER: dict[str, Callable[[Panel, int], float]] = {
    "did": did,
    "before/after": before_after,
    "weekly peeks": peeks,
}


def run_world(world: World, runs: int, *, structural: bool, deadline: float) -> str:
    """One line of the table."""
    rng = np.random.default_rng(20261130)
    plan, start = plan_for(world), world.shipped.toordinal()
    signs: dict[str, list[int]] = {"ours": [], **{name: [] for name in PLAINER}}
    outcomes: dict[str, int] = {}
    held: list[bool] = []
    for _ in range(runs):
        if time.monotonic() > deadline:
            break
        panel = panel_of(rng, world, structural=structural)
        verdict = judge(plan, panel, world.shipped, world.last_day)
        outcomes[verdict.outcome] = outcomes.get(verdict.outcome, 0) + 1
        signs["ours"].append({"worked": 1, "regressed": 1, "harmed": -1}.get(verdict.outcome, 0))
        if verdict.change is not None and world.kind != "novelty":
            held.append(verdict.change.low <= world.effect <= verdict.change.high)
        if not structural:
            for name, z_of in PLAINER.items():
                z = z_of(panel, start)
                signs[name].append(int(np.sign(z)) if abs(z) > Z else 0)
    done = len(signs["ours"])
    want = int(np.sign(world.effect))
    told = []
    for values in signs.values():
        hits = np.mean([value == want if want else value != 0 for value in values]) if values else np.nan
        told.append(f"{hits:>12.3f}")
    covers = f"{np.mean(held):.3f}" if held else "-"
    counted = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    return f"{world.kind:<11}{world.effect:>+6.2f}{done:>6}{''.join(told)}{covers:>8}  {counted}"


def run_events(products: int) -> None:
    """Whole products: events, funnel, plan frozen the day before shipping, verdict."""
    definition = Funnel(name="onboarding", steps=["sign_up", "connect", "pay"], window="3d")
    zone = ZoneInfo("UTC")
    for number in range(products):
        fixed = number % 2 == 0
        world = World("season", affected=60, unaffected=110, before=70, after=60)
        events = events_of(np.random.default_rng(number), world, fixed=fixed, harm=0.25)
        shipped = datetime.combine(world.shipped, datetime.min.time(), UTC)
        met = events.filter(pl.col("event") == "error_shown").select("person", first_ts="ts")
        item = pain_point(
            "PP-00000001",
            step=1,
            pass_value=0.4,
            first_seen=datetime.combine(FIRST, datetime.min.time(), UTC),
            effect=-0.25,
            effect_low=-0.3,
            effect_high=-0.2,
        )
        known = events.filter(pl.col("ts") < shipped).lazy()
        plan = make_plan(
            item,
            attempts(known, definition, as_of=shipped),
            known,
            met.filter(pl.col("first_ts") < shipped),
            VerificationSettings(),
            as_of=shipped,
            zone=zone,
        )
        as_of = shipped + timedelta(days=60)
        tried = attempts(events.lazy(), definition, as_of=as_of)
        panel = panel_for(plan, tried, events.lazy(), zone=zone, shipped=world.shipped)
        verdict = judge(plan, panel, world.shipped, last_complete_day(as_of, plan.horizon_days, zone))
        change = verdict.change
        told = "" if change is None else f"{change.change:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
        truth = 0.125 if fixed else 0.0
        print(
            f"events {events.height:,}, {plan.by} {plan.affected} against {plan.unaffected}, expected "
            f"{plan.expected or 0:+.3f}, looks {plan.looks}: truth {truth:+.3f}, {verdict.outcome} {told}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--worlds", help="separated by commas; all if not given")
    parser.add_argument("--structural", action="store_true")
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--budget", type=float, default=110.0, help="seconds after which no new run starts")
    chosen = parser.parse_args()
    deadline = time.monotonic() + chosen.budget
    wanted = chosen.worlds.split(",") if chosen.worlds else [*NULLS, "real"]
    worlds = [World(kind) for kind in wanted if kind != "real"] + (list(REAL) if "real" in wanted else [])
    if chosen.structural:
        worlds = [
            World(each.kind, each.effect, before=84, after=each.after, affected=600)
            for each in worlds
            if each.kind != "diverging"
        ]
    names = "".join(f"{name:>12}" for name in ("ours", *PLAINER))
    print(f"{'world':<11}{'effect':>6}{'runs':>6}{names}{'covers':>8}  outcomes of ours")
    started = time.process_time()
    for world in worlds:
        print(run_world(world, chosen.runs, structural=chosen.structural, deadline=deadline), flush=True)
    if chosen.events:
        run_events(chosen.events)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.process_time() - started:.0f} s of CPU, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
