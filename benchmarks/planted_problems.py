"""Are planted problems found, are decoys left alone, and do the intervals of their value hold the truth?

    python benchmarks/planted_problems.py WORK --persons 5000 50000 [--worlds 200] [--seconds 100]
    python benchmarks/planted_problems.py WORK --report

With `--simulator visits` the worlds are shops whose visitors come back (`simulators/visits.py`), made unlike
these; give each simulator a WORK of its own.

Every world is a product of `opsanalytics_tests/simulators/planted.py`: twelve problems, three shadows,
twenty-six decoys, ten harmless events; the true loss of each is known. It goes as events through the
pipeline's own functions (funnel, friction, pain points, backlog), once as a team finds it (default systematic
error) and once with its harmless events named. One file a world is written to WORK, so that a run can be cut
into slices: it goes on where the last one ended. Thresholds were chosen on worlds from seed 1000 on.

Beside it: mentions (those who met a signal write of it, the more the more it harms), raw counts
(occurrences), and the naive ranking (affected minus others, times reach), which is what tools that show "lost
conversions" do.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import ndcg_score

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.behavior.statistics import benjamini_hochberg, two_proportion_p, wilson
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.analysis import analyse_improvement
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.lake.schemas import FEEDBACK
from opsanalytics_tests.simulators import planted, visits

WORTH = 0.01
"""Share of all conversions from which on a problem must be found."""
SIMULATORS: dict[str, Callable[[int, int], planted.World | visits.Shop]] = {
    "planted": planted.simulate,
    "visits": visits.simulate,
}
KEPT = [
    "status", "affected", "crude_effect", "effect", "effect_low", "effect_high", "effect_alone",
    "matched_effect", "shrunk_effect", "harm_chance", "systematic_error", "overlap", "q_value",
    "lost_per_week", "lost_low", "lost_high", "revenue_per_week", "revenue_low", "revenue_high",
    "e_value_low",
]  # fmt: skip


def run(world: planted.World | visits.Shop, seed: int, *, controls: bool) -> pl.DataFrame:
    """A row a signal: what is true of it, and what came of it."""
    began = time.process_time()
    entered = funnel(world.events.lazy(), world.funnel, as_of=world.as_of)
    found = analyse_improvement(
        world.events.lazy(),
        [FunnelPersons(entered.definition, entered.mature)],
        find_themes(FEEDBACK.empty(), as_of=world.as_of),
        as_of=world.as_of,
        friction=world.friction,
        pain_points=PainPointSettings(
            watch_limit=1_000,
            alike_by=world.alike_by,
            harmless=world.controls if controls else (),
        ),
    )
    seconds = time.process_time() - began
    rng = np.random.default_rng([seed, 99])
    rows = []
    for one in world.signals:
        if one.role == "control":
            continue
        people = int(world.met[one.key].sum())
        at_step = world.reached[one.step - 1]
        hit, passed = world.met[one.key] & at_step, world.reached[one.step]
        others = at_step & ~hit
        table = [int((who & passed).sum()) for who in (hit, others)], [int(hit.sum()), int(others.sum())]
        voice = 0.01 + 0.1 * max(0.0, -world.effect[one.key])
        rows.append(
            {
                "key": one.key,
                "role": one.role,
                "signal": one.kind,
                "place": one.place,
                "eager": one.eager,
                "true_effect": world.effect[one.key],
                "true_lost": world.lost[one.key],
                "true_revenue": world.revenue[one.key],
                "worth": world.lost[one.key] / world.conversions,
                "people": people,
                "naive_effect": table[0][0] / max(1, table[1][0]) - table[0][1] / max(1, table[1][1]),
                "naive_p": float(
                    two_proportion_p([table[0][0]], [table[1][0]], [table[0][1]], [table[1][1]])[0]
                ),
                "mentions": int(rng.binomial(people, min(1.0, voice))),
            }
        )
    ranked = found.backlog.select("item_id", "rank", "top_5", "score")
    items = found.pain_points.join(ranked, on="item_id").select(
        "signal", "place", "rank", "top_5", "score", *KEPT
    )
    counts = found.friction.select("signal", "place", "occurrences")
    return (
        pl.DataFrame(rows)
        .join(items, on=["signal", "place"], how="left")
        .join(counts, on=["signal", "place"], how="left")
        .with_columns(
            seed=pl.lit(seed),
            persons=pl.lit(world.persons),
            controls=pl.lit(controls),
            cpu=pl.lit(seconds),
            events=pl.lit(world.events.height),
        )
    )


def naive(frame: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Affected times crude harm, as tools rank that show lost conversions."""
    return (-frame["naive_effect"] * frame["people"]).clip(0.0).to_numpy()


def share(hits: int, of: int) -> str:
    """A share with its interval."""
    if not of:
        return "      -       "
    low, high = wilson([hits], [of])
    return f"{hits / of:.3f} [{low[0]:.2f},{high[0]:.2f}]"


def covered(frame: pl.DataFrame, truth: str, low: str, high: str) -> str:
    known = frame.filter(pl.col(low).is_not_null())
    inside = known.filter((pl.col(truth) >= pl.col(low) - 1e-12) & (pl.col(truth) <= pl.col(high) + 1e-12))
    return share(inside.height, known.height)


def report(work: Path) -> None:
    """Print the tables over all worlds in `work`."""
    everything = pl.concat(
        [pl.read_parquet(path) for path in sorted(work.glob("*.parquet"))], how="diagonal_relaxed"
    )
    for (persons, controls), frame in everything.group_by("persons", "controls", maintain_order=True):
        summary(int(persons), bool(controls), frame)


def summary(persons: int, controls: bool, frame: pl.DataFrame) -> None:
    """Print what came of worlds of one size."""
    problem, finding = pl.col("true_effect") < 0, (pl.col("status") == "finding").fill_null(False)
    worlds = frame["seed"].n_unique()
    real, found = frame.filter(problem), frame.filter(finding)
    big = real.filter(pl.col("worth") >= WORTH)
    named = "harmless events named" if controls else "default systematic error"
    print(f"\n{persons} persons, {worlds} worlds, {named}")
    print(f"  recall, worth >= 1 %   {share(big.filter(finding).height, big.height)}")
    print(f"  recall, all            {share(real.filter(finding).height, real.height)}")
    print(f"  precision              {share(found.filter(problem).height, found.height)}")
    decoys = frame.filter(~problem)
    for role in decoys["role"].unique(maintain_order=True):
        own = decoys.filter(pl.col("role") == role)
        wrong = own.filter(finding).height / worlds
        print(f"    false, {role:10}    {wrong:.2f} a world of {own.height / worlds:.0f}")
    adjusted = frame.with_columns(
        naive_q=pl.col("naive_p").map_batches(benjamini_hochberg, return_dtype=pl.Float64).over("seed")
    )
    for name, column in (("p < .05", "naive_p"), ("BH q < .10", "naive_q")):
        crude = adjusted.filter(
            (pl.col(column) < (0.05 if "p" in name else 0.10)) & (pl.col("naive_effect") < 0)
        )
        hits = crude.filter(problem)
        print(
            f"  naive {name:10}: precision {share(hits.height, crude.height)}"
            f"  recall, worth >= 1 % {share(hits.filter(pl.col('worth') >= WORTH).height, big.height)}"
        )
    stated = real.filter(pl.col("effect").is_not_null())
    masked = stated.filter(pl.col("eager") > 0)
    rows = [
        ("all problems", stated),
        ("masked problems", masked),
        ("findings", found.filter(problem)),
        ("decoys", frame.filter(~problem & pl.col("effect").is_not_null())),
    ]
    print("  coverage of 95 %       effect               value                revenue")
    for name, part in rows:
        print(
            f"    {name:18} {covered(part, 'true_effect', 'effect_low', 'effect_high')}"
            f"   {covered(part, 'true_lost', 'lost_low', 'lost_high')}"
            f"   {covered(part, 'true_revenue', 'revenue_low', 'revenue_high')}"
        )
    total = found.filter(problem)
    if total.height:
        lost, true, low, high = (
            float(total[name].cast(pl.Float64).sum())
            for name in ("lost_per_week", "true_lost", "lost_low", "lost_high")
        )
        wide = (high - low) / true
        print(f"  of findings: estimated / true loss {lost / true:.3f}; width of interval / true {wide:.2f}")
    scores: dict[str, list[float]] = {"ours": [], "mentions": [], "raw counts": [], "naive": []}
    for (_,), world in frame.group_by("seed", maintain_order=True):
        truth = world["true_lost"].clip(0.0).to_numpy()[None]
        ours = (1_000 - world["rank"].fill_null(1_000)).cast(pl.Float64).to_numpy()
        for name, score in (
            ("ours", ours),
            ("mentions", world["mentions"].to_numpy()),
            ("raw counts", world["occurrences"].fill_null(0).to_numpy()),
            ("naive", naive(world)),
        ):
            scores[name].append(float(ndcg_score(truth, np.asarray(score, np.float64)[None], k=10)))
    print("  NDCG@10 " + "  ".join(f"{name} {np.mean(values):.3f}" for name, values in scores.items()))
    top = frame.filter(pl.col("top_5").is_not_null()).with_columns(
        truly=pl.col("true_lost").rank("min", descending=True).over("seed") <= 5,
        bin=(pl.col("top_5") * 4).floor().clip(0, 3),
    )
    bins = (
        top.group_by("bin")
        .agg(said=pl.col("top_5").mean(), truly=pl.col("truly").mean(), n=pl.len())
        .sort("bin")
    )
    print(
        "  chance of top 5, said -> true: "
        + "; ".join(f"{a:.2f} -> {b:.2f} (n {n})" for _, a, b, n in bins.iter_rows())
    )
    cpu, events = (float(np.mean(frame[name].to_numpy())) for name in ("cpu", "events"))
    print(f"  CPU {cpu:.1f} s a world of {events:,.0f} events")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--persons", type=int, nargs="+", default=[5_000])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seconds", type=float, default=100.0, help="stop after this; run again to go on")
    parser.add_argument("--simulator", choices=sorted(SIMULATORS), default="planted")
    parser.add_argument("--report", action="store_true")
    told: Any = parser.parse_args()
    told.work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    # The shop has no events that are known to be harmless.
    arms = (False, True) if told.simulator == "planted" else (False,)
    for persons in told.persons if not told.report else []:
        for seed in range(told.first, told.first + told.worlds):
            missing = [
                (told.work / f"{persons:07}-{controls:d}-{seed:04}.parquet", controls)
                for controls in arms
                if not (told.work / f"{persons:07}-{controls:d}-{seed:04}.parquet").exists()
            ]
            if not missing:
                continue
            if time.monotonic() - began > told.seconds:
                print(f"stopped before {persons} persons, seed {seed}; run again to go on")
                return
            world = SIMULATORS[told.simulator](seed, persons)
            for path, controls in missing:
                half = path.with_suffix(".half")
                run(world, seed, controls=controls).write_parquet(half)
                half.replace(path)
    report(told.work)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
