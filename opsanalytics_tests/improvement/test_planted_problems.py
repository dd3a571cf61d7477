"""Small worlds of planted problems; `benchmarks/planted_problems.py` has the full tables."""

import numpy as np
import polars as pl
import pytest

from opsanalytics.behavior.funnel import funnel
from opsanalytics.behavior.population import FunnelPersons
from opsanalytics.feedback.themes import find_themes
from opsanalytics.improvement.analysis import Improvement, analyse_improvement
from opsanalytics.improvement.settings import PainPointSettings
from opsanalytics.lake.schemas import FEEDBACK
from opsanalytics_tests.simulators import visits
from opsanalytics_tests.simulators.planted import FRICTION, World, simulate

SEEDS = (2001, 2002, 2003)
PERSONS = 6_000


@pytest.fixture(scope="module")
def worlds() -> list[tuple[World, Improvement]]:
    made = []
    for seed in SEEDS:
        world = simulate(seed, PERSONS)
        entered = funnel(world.events.lazy(), world.funnel, as_of=world.as_of)
        found = analyse_improvement(
            world.events.lazy(),
            [FunnelPersons(entered.definition, entered.mature)],
            find_themes(FEEDBACK.empty(), as_of=world.as_of),
            as_of=world.as_of,
            friction=FRICTION,
            pain_points=PainPointSettings(alike_by=("country", "plan"), harmless=world.controls),
        )
        made.append((world, found))
    return made


def findings(found: Improvement) -> set[tuple[str, str]]:
    rows = found.pain_points.filter(status="finding").select("signal", "place").iter_rows()
    return {(str(signal), str(place)) for signal, place in rows}


def test_problems_worth_a_hundredth_of_conversions_are_found_and_decoys_are_not(
    worlds: list[tuple[World, Improvement]],
) -> None:
    found, real, big, hit = 0, 0, 0, 0
    for world, improvement in worlds:
        seen = findings(improvement)
        found += len(seen)
        real += len(seen & world.problems)
        for one in world.signals:
            if one.effect < 0 and world.lost[one.key] >= 0.01 * world.conversions:
                big += 1
                hit += (one.kind, one.place) in seen
    assert big >= 15
    assert hit >= 0.8 * big
    assert real >= 0.85 * found


def test_intervals_of_value_hold_the_true_loss(worlds: list[tuple[World, Improvement]]) -> None:
    inside, stated = 0, 0
    for world, improvement in worlds:
        rows = {(row["signal"], row["place"]): row for row in improvement.pain_points.iter_rows(named=True)}
        for one in world.signals:
            row = rows.get((one.kind, one.place))
            if one.effect < 0 and row is not None and row["lost_low"] is not None:
                stated += 1
                inside += row["lost_low"] <= world.lost[one.key] <= row["lost_high"]
                assert row["revenue_low"] <= row["revenue_per_week"] <= row["revenue_high"]
    assert stated >= 25
    assert inside >= 0.88 * stated


def test_lingering_and_harmless_events_are_no_findings(worlds: list[tuple[World, Improvement]]) -> None:
    for world, improvement in worlds:
        never = {(one.kind, one.place) for one in world.signals if one.role in ("lingering", "control")}
        assert not findings(improvement) & never
        assert not improvement.pain_points.filter(signal="harmless").height


def test_the_costliest_come_first(worlds: list[tuple[World, Improvement]]) -> None:
    for world, improvement in worlds:
        true = {(one.kind, one.place): world.lost[one.key] for one in world.signals}
        items = improvement.backlog.join(
            improvement.pain_points.select("item_id", "signal", "place"), on="item_id"
        )
        first = items.sort("rank").head(5)
        gained = sum(max(0.0, true[row["signal"], row["place"]]) for row in first.iter_rows(named=True))
        assert gained >= 0.8 * sum(sorted(true.values())[-5:])


def test_persons_of_several_findings_count_once(worlds: list[tuple[World, Improvement]]) -> None:
    for _, improvement in worlds:
        rows = improvement.pain_points.filter(status="finding")
        assert (rows["lost_once"] <= rows["lost_per_week"] + 1e-9).all()
        assert rows["lost_once"].sum() < rows["lost_per_week"].sum()
        persons = improvement.pain_point_persons
        each = dict(rows.select("item_id", pl.col("lost_per_week") / pl.col("affected")).iter_rows())
        costliest = persons.filter(pl.col("item_id").is_in(list(each))).select(
            "person", loss=pl.col("item_id").replace_strict(each, return_dtype=pl.Float64)
        )
        once = costliest.group_by("person").agg(pl.col("loss").max())["loss"].sum()
        assert rows["lost_once"].sum() == pytest.approx(once)


def test_overlaps_are_counts_of_shared_persons(worlds: list[tuple[World, Improvement]]) -> None:
    _, improvement = worlds[0]
    by_item = {
        str(item): set(part["person"]) for (item,), part in improvement.pain_point_persons.group_by("item_id")
    }
    assert improvement.pain_point_overlaps.height
    for row in improvement.pain_point_overlaps.iter_rows(named=True):
        shared = by_item[row["item_id"]] & by_item[row["other_id"]]
        assert row["shared"] == len(shared)
        assert row["share"] == pytest.approx(len(shared) / len(by_item[row["item_id"]]))


def test_the_effect_can_be_made_again_from_the_groups(worlds: list[tuple[World, Improvement]]) -> None:
    import duckdb

    _, improvement = worlds[0]
    connection = duckdb.connect()
    connection.register("pain_point_groups", improvement.pain_point_groups)
    stated = improvement.pain_points.drop_nulls("effect_query")
    assert stated.height >= 8
    for row in stated.iter_rows(named=True):
        rate, others, alone, _, effect = connection.sql(row["effect_query"]).fetchall()[0]
        assert rate == pytest.approx(row["rate_affected"])
        assert alone == pytest.approx(row["effect_alone"])
        assert effect == pytest.approx(row["effect"])
        assert others == pytest.approx(rate - alone)


def test_equal_seeds_make_equal_worlds() -> None:
    assert simulate(5, 500).events.equals(simulate(5, 500).events)
    assert np.isclose(simulate(5, 500).conversions, simulate(5, 500).conversions)


def test_problems_of_a_shop_whose_visitors_come_back_are_found() -> None:
    """Another product than the one that thresholds were chosen on: evenings and later visits are no cause."""
    shop = visits.simulate(3, 8_000)
    entered = funnel(shop.events.lazy(), shop.funnel, as_of=shop.as_of)
    found = analyse_improvement(
        shop.events.lazy(),
        [FunnelPersons(entered.definition, entered.mature)],
        find_themes(FEEDBACK.empty(), as_of=shop.as_of),
        as_of=shop.as_of,
        friction=shop.friction,
        pain_points=PainPointSettings(alike_by=shop.alike_by),
    )
    seen = findings(found)
    large = {
        (one.kind, one.place)
        for one in shop.signals
        if one.effect and shop.lost[one.key] >= 0.02 * shop.conversions
    }
    assert len(seen & large) >= 0.7 * len(large)
    assert len(seen - shop.problems) <= 1
