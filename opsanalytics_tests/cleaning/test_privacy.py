"""What `[privacy]` drops or hashes is nowhere in the lake, whichever way the rows took."""

import hashlib
import hmac
import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from opsanalytics.cleaning.events import clean_events
from opsanalytics.cleaning.privacy import PrivacyRules, PrivacySettings, without_query
from opsanalytics.cleaning.private_records import NOT_REDACTABLE, WITHHELD, parse_private
from opsanalytics.cleaning.report import CleanReport
from opsanalytics.lake.events import scan_raw_events
from opsanalytics.lake.paths import Home
from opsanalytics.quality.reconciliation import build_ledger, unreconciled
from opsanalytics.sources.base import EventSourceSettings, ParsedLines
from opsanalytics.sources.errors import CredentialError
from opsanalytics_tests.cleaning.test_clean_events import APP, DAY, PRODUCT, event, land, quarantine, sent
from opsanalytics_tests.cleaning.test_large_days import make_small
from opsanalytics_tests.sources.support import mixpanel, tree

KEY = "a long random text"
ENVIRON = {"PRIVACY_KEY": KEY}


def rules(source: str = "product", **wanted: Any) -> PrivacyRules:
    made = PrivacySettings(key_env="PRIVACY_KEY", **wanted).rules(source, ENVIRON)
    assert made is not None
    return made


def keyed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def clean(home: Home, privacy: PrivacyRules | None, source: EventSourceSettings = PRODUCT) -> CleanReport:
    return clean_events(source, home, {}, privacy=privacy)


def rows(home: Home) -> list[dict[str, Any]]:
    return scan_raw_events(home).sort("ts", "event_id").collect().to_dicts()


def shown(lines: list[bytes], privacy: PrivacyRules, source: EventSourceSettings = PRODUCT) -> dict[str, Any]:
    """The properties of the first line under the rules."""
    parsed, _ = parse_private(source, privacy, lines)
    properties: dict[str, Any] = json.loads(parsed.rows["properties"][0])
    return properties


def holds(home: Home, text: str) -> list[str]:
    """Files of the lake that hold a text in any column."""
    found = []
    for path in home.lake.rglob("*.parquet"):
        frame = pl.read_parquet(path, glob=False)
        if any(text in str(value) for row in frame.rows() for value in row):
            found.append(path.name)
    return found


def test_a_property_is_dropped_by_its_name_and_no_other(home: Home) -> None:
    properties = shown([event(1, email="a@b.example", Email="x", e="y")], rules(drop=["email"]))
    assert "email" not in properties
    assert (properties["Email"], properties["e"]) == ("x", "y")


def test_members_of_members_and_of_lists_are_found_by_their_path() -> None:
    line = event(1, profile={"mail": "m", "age": 3}, items=[{"sku": 1, "gift": {"to": "ann"}}, {"sku": 2}])
    properties = shown([line], rules(drop=["profile.mail", "items.gift.to"]))
    assert properties["profile"] == {"age": 3}
    assert properties["items"] == [{"sku": 1, "gift": {}}, {"sku": 2}]


def test_a_star_stands_for_any_text_and_brackets_for_themselves() -> None:
    line = event(1, **{"utm_source": "s", "utm": "u", "[x] a": "1", "xa": "2", "p": {"utm_term": "t"}})
    properties = shown([line], rules(drop=["*utm_*", "[x] a"]))
    assert (properties["utm"], properties["xa"], properties["p"]) == ("u", "2", {})
    assert not {"utm_source", "[x] a"} & properties.keys()


def test_an_object_that_a_rule_fits_goes_as_a_whole() -> None:
    assert "profile" not in shown([event(1, profile={"mail": "m"})], rules(drop=["profile"]))


def test_dropping_wins_over_hashing() -> None:
    assert "email" not in shown([event(1, email="m")], rules(drop=["email"], hash=["e*"]))


@pytest.mark.parametrize(
    ("value", "text"),
    [("Grüße 🎉", "Grüße 🎉"), (1234567890123456789, "1234567890123456789"), (True, "true"), (1.5, "1.5")],
)
def test_a_hash_is_hmac_sha256_of_the_text_of_a_value(value: Any, text: str) -> None:
    assert shown([event(1, secret=value)], rules(hash=["secret"]))["secret"] == keyed(text)


@pytest.mark.parametrize("value", [None, "", "null", "anonymous"])
def test_what_stands_for_nobody_is_not_hashed_into_somebody(value: Any) -> None:
    parsed, _ = parse_private(PRODUCT, rules(hash=["$user_id"]), [event(1, **{"$user_id": value})])
    assert parsed.rows["user_id"].to_list() == [None]


def test_hashed_ids_still_tell_users_and_devices_apart() -> None:
    line = event(1, distinct_id="$device:d1", **{"$device_id": "d1"})
    parsed, _ = parse_private(PRODUCT, rules(hash=["distinct_id", "$device_id"]), [line])
    row = parsed.rows.row(0, named=True)
    assert (row["device_id"], row["distinct_id"]) == (keyed("d1"), f"$device:{keyed('d1')}")


def test_a_column_made_of_a_dropped_property_is_dropped_with_it() -> None:
    line = event(1, **{"$current_url": "https://x/a", "$os": "iOS", "mp_country_code": "DE"})
    parsed, _ = parse_private(PRODUCT, rules(drop=["$current_url", "mp_country_code"]), [line])
    row = parsed.rows.row(0, named=True)
    assert (row["url"], row["country"], row["os"]) == (None, None, "iOS")


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("https://x.example/a?q=1&r=2", "https://x.example/a"),
        ("https://x.example/a?q=1#/b?c=2", "https://x.example/a#/b"),
        ("https://x.example/#access_token=1", "https://x.example/"),
        ("app://open?user=1", "app://open"),
        ("/people?mail=a", "/people"),
        ("/really? no address", "/really? no address"),
        ("what? nothing", "what? nothing"),
        ("https://x.example/a#part", "https://x.example/a#part"),
    ],
)
def test_addresses_lose_their_query(address: str, left: str) -> None:
    assert without_query(address) == left
    line = event(1, **{"$current_url": address, "deep": {"link": [address]}})
    parsed, _ = parse_private(PRODUCT, rules(url_query="drop"), [line])
    assert parsed.rows["url"][0] == left
    assert json.loads(parsed.rows["properties"][0])["deep"] == {"link": [left]}


def test_everything_else_keeps_its_text() -> None:
    line = (
        b'{"event":"Paid","properties":{"time":1772452800,"distinct_id":"u","a.b":1.10,"x":"\\u00e9\\ud83d",'
    )
    line += b'"big":12345678901234567890123,"email":"m"}}'
    parsed, _ = parse_private(PRODUCT, rules(drop=["email"]), [line])
    expected = line[line.index(b'{"time"') : -1].replace(b',"email":"m"', b"").decode()
    assert parsed.rows["properties"][0] == expected


def test_amplitudes_other_fields_are_named_with_and_without_their_folder() -> None:
    line = sent(
        1, uuid="1", ip_address="10.0.0.1", city="Bonn", user_properties={"email": "m", "plan": "pro"}
    )
    properties = shown(
        [line], rules("app", drop=["ip_address", "$amplitude.city", "user_properties.email"]), APP
    )
    assert properties["$amplitude"]["user_properties"] == {"plan": "pro"}
    assert not {"ip_address", "city"} & properties["$amplitude"].keys()


def test_parameters_as_bigquery_writes_them_are_found_by_their_key() -> None:
    params = [{"key": "email", "value": {"string_value": "m"}}, {"key": "n", "value": {"int_value": "1"}}]
    properties = shown([event(1, params=params)], rules(drop=["params.email"]))
    assert properties["params"] == params[1:]


def test_rules_of_a_source_are_its_own() -> None:
    wanted = PrivacySettings.model_validate(
        {"drop": ["a"], "sources": {"web": {"drop": ["b"], "url_query": "drop"}}}
    )
    web, other = wanted.rules("web", {}), wanted.rules("other", {})
    assert web is not None
    assert other is not None
    assert (web.drop, web.strip_queries) == (("a", "b"), True)
    assert (other.drop, other.strip_queries) == (("a",), False)
    assert PrivacySettings().rules("web", {}) is None


def test_a_missing_key_is_told_before_anything_is_read() -> None:
    with pytest.raises(CredentialError, match="PRIVACY_KEY"):
        PrivacySettings(hash=("a",), key_env="PRIVACY_KEY").rules("web", {"PRIVACY_KEY": " "})


def test_hashes_without_a_key_are_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ValidationError, match="key_env"):
        PrivacySettings(hash=("a",))


def test_events_that_differ_in_what_is_dropped_stay_different_events(home: Home) -> None:
    lines = [event(1, email=mail, **{"$insert_id": None}) for mail in ("a", "b")]
    land(home, lines)
    report = clean(home, rules(drop=["email"]))
    assert (report.canonical, report.duplicates) == (2, 0)


def test_new_rules_clean_all_days_anew_and_old_ones_bring_all_back(home: Home) -> None:
    land(
        home,
        [event(1, email="ann@b.example"), event(2, day=DAY + timedelta(days=1))],
        DAY,
        DAY + timedelta(days=1),
    )
    clean(home, None)
    before = tree(home.lake)
    assert holds(home, "ann@b.example")
    clean(home, rules(drop=["email"]))
    assert not holds(home, "ann@b.example")
    assert clean(home, rules(drop=["email"])).parsed == ()
    clean(home, None)
    assert tree(home.lake) == before


def test_another_key_gives_other_hashes(home: Home) -> None:
    land(home, [event(1, **{"$user_id": "ann"})])
    wanted = PrivacySettings(hash=("$user_id",), key_env="K")
    users = []
    for key in ("one", "two"):
        clean(home, wanted.rules("product", {"K": key}))
        users.append(rows(home)[0]["user_id"])
    assert users[0] != users[1]


def test_event_ids_cannot_be_found_by_trying_values(home: Home) -> None:
    line = event(1, distinct_id="ann@b.example")
    land(home, [line])
    clean(home, None)
    plain = rows(home)[0]["event_id"]
    clean(home, rules(hash=["distinct_id"]))
    assert rows(home)[0]["event_id"] == keyed(plain)[:32]


def test_quarantine_keeps_what_can_be_redacted_and_refers_to_the_file_for_the_rest(home: Home) -> None:
    bad = b'{"event": {"email": "ann@b.example"}, "properties": {"email": "ann@b.example", "n": 1}}'
    land(home, [b'{"event": "x", "email": "ann@b.example', bad, event(1)])
    report = clean(home, rules(drop=["email", "event.email"]))
    assert report.quarantined == 2
    assert not holds(home, "ann@b.example")
    raw = quarantine(home).sort("record")["raw"].to_list()
    assert raw == [WITHHELD, b'{"event":{},"properties":{"n":1}}']
    assert unreconciled(build_ledger(home, [PRODUCT]), []).is_empty()


def test_what_is_nested_too_deep_to_redact_is_set_aside() -> None:
    deep = "[" * 900 + "]" * 900
    line = event(1).replace(b'"n": 1', b'"n": 1, "deep": ' + deep.encode())
    parsed, kept = parse_private(PRODUCT, rules(drop=["*secret*"]), [line, event(2)])
    assert [reason for _, reason, *_ in parsed.rejected] == [NOT_REDACTABLE]
    assert parsed.rows["position"].to_list() == [1]
    assert kept[0] == WITHHELD


def as_line(own: dict[str, Any]) -> bytes:
    """Any properties; a lone surrogate can only be written as an escape."""
    return json.dumps(
        {"event": "Paid", "properties": {"time": 1772452800, "$insert_id": "i", **own}}
    ).encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["secret", "x?y", "https://a/b?c=1", "/p?q", "\ud800", "é\u2028", '"', "null"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["email", "a", "a.b", "key", "value"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
names = st.sampled_from(
    [
        "email",
        "a",
        "a.b",
        "$user_id",
        "$device_id",
        "distinct_id",
        "time",
        "$current_url",
        "$os",
        "$insert_id",
    ]
)
lines = st.lists(
    st.dictionaries(names, values, max_size=5).map(lambda own: as_line(own))
    | st.sampled_from([b"{", b"[]", b'{"event":"x"}', b"\xff", b'{"event":"x","properties":{"time":1}}']),
    max_size=6,
)
patterns = st.lists(
    st.sampled_from(["email", "a", "a.*", "*b", "$user_id", "distinct_id", "time", "$current_url", "*"]),
    max_size=3,
)


class Careful(type(PRODUCT)):  # type: ignore[misc]
    """The same source, read line by line."""

    def parse_records(self, records: Any) -> ParsedLines:
        return EventSourceSettings.parse_records(self, records)


@settings(max_examples=120, deadline=None)
@given(lines, patterns, patterns, st.booleans())
def test_fast_and_careful_reading_agree(
    records: list[bytes], drop: list[str], hashed: list[str], strip: bool
) -> None:
    privacy = PrivacySettings(
        drop=tuple(drop), hash=tuple(hashed), url_query="drop" if strip else "keep", key_env="PRIVACY_KEY"
    ).rules("product", ENVIRON)
    if privacy is None:
        return
    careful = Careful(**PRODUCT.model_dump())
    (quick, quick_raw), (slow, slow_raw) = (
        parse_private(each, privacy, records) for each in (PRODUCT, careful)
    )
    assert_frame_equal(quick.rows, slow.rows)
    assert sorted(quick.rejected) == sorted(slow.rejected)
    assert quick_raw == slow_raw
    assert sorted([*quick.rows["position"], *(reject[0] for reject in quick.rejected)]) == list(
        range(len(records))
    )


def mentions(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return name in value or any(mentions(each, name) for each in value.values())
    return isinstance(value, list) and any(mentions(each, name) for each in value)


@settings(max_examples=80, deadline=None)
@given(lines)
def test_a_dropped_name_is_nowhere_in_the_properties(records: list[bytes]) -> None:
    parsed, _ = parse_private(PRODUCT, rules(drop=["email", "*.email", "*.email.*"]), records)
    assert not any(mentions(json.loads(text), "email") for text in parsed.rows["properties"].to_list())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=25))
def test_large_days_come_out_the_same(drawn: list[int]) -> None:
    trees = []
    with tempfile.TemporaryDirectory() as folder:
        for large in (False, True):
            home = Home(Path(folder) / str(large))
            land(home, [event(n, email=f"m{n}", **{"$user_id": f"u{n}"}) for n in drawn])
            with pytest.MonkeyPatch.context() as monkeypatch:
                if large:
                    make_small(monkeypatch)
                clean(home, rules(drop=["email"], hash=["$user_id", "distinct_id"]))
            trees.append([tree(home.events), tree(home.lake / "duplicates")])
    assert trees[0] == trees[1]


def test_without_rules_no_record_is_looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsanalytics.cleaning.parsing.parse_private", None)
    land(home, [event(1)])
    assert clean(home, PrivacySettings().rules("product", {})).canonical == 1


def test_a_project_without_rules_keeps_its_fingerprints(home: Home) -> None:
    land(home, [event(1)])
    clean(home, None)
    summary = json.loads((home.cleaned("product") / f"{DAY}--{DAY}.json").read_text())
    assert summary["fingerprint"] == first_fingerprint(home)


def first_fingerprint(home: Home) -> str:
    """As it was before there were privacy rules: nobody's days are cleaned anew for their sake."""
    manifest = json.loads((home.delivery("product", f"{DAY}--{DAY}") / "manifest.json").read_text())
    applied = json.dumps(mixpanel("http://x").cleaning_fingerprint(), sort_keys=True, default=str)
    run = f"{manifest['delivery']}@{manifest['sha256'][:12]}"
    return hashlib.sha256(f"1\n{run}\n{manifest['sha256']}\n{applied}".encode()).hexdigest()[:24]
