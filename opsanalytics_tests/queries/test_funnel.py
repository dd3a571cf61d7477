"""`opsanalytics.funnel` on tables of every form, and what its answer can tell."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Filter, Funnel, Segment, Step
from opsanalytics.behavior.filters import PropertyError
from opsanalytics.lake.paths import Home
from opsanalytics.queries.inputs import DefinitionError
from opsanalytics_tests.samples import MONDAY, event, person, write_events, write_persons

START = datetime(2026, 1, 1)  # noqa: DTZ001  naive on purpose: the API takes it as UTC
LATER = datetime(2026, 3, 1, tzinfo=UTC)
BUY = Funnel(steps=["signup", "purchase"], window="7d")
FROM_PERSON = Filter(property="p", op="in", value=("x", 1), of="person")


def table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of person, event, hour and properties."""
    return pl.DataFrame(
        {
            "person": [row[0] for row in rows],
            "event": [row[1] for row in rows],
            "ts": [START + timedelta(hours=row[2]) for row in rows],
            "properties": [json.dumps(row[3] if len(row) > 3 else {}) for row in rows],
        }
    )


SHOP = table(
    [
        ("a", "signup", 0, {"plan": "pro", "amount": 1, "account": "x"}),
        ("a", "purchase", 2, {"plan": "team", "amount": 20.5, "account": "x"}),
        ("b", "signup", 1, {"plan": "free", "account": "x"}),
        ("c", "signup", 2, {"plan": "free", "account": "y"}),
        ("c", "purchase", 6, {"plan": "free", "amount": "9.5", "account": "y"}),
        ("d", "visit", 3, {"plan": "pro"}),
    ]
)


def persons(result: opsanalytics.FunnelResult) -> list[int]:
    return result.to_polars()["persons"].to_list()


def test_what_the_readme_says() -> None:
    definition = Funnel(steps=[Step("signup"), Step("purchase", where={"plan": "team"})], window="7d")
    result = opsanalytics.funnel(SHOP, definition, as_of=LATER)
    assert isinstance(result, opsanalytics.FunnelResult)
    assert persons(result) == [3, 1]
    assert result.conversion == pytest.approx(1 / 3)


@pytest.mark.parametrize("form", ["struct", "lazy", "columns", "categorical", "zoned"])
def test_events_of_every_form_give_the_same(form: str) -> None:
    frame: Any = SHOP
    if form == "struct":
        frame = SHOP.with_columns(pl.col("properties").str.json_decode(pl.Struct({"plan": pl.String})))
    elif form == "lazy":
        frame = SHOP.lazy()
    elif form == "columns":
        frame = SHOP.with_columns(plan=pl.col("properties").str.json_path_match("$.plan")).drop("properties")
    elif form == "categorical":
        frame = SHOP.with_columns(pl.col("event", "person").cast(pl.Categorical))
    elif form == "zoned":
        frame = SHOP.with_columns(
            pl.col("ts")
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Asia/Kathmandu")
            .dt.cast_time_unit("ms")
        )
    team = Funnel(steps=["signup", Step("purchase", where={"plan": "team"})], window="7d")
    found = opsanalytics.funnel(frame, team, as_of=LATER)
    expected = opsanalytics.funnel(SHOP, team, as_of=LATER)
    assert found.persons(2)["ts_2"].to_list() == expected.persons(2)["ts_2"].to_list()
    assert persons(found) == [3, 1]


def test_as_of_is_the_end_of_the_data_unless_named() -> None:
    result = opsanalytics.funnel(SHOP, BUY)
    assert result.as_of == datetime(2026, 1, 1, 6, tzinfo=UTC)
    assert result.entered == 0
    assert result.to_polars()["immature_persons"].to_list() == [3, 2]
    assert persons(opsanalytics.funnel(SHOP, BUY, preset="posthog")) == [3, 2]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"steps": ["A", ""], "window": "7d"}, r"funnel: steps\.1\.event: String should have at least 1"),
        ({"steps": ["A", "B"]}, "funnel: window: is required but missing"),
        ({"steps": ["A", "B"], "window": "7 moons", "order": "up"}, "funnel: order: .*'ordered', 'strict'"),
        (7, "definition: int is not a Funnel"),
    ],
)
def test_a_wrong_definition_fails_before_data_is_read(definition: Any, message: str) -> None:
    unreadable = SHOP.lazy().map_batches(lambda _: pytest.fail("data was read"), schema=SHOP.schema)
    with pytest.raises(DefinitionError, match=message):
        opsanalytics.funnel(unreadable, definition)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"preset": "posthg"}, ValueError, "preset: 'posthg'"),
        ({"timezone": "Mars"}, ValueError, "timezone: 'Mars'"),
        ({"as_of": START}, ValueError, "as_of: .* has no time zone"),
        ({"breakdown": Segment("plan", attribution="step", step=3)}, ValueError, "the funnel has 2 steps"),
        ({"breakdown": ""}, ValueError, "property is empty"),
    ],
)
def test_wrong_arguments(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        opsanalytics.funnel(SHOP, BUY, **keywords)


def test_something_else_than_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="list is not a table"):
        opsanalytics.funnel([], BUY)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="Run the pipeline first"):
        opsanalytics.funnel(tmp_path, BUY)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_definition_may_be_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"buy{suffix}"
    text = BUY.model_dump_json() if suffix == ".json" else 'steps = ["signup", "purchase"]\nwindow = "7d"\n'
    path.write_text(text)
    assert opsanalytics.funnel(SHOP, path).definition_id == BUY.definition_id


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.json", "{", "not valid JSON"),
        ("f.toml", "steps = [", "not valid TOML"),
        ("f.json", "[]", "holds list"),
        ("f.toml", 'steps = ["A"]\nwindow = "1"', r"f\.toml: window: '1' is not a length of time"),
        ("f.yaml", "", "a definition is a .json or .toml file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DefinitionError, match=message):
        opsanalytics.funnel(SHOP, tmp_path / name)


def test_a_definition_survives_json() -> None:
    full = Funnel(
        steps=[
            "a",
            Step("b", where=[Filter(property="p", op="in", value=("x", 1), of="person")], occurrence="first"),
        ],
        window="36h",
        entity="account",
        value="amount",
        reentry=False,
    )
    again = Funnel.model_validate_json(full.model_dump_json())
    assert again == full
    assert again.definition_id == full.definition_id


def test_ids_of_older_definitions_have_not_changed() -> None:
    definition = Funnel(name="f", steps=["A", Step("B", where={"plan": "pro"})], window="7d")
    assert definition.definition_id == "ef1a82be2923"


def test_lists_of_persons() -> None:
    result = opsanalytics.funnel(SHOP, BUY, as_of=LATER)
    assert result.persons(2)["person"].to_list() == ["a", "c"]
    assert result.persons(1, dropped=True)["person"].to_list() == ["b"]
    assert result.persons(1, still_open=True).is_empty()
    with pytest.raises(ValueError, match="nobody drops out after step 2"):
        result.persons(2, dropped=True)
    with pytest.raises(ValueError, match="step: 3 is not one of the 2 steps"):
        result.persons(3)


def test_times_are_exact() -> None:
    times = opsanalytics.funnel(SHOP, BUY, as_of=LATER).times().to_dict()
    assert {name: times[name] for name in ("n", "mean", "median", "min", "max", "p25")} == {
        "n": 2,
        "mean": 3 * 3600,
        "median": 3 * 3600,
        "min": 2 * 3600,
        "max": 4 * 3600,
        "p25": 2.5 * 3600,
    }
    with pytest.raises(ValueError, match="not two of the 2 steps"):
        opsanalytics.funnel(SHOP, BUY, as_of=LATER).times(2, 1)


def test_values_are_added_up_with_an_interval() -> None:
    worth = BUY.model_copy(update={"value": "amount"})
    result = opsanalytics.funnel(SHOP, worth, as_of=LATER)
    table = result.values()
    assert table["persons"].to_list() == [1, 2]
    assert table["total"].to_list() == [1.0, 30.0]
    assert table["per_entrant"].to_list() == [pytest.approx(1 / 3), 10.0]
    assert table.filter(pl.col("total").is_between(pl.col("total_low"), pl.col("total_high"))).height == 2
    assert table.equals(opsanalytics.funnel(SHOP, worth, as_of=LATER).values())
    with pytest.raises(ValueError, match="has no `value`"):
        opsanalytics.funnel(SHOP, BUY, as_of=LATER).values()


def test_an_entity_is_counted_in_place_of_persons() -> None:
    result = opsanalytics.funnel(SHOP, BUY.model_copy(update={"entity": "account"}), as_of=LATER)
    assert result.persons(1)["person"].to_list() == ["x", "y"]
    assert persons(result) == [2, 2]


def test_only_first_events_ever() -> None:
    rows = [("p", "visit", 0, {"via": "mail"}), ("p", "visit", 30, {"via": "ad"}), ("p", "buy", 31)]
    rows += [("q", "visit", 30, {"via": "ad"}), ("q", "buy", 32)]
    counts = {}
    for occurrence in ("any", "first", "first_ever"):
        step = Step("visit", where={"via": "ad"}, occurrence=occurrence)  # type: ignore[arg-type]
        definition = Funnel(steps=[step, "buy"], window="1d", date_range="all_steps")
        counts[occurrence] = persons(
            opsanalytics.funnel(table(rows), definition, first=date(2026, 1, 2), as_of=LATER)
        )
    assert counts == {"any": [2, 2], "first": [2, 2], "first_ever": [1, 1]}


def test_without_reentry_only_the_first_entry_counts() -> None:
    rows = table([("p", "signup", 0), ("p", "signup", 200), ("p", "purchase", 201)])
    once = BUY.model_copy(update={"reentry": False})
    assert persons(opsanalytics.funnel(rows, BUY, as_of=LATER)) == [1, 1]
    assert persons(opsanalytics.funnel(rows, once, as_of=LATER)) == [1, 0]


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("regex", "^(pro|te)", ["a"]),
        ("not_regex", "^pro", ["b", "c"]),
        ("not_contains", "ro", ["b", "c"]),
        ("not_in", ("free", "team"), ["a"]),
    ],
)
def test_further_operators(op: Any, value: Any, expected: list[str]) -> None:
    step = Step("signup", where=Filter(property="plan", op=op, value=value))
    result = opsanalytics.funnel(SHOP, Funnel(steps=[step], window="1d"), as_of=LATER)
    assert result.persons(1)["person"].to_list() == expected


def test_person_properties_come_from_a_table_a_column_or_the_latest_event() -> None:
    pro = Funnel(
        steps=[Step("signup", where=Filter(property="plan", value="team", of="person"))], window="7d"
    )
    assert opsanalytics.funnel(SHOP, pro, as_of=LATER).persons(1)["person"].to_list() == ["a"]
    own = SHOP.with_columns(person_properties=pl.lit('{"plan": "team"}'))
    assert opsanalytics.funnel(own, pro, as_of=LATER).entered == 3
    table = pl.DataFrame({"person": ["b", "c"], "plan": ["team", "pro"]})
    found = opsanalytics.funnel(own, pro, as_of=LATER, persons=table)
    assert found.persons(1)["person"].to_list() == ["b"]
    with pytest.raises(ValueError, match="more than once"):
        opsanalytics.funnel(SHOP, pro, persons=pl.concat([table, table]))
    with pytest.raises(PropertyError, match="property 'plan'"):
        opsanalytics.funnel(SHOP.drop("properties"), pro)


def test_breakdown_groups_and_comparison() -> None:
    rows = [(f"{plan}{k}", "signup", k, {"plan": plan}) for plan in ("pro", "free") for k in range(40)]
    rows += [(f"pro{k}", "purchase", 50, {}) for k in range(35)]  # type: ignore[misc]
    rows += [(f"free{k}", "purchase", 50, {}) for k in range(5)]  # type: ignore[misc]
    result = opsanalytics.funnel(table(rows), BUY, breakdown=["plan"], as_of=LATER)
    last = result.breakdown().filter(pl.col("step") == 2)
    assert last.select("value", "persons").rows() == [("free", 5), ("pro", 35)]
    assert (last["q_value"] < 1e-6).all()
    groups = result.groups("plan")
    compared = groups["pro"].compare(groups["free"]).row(1, named=True)
    assert compared["difference"] == pytest.approx(0.75)
    assert compared["difference_low"] < 0.75 < compared["difference_high"]
    with pytest.raises(KeyError, match="'country'"):
        result.groups("country")


def test_groups_that_share_persons_are_not_tested() -> None:
    segment = Segment("plan", attribution="all")
    result = opsanalytics.funnel(SHOP, BUY, breakdown=segment, as_of=LATER).breakdown()
    assert result["q_value"].null_count() == result.height
    assert result.filter(pl.col("step") == 2).select("value", "entered", "persons").rows() == [
        ("free", 2, 1),
        ("pro", 1, 0),
    ]


def test_beyond_the_limit_values_are_one_group() -> None:
    for attribution in ("entry", "all"):
        segment = Segment("plan", limit=1, attribution=attribution)  # type: ignore[arg-type]
        groups = opsanalytics.funnel(SHOP, BUY, breakdown=segment, as_of=LATER).groups()
        assert {value: one.entered for value, one in groups.items()} == {"free": 2, "(other)": 1}


def test_an_answer_can_be_shown_everywhere() -> None:
    worth = BUY.model_copy(update={"value": "amount", "title": "<b>Buy</b>"})
    result = opsanalytics.funnel(SHOP, worth, breakdown="plan", as_of=LATER)
    assert "2. purchase: 2 of 3, 66.7%" in repr(result)
    shown = result._repr_html_()
    assert "&lt;b&gt;Buy" in shown
    assert "<b>" not in shown
    plain = json.loads(json.dumps(result.to_dict()))
    assert [row["persons"] for row in plain["steps"]] == [3, 2]
    assert {"times", "breakdown", "values"} <= set(plain)
    assert len(result.figure().data) == 2
    assert sum(result.figure("times").data[0].y) == 2
    with pytest.raises(ValueError, match="kind: 'pie'"):
        result.figure("pie")  # type: ignore[arg-type]


@pytest.mark.parametrize("attribution", ["entry", "first", "last", "all"])
def test_every_group_of_a_breakdown_has_its_values(attribution: Any) -> None:
    worth = BUY.model_copy(update={"value": "amount"})
    by_plan = Segment("plan", attribution=attribution)
    result = opsanalytics.funnel(SHOP, worth, breakdown=by_plan, as_of=LATER)
    assert result.values().equals(opsanalytics.funnel(SHOP, worth, as_of=LATER).values())
    totals = {plan: one.to_dict()["values"][1]["total"] for plan, one in result.groups().items()}
    assert totals["free"] == 9.5
    if attribution != "all":
        assert sum(totals.values()) == 30


@pytest.fixture
def lake(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data")
    write_persons(home, [person("user", one, one) for one in ("p1", "p2")])
    rows = [
        event(f"{user}-{name}", user_id=user, event=name, ts=datetime(2024, 1, 1, hour, tzinfo=UTC))
        for user, names in {"p1": ("sign_up", "purchase"), "p2": ("sign_up",)}.items()
        for hour, name in enumerate(names)
    ]
    write_events(home, rows, MONDAY)
    return home


def test_the_lake_itself(lake: Home) -> None:
    definition = Funnel(steps=["sign_up", "purchase"], window="1d")
    asked = {"as_of": datetime(2024, 2, 1, tzinfo=UTC)}
    for events in (lake, lake.root, str(lake.root), opsanalytics.events(lake.root)):
        assert persons(opsanalytics.funnel(events, definition, **asked)) == [2, 1]
    indexed = opsanalytics.funnel(lake, definition, **asked)
    broken = opsanalytics.funnel(lake, definition, breakdown="platform", **asked)
    assert indexed.to_dict()["steps"] == broken.to_dict()["steps"]
    assert opsanalytics.funnel(lake, definition).as_of == datetime(2024, 1, 1, 1, tzinfo=UTC)
