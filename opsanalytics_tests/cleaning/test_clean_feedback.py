import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsanalytics.cleaning.feedback import clean_feedback
from opsanalytics.cleaning.privacy import PrivacyRules, PrivacySettings
from opsanalytics.cleaning.private_records import WITHHELD
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.lake.schemas import DUPLICATES, FEEDBACK
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.collecting import collect
from opsanalytics.sources.feedback_csv import FeedbackCsvSettings
from opsanalytics.sources.google_forms import GoogleFormsSettings
from opsanalytics_tests.sources.support import tree

NOW = datetime(2026, 3, 10, tzinfo=UTC)
COLUMNS = {
    "id": "id", "created_at": "created_at", "title": "title", "text": "text", "rating": "rating",
    "email": "email", "user_id": "user", "language": "lang",
}  # fmt: skip
HEADER = "id,created_at,title,text,rating,email,user,lang,note"


def survey(**changes: Any) -> FeedbackCsvSettings:
    return FeedbackCsvSettings(**{"name": "survey", "columns": COLUMNS, "rating_scale": (0, 10), **changes})


def row(n: int, text: str = "fine", *, day: int = 1, rating: str = "8", note: str = "") -> str:
    user = 1234567890123456 + n
    return f'{n},2026-03-{day:02}T12:00:00Z,Title,"{text}",{rating},Ann@Example.com,{user},en-US,{note}'


def deliver(home: Home, *rows: str, hour: int = 0, name: str = "dump.csv") -> CleanReport:
    path = home.inbox("survey") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    collect(survey(), home, now=NOW + timedelta(hours=hour), quiet_seconds=0)
    return clean_feedback(survey(), home)


def messages(home: Home) -> pl.DataFrame:
    return pl.read_parquet(home.feedback_file("survey"))


def test_a_message_has_all_its_fields(home: Home) -> None:
    deliver(home, row(1))
    message = messages(home).row(0, named=True)
    assert messages(home).schema == FEEDBACK.schema
    assert message["feedback_id"] == "survey:1"
    assert message["ts"] == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert message["text"] == "Title\n\nfine"
    assert (message["rating"], message["satisfaction"]) == (8.0, 0.8)
    assert (message["user_id"], message["language"]) == ("1234567890123457", "en")


def test_tags_votes_and_what_they_mean_reach_the_lake(home: Home) -> None:
    settings = survey(
        columns={**COLUMNS, "tags": "note", "votes": "rating"},
        kinds={"bug": ["bug"]},
        resolved_tags=["done"],
    )
    deliver(home, row(1, note="bug|Ann@Example.com"))
    clean_feedback(settings, home)
    message = messages(home).row(0, named=True)
    assert (message["kind"], message["resolved"], message["votes"]) == ("bug", False, 8)
    assert message["tags"] == ["bug", "[email]"]
    assert message["title"] == "Title"


def test_personal_data_are_nowhere_in_the_lake(home: Home) -> None:
    deliver(home, row(1, "write Ann@Example.com or +49 30 1234567", note="pay 4111 1111 1111 1111"))
    message = messages(home).row(0, named=True)
    raw = json.loads(message["raw"])
    assert (raw["email"], raw["text"], raw["note"]) == ("[email]", "write [email] or [phone]", "pay [card]")
    assert raw["user"] == "1234567890123457"
    assert len(message["email_hash"]) == 64
    assert "example.com" not in str(message).lower()


def test_a_message_that_comes_again_is_kept_as_the_newest_delivery_has_it(home: Home) -> None:
    deliver(home, row(1, "old"), row(2))
    report = deliver(home, row(1, "new"), row(3), hour=1, name="later.csv")
    assert dict(messages(home).select("feedback_id", "text").rows())["survey:1"] == "Title\n\nnew"
    assert (report.records, report.canonical, report.duplicates) == (4, 3, 1)
    assert pl.read_parquet(home.feedback_duplicates_file("survey")).schema == DUPLICATES.schema
    assert report.days == {date(2026, 3, 1): (2, 3)}


def test_an_id_twice_in_a_file_keeps_the_last_row(home: Home) -> None:
    deliver(home, row(1, "first"), row(1, "second"))
    assert messages(home)["text"].to_list() == ["Title\n\nsecond"]


def test_unreadable_rows_are_set_aside_and_everything_adds_up(home: Home) -> None:
    report = deliver(home, row(1), row(2, rating="99"), row(3, day=2), row(1))
    ledger = build_ledger(home, [survey()])
    assert (report.quarantined, report.duplicates) == (1, 1)
    assert unreconciled(ledger, deliveries(home, "survey")).is_empty()
    assert ledger.select(pl.sum("landed", "canonical", "duplicates", "quarantined")).row(0) == (4, 2, 1, 1)


def test_a_file_read_in_parts_gives_the_same_files(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(n % 5, f"line one\nline two {n}", rating="8" if n % 3 else "eleven") for n in range(11)]
    deliver(home, *rows)
    monkeypatch.setattr("opsanalytics.sources.feedback_files.settings.PART_RECORDS", 2)
    monkeypatch.setattr("opsanalytics.cleaning.feedback.BATCH_ROWS", 1)
    other = Home(tmp_path / "other")
    report = deliver(other, *rows)
    assert (report.records, report.quarantined) == (11, 4)
    assert tree(other.lake) == tree(home.lake)


def test_a_second_run_changes_no_byte(home: Home) -> None:
    deliver(home, row(1), row(1), row(2, rating="99"))
    before = tree(home.lake)
    report = clean_feedback(survey(), home)
    assert (report.parsed, report.days) == ((), {})
    assert tree(home.lake) == before


def test_a_new_rule_is_applied_to_all_landed_files(home: Home) -> None:
    deliver(home, row(1, rating="4"))
    clean_feedback(survey(rating_scale=(0, 4)), home)
    assert messages(home)["satisfaction"].to_list() == [1.0]


def test_a_vanished_delivery_takes_its_messages_along(home: Home) -> None:
    deliver(home, row(1))
    deliver(home, row(2), hour=1, name="later.csv")
    vanishing = next(iter(deliveries(home, "survey"))).delivery
    for path in home.delivery("survey", vanishing).iterdir():
        path.unlink()
    clean_feedback(survey(), home)
    assert messages(home)["ingest_run"].str.starts_with(vanishing).any() is False
    assert messages(home).height == 1


@pytest.mark.parametrize("lost", ["feedback", "cleaned"])
def test_a_lost_lake_file_is_made_again(home: Home, lost: str) -> None:
    deliver(home, row(1), row(2, rating="99"))
    before = tree(home.lake)
    path = (
        home.feedback_file("survey") if lost == "feedback" else next(home.cleaned("survey").glob("d*.json"))
    )
    path.unlink()
    clean_feedback(survey(), home)
    assert tree(home.lake) == before


def test_a_source_without_files_has_no_messages(home: Home) -> None:
    assert clean_feedback(survey(), home).canonical == 0
    assert not home.feedback_file("survey").exists()


def test_of_files_taken_in_together_the_one_written_last_counts(home: Home) -> None:
    inbox = home.inbox("survey")
    inbox.mkdir(parents=True)
    for name, text, written in (("b.csv", "old", 1_000), ("a.csv", "new", 2_000)):
        (inbox / name).write_text("\n".join([HEADER, row(1, text), ""]))
        os.utime(inbox / name, (written, written))
    collect(survey(), home, now=NOW, quiet_seconds=0)
    clean_feedback(survey(), home)
    assert messages(home)["text"].to_list() == ["Title\n\nnew"]


def test_the_newest_version_counts_whichever_came_last(home: Home) -> None:
    settings = survey(columns={**COLUMNS, "updated_at": "note"})

    def take(text: str, version: str, hour: int) -> None:
        path = home.inbox("survey") / f"{hour}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEADER, row(1, text, note=version), ""]))
        collect(settings, home, now=NOW + timedelta(hours=hour), quiet_seconds=0)

    take("edited", "2026-03-05", 0)
    take("first", "2026-03-01", 1)
    report = clean_feedback(settings, home)
    assert messages(home)["text"].to_list() == ["Title\n\nedited"]
    assert (report.canonical, report.duplicates) == (1, 1)


def test_a_landed_file_that_no_longer_fits_is_set_aside_whole_and_comes_back(home: Home) -> None:
    deliver(home, row(1), row(2))
    other = survey(columns={**COLUMNS, "text": "remark"})
    collect(other, home, now=NOW, quiet_seconds=0)
    report = clean_feedback(other, home)
    assert (report.records, report.canonical, report.quarantined) == (1, 0, 1)
    assert unreconciled(build_ledger(home, [other]), deliveries(home, "survey")).is_empty()
    (stored,) = home.quarantine("survey").glob("*.parquet")
    refused = pl.read_parquet(stored).row(0, named=True)
    assert refused["reason"] == "unusable_file"
    assert "'remark' (columns.text)" in refused["detail"]
    report = deliver(home, row(1), row(2))
    assert (report.canonical, report.quarantined) == (2, 0)
    assert unreconciled(build_ledger(home, [survey()]), deliveries(home, "survey")).is_empty()


FORM = GoogleFormsSettings(
    name="form",
    questions=("Missing?", "Liked?"),
    rating="Score",
    rating_scale="nps",
)


def answer(home: Home, name: str, *responses: str, hour: int = 0) -> CleanReport:
    path = home.inbox("form") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["Timestamp,Score,Missing?,Liked?", *responses, ""]))
    collect(FORM, home, now=NOW + timedelta(hours=hour), quiet_seconds=0)
    return clean_feedback(FORM, home)


def test_answers_of_one_response_are_rows_that_share_it(home: Home) -> None:
    report = answer(
        home, "a.csv", "2026-03-01 10:00,9,Search for ann@example.com,Colours", "2026-03-01 11:00,3,,"
    )
    rows = pl.read_parquet(home.feedback_file("form"))
    assert set(rows["text"]) == {"Search for [email]", "Colours", None}
    assert rows["response_id"].drop_nulls().n_unique() == 1
    assert rows["feedback_id"].n_unique() == 3
    assert (report.records, report.canonical) == (2, 2)
    assert rows.filter(pl.col("response_id").is_not_null())["satisfaction"].to_list() == [0.9, 0.9]


def test_the_ledger_counts_responses_however_many_answers_they_have(home: Home) -> None:
    both, none, bad = "2026-03-01 10:00,9,Search,Colours", "2026-03-02 10:00,,,", "2026-03-02 11:00,11,x,y"
    answer(home, "a.csv", both, none, bad)
    report = answer(home, "b.csv", both, "2026-03-02 12:00,5,Filters,", hour=1)
    ledger = build_ledger(home, [FORM])
    assert unreconciled(ledger, deliveries(home, "form")).is_empty()
    assert ledger.select(pl.sum("landed", "canonical", "duplicates", "quarantined")).row(0) == (5, 2, 2, 1)
    assert (report.canonical, report.duplicates, report.quarantined) == (2, 2, 1)
    reasons = pl.read_parquet(home.feedback_duplicates_file("form"))["reason"].sort().to_list()
    assert reasons == ["no_words", "same_key"]


def private(**wanted: Any) -> PrivacyRules:
    made = PrivacySettings(key_env="K", **wanted).rules("survey", {"K": "a key"})
    assert made is not None
    return made


def under(home: Home, rules: PrivacyRules, *rows: str) -> dict[str, Any]:
    """The first message under the rules, its raw fields parsed."""
    deliver(home, *rows)
    clean_feedback(survey(), home, privacy=rules)
    message = messages(home).row(0, named=True)
    return message | {"raw": json.loads(message["raw"])}


@pytest.mark.parametrize("name", ["user", "user_id"])
def test_a_rule_names_a_column_of_the_file_or_our_field(home: Home, name: str) -> None:
    message = under(home, private(drop=[name]), row(1))
    assert message["user_id"] is None
    assert "1234567890123457" not in str(message)


def test_a_hashed_id_is_the_same_hash_as_in_events(home: Home) -> None:
    rules = private(hash=["user", "email"])
    message = under(home, rules, row(1))
    assert message["user_id"] == message["raw"]["user"] == rules.keyed("1234567890123457")
    assert message["email_hash"] == rules.keyed("ann@example.com")


def test_a_dropped_address_leaves_no_hash(home: Home) -> None:
    assert under(home, private(drop=["email"]), row(1))["email_hash"] is None


def test_a_dropped_text_is_gone_and_the_rating_stays(home: Home) -> None:
    message = under(home, private(drop=["text", "note"]), row(1, "my secret", note="another"))
    assert (message["text"], message["rating"]) == ("Title", 8.0)
    assert not {"my secret", "another"} & set(message["raw"].values())


def test_a_record_that_cannot_be_read_is_kept_as_a_reference(home: Home) -> None:
    deliver(home, row(1, rating="eleven"), row(2))
    clean_feedback(survey(), home, privacy=private(drop=["email"]))
    (path,) = home.quarantine("survey").glob("*.parquet")
    rejected = pl.read_parquet(path).row(0, named=True)
    assert (rejected["record"], rejected["raw"]) == (1, WITHHELD)
    assert "eleven" not in rejected["detail"]
    manifests = list(deliveries(home, "survey"))
    assert unreconciled(build_ledger(home, [survey()]), manifests).is_empty()


def test_other_rules_read_all_files_anew(home: Home) -> None:
    deliver(home, row(1))
    assert clean_feedback(survey(), home, privacy=private(drop=["email"])).parsed
    assert not clean_feedback(survey(), home, privacy=private(drop=["email"])).parsed
    assert clean_feedback(survey(), home).parsed
