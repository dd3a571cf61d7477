"""Forms that are not sent, and events that a release made rarer."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from opsanalytics.improvement.absence_signals import form_abandonment, release_drops
from opsanalytics.improvement.settings import FormAbandonment, FrictionSettings, ReleaseDrop
from opsanalytics.improvement.signals import OUTCOMES, prepare
from opsanalytics_tests.improvement.test_friction import AS_OF, T0, events, look, of

FORM = FormAbandonment(start="form_begun", submit="form_sent")


def form(person: str, at: float, event: str, name: str = "tax") -> tuple[str, float, str, str]:
    return person, at, event, f'{{"form":"{name}"}}'


def test_a_form_that_is_not_sent_in_time_is_given_up() -> None:
    found = look(
        events(
            form("sent", 0, "form_begun"),
            form("sent", 600, "form_sent"),
            form("late", 0, "form_begun"),
            form("late", 7_200, "form_sent"),
            form("never", 0, "form_begun"),
            form("other", 0, "form_begun"),
            form("other", 60, "form_sent", "address"),
            form("again", 0, "form_begun"),
            form("again", 1_200, "form_begun"),
            form("again", 2_400, "form_sent"),
        ),
        form_abandonment={"start": "form_begun", "submit": "form_sent"},
    )
    (row,) = of(found, "form_abandonment")
    assert (row["place"], row["n"]) == ("tax", 5)
    exposures = found.exposures.filter(signal="form_abandonment")
    assert sorted(exposures["person"]) == ["late", "never", "other"]
    assert exposures["ts"].unique().to_list() == [T0 + timedelta(minutes=30)]


def test_forms_that_may_still_be_sent_do_not_count_yet() -> None:
    late = (AS_OF - T0).total_seconds() - 60
    prepared = prepare(
        events(form("a", late, "form_begun"), form("b", 0, "form_begun"), form("b", 9, "form_sent")),
        FrictionSettings(),
    )
    found = form_abandonment(prepared, FORM, AS_OF)
    assert found.exposures is not None
    assert found.exposures.is_empty()


def test_forms_need_both_events() -> None:
    (row,) = of(look(events(("a", 0, "sign_up"))), "form_abandonment")
    assert not row["available"]
    (row,) = of(
        look(
            events(form("a", 0, "form_begun")),
            form_abandonment={"start": "form_begun", "submit": "form_sent"},
        ),
        "form_abandonment",
    )
    assert row["reason"] == "no event 'form_sent' occurs"


def product(seed: int, *, broken: bool, days: int = 28) -> tuple[pl.DataFrame, datetime]:
    """400 persons who come every other day; version 2.0 comes out on day 14. Exports then work for nobody who
    has it, if broken."""
    rng = np.random.default_rng(seed)
    rows = []
    start = datetime(2026, 1, 5, tzinfo=UTC)
    for person in range(400):
        for day in range(days):
            if rng.random() < 0.5:
                version = "2.0" if day >= 14 and rng.random() < 0.8 else "1.0"
                at = start + timedelta(days=day, hours=float(rng.uniform(0, 24)))
                rows.append((f"p{person:03}", at, "open", version))
                works = not (broken and version == "2.0")
                if rng.random() < 0.4 and works:
                    rows.append((f"p{person:03}", at, "export", version))
    frame = pl.DataFrame(rows, schema=["person", "ts", "event", "app_version"], orient="row")
    made = frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")), platform=pl.lit("web"))
    return prepare(made.lazy(), FrictionSettings()), start + timedelta(days=days)


def test_an_event_that_a_release_breaks_is_found_with_who_lost_it() -> None:
    frame, as_of = product(1, broken=True)
    found = release_drops(frame, ReleaseDrop(), as_of)
    assert found.exposures is not None
    assert found.could_meet is not None
    assert found.exposures["place"].unique().to_list() == ["export since 2.0 (web)"]
    n = found.could_meet["n"][0]
    assert 0.7 * n < found.exposures["person"].n_unique() <= n
    assert "active persons before 2026-01-19" in found.details["export since 2.0 (web)"]


@pytest.mark.parametrize("seed", range(6))
def test_a_release_that_breaks_nothing_drops_nothing(seed: int) -> None:
    frame, as_of = product(seed, broken=False)
    found = release_drops(frame, ReleaseDrop(), as_of)
    assert found.exposures is not None
    assert found.exposures.is_empty()


def test_a_release_without_full_weeks_around_it_says_so() -> None:
    frame, as_of = product(1, broken=True, days=18)
    found = release_drops(frame, ReleaseDrop(), as_of)
    assert found.exposures is None
    assert "before and after" in found.reason
    (row,) = of(look(events(("a", 0, "sign_up"))), "release_drop")
    assert row["reason"] == "no event has a version of the product (app_version)"


def test_outcomes_open_no_item() -> None:
    assert {"form_abandonment", "release_drop", "dead_end"} <= OUTCOMES
