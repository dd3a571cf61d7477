from datetime import UTC, datetime, timedelta

from opsanalytics.lake.paths import Home
from opsanalytics.quality.inbox import record_inbox
from opsanalytics.quality.results import latest
from opsanalytics.sources.collecting import CollectReport
from opsanalytics_tests.sources.support import tree

NOW = datetime(2026, 3, 10, tzinfo=UTC)
NEW = CollectReport("survey", ("a-1", "b-2"), (), (), 5, ("/in/c.csv: from ann@example.com: no column",))


def test_files_that_cannot_be_used_are_in_the_results(home: Home) -> None:
    record_inbox(home, NEW, checked_at=NOW)
    (row,) = latest(home).rows(named=True)
    assert (row["table"], row["check"], row["partition"]) == ("inbox", "files_usable", "survey")
    assert (row["passed"], row["severity"], row["checked"], row["unexpected"]) == (False, "warning", 3, 1)
    assert row["examples"] == ["/in/c.csv: from [email]: no column"]


def test_a_second_look_at_the_same_files_changes_no_byte(home: Home) -> None:
    record_inbox(home, NEW, checked_at=NOW)
    before = tree(home.quality)
    known = CollectReport("survey", (), ("a.csv", "b.csv"), (), 0, NEW.refused)
    record_inbox(home, known, checked_at=NOW + timedelta(days=1))
    assert tree(home.quality) == before


def test_a_file_that_was_mended_passes(home: Home) -> None:
    record_inbox(home, NEW, checked_at=NOW)
    record_inbox(home, CollectReport("survey", (), ("a.csv", "b.csv", "c.csv"), (), 0), checked_at=NOW)
    assert latest(home)["passed"].to_list() == [True]
