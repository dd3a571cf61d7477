"""Sources that leave the configuration leave the lake, and can come back."""

from opsanalytics.cleaning.retired import retire
from opsanalytics.demo.simulator import VendorSimulator
from opsanalytics.lake.events import event_days, scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics_tests.simulators.clients import small_events
from opsanalytics_tests.sources.support import (
    LAST,
    NOON,
    amplitude,
    amplitude_project,
    comparable,
    lake_rows,
    mixpanel,
    mixpanel_project,
    run_clean,
    run_fetch,
    tree,
)

EVENTS = small_events(100)


def two_sources(home: Home) -> None:
    vendors = (mixpanel_project(EVENTS, duplicate_share=0.3), amplitude_project(EVENTS))
    with VendorSimulator(*vendors, clock=lambda: NOON) as simulator:
        for settings in (mixpanel(simulator.url), amplitude(simulator.url)):
            run_fetch(settings, home)
            run_clean(settings, home)


def test_a_removed_source_counts_no_more(home: Home) -> None:
    two_sources(home)
    (retired,) = retire(home, ["app"])
    assert (retired.source, retired.days) == ("product", len(event_days(home)))
    assert scan_raw_events(home).collect()["source"].unique().to_list() == ["app"]
    assert lake_rows(home) == comparable(EVENTS)
    assert not [name for name in tree(home.lake) if "product" in name]


def test_the_landed_bytes_of_a_removed_source_bring_it_back(home: Home) -> None:
    two_sources(home)
    before = tree(home.root)
    retire(home, ["app"])
    run_clean(mixpanel("http://unused"), home)
    after = tree(home.root)
    assert {name: content for name, content in before.items() if "/_days" not in name} == {
        name: content for name, content in after.items() if "/_days" not in name
    }


def test_configured_sources_are_left_alone(home: Home) -> None:
    two_sources(home)
    before = tree(home.lake)
    assert retire(home, ["app", "product"]) == []
    assert tree(home.lake) == before


def test_an_empty_home_has_nothing_to_retire(home: Home) -> None:
    assert retire(home, []) == []


def test_the_last_source_leaves_no_day_behind(home: Home) -> None:
    two_sources(home)
    retire(home, [])
    assert event_days(home) == []
    assert LAST not in event_days(home)
