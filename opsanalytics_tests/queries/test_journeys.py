"""`opsanalytics.sessions`, `paths` and `cohort`: what their answers can tell."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import opsanalytics
from opsanalytics import Cohort, Funnel, Paths, Segment, Sessions
from opsanalytics.queries.inputs import DefinitionError

LATER = datetime(2027, 1, 1, tzinfo=UTC)
EVENTS = pl.DataFrame(
    {
        "person": ["p", "p", "p", "q", "q", "r"],
        "event": ["sign_up", "<b>help</b>", "purchase", "sign_up", "purchase", "sign_up"],
        "ts": [datetime(2026, 3, 2, 12, minute) for minute in (0, 5, 10, 0, 59, 3)],  # noqa: DTZ001  naive: UTC
    }
)
BUYERS = Cohort(name="buyers", where={"did": "purchase"})
ASKED: dict[str, Any] = {
    "sessions": Sessions(),
    "paths": Paths(start="sign_up", min_persons=1),
    "cohort": BUYERS,
}


def ask(kind: str, events: Any = EVENTS, definition: Any = None) -> Any:
    return getattr(opsanalytics, kind)(events, definition or ASKED[kind], as_of=LATER)


@pytest.mark.parametrize("kind", ASKED)
def test_an_answer_in_all_its_forms(kind: str) -> None:
    result = ask(kind)
    assert result.to_polars().height >= 1
    assert result.definition_id == ASKED[kind].definition_id
    assert json.loads(json.dumps(result.to_dict()))["definition_id"] == result.definition_id
    assert "<table>" in result._repr_html_()
    assert "<b>help" not in result._repr_html_()
    assert result.figure().to_html(include_plotlyjs=False)
    assert "few" in repr(result)


@pytest.mark.parametrize("kind", ASKED)
def test_a_definition_may_be_a_mapping_or_a_file(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "asked.json"
    file.write_text(ASKED[kind].model_dump_json())
    for form in (file, str(file), ASKED[kind].model_dump(), EVENTS.lazy()):
        events, definition = (form, None) if isinstance(form, pl.LazyFrame) else (EVENTS, form)
        assert ask(kind, events, definition).to_polars().equals(ask(kind).to_polars())


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        ("sessions", {"gap": "soon"}, "sessions: gap"),
        ("paths", {"steps": 0}, "paths: steps"),
        ("cohort", {"where": {"did": "a", "times": -1}}, r"cohort: where\.0\.did condition\.times"),
    ],
)
def test_a_wrong_definition_fails_before_data_is_read(kind: str, wrong: dict[str, Any], field: str) -> None:
    unreadable = pl.scan_parquet("there/is/no/such.parquet")
    with pytest.raises(DefinitionError, match=field):
        ask(kind, unreadable, wrong)


def test_a_sankey_has_a_link_for_every_row() -> None:
    result = ask("paths")
    sankey = result.figure().data[0]
    assert len(sankey.link.source) == result.to_polars().height
    assert "&lt;b&gt;help&lt;/b&gt;" in sankey.node.label
    back = ask("paths", definition=Paths(end="purchase", min_persons=1)).figure().data[0]
    labels = back.node.label
    assert all(
        back.node.x[s] < back.node.x[t] for s, t in zip(back.link.source, back.link.target, strict=True)
    )
    assert labels[back.link.target[0]] == "purchase"


@pytest.mark.parametrize("kind", ASKED)
def test_nothing_in_an_answer_out(kind: str) -> None:
    result = ask(kind, EVENTS.clear())
    assert result.figure().to_html(include_plotlyjs=False)
    assert result._repr_html_()
    assert repr(result)


def test_a_cohort_as_a_filter_and_as_a_segment() -> None:
    funnel = Funnel(steps=["sign_up", "purchase"], window="1h")
    among = opsanalytics.funnel(EVENTS, funnel.model_copy(update={"among": BUYERS}), as_of=LATER)
    assert (among.entered, among.conversion) == (2, 1.0)
    by = opsanalytics.funnel(EVENTS, funnel, breakdown=Segment(cohort=BUYERS), as_of=LATER)
    assert {value: part.entered for value, part in by.groups("cohort buyers").items()} == {
        "in buyers": 2,
        "not in buyers": 1,
    }


def test_members_are_listed() -> None:
    assert ask("cohort").members()["person"].to_list() == ["p", "q"]


def test_sessions_one_by_one() -> None:
    assert ask("sessions").each()["events"].to_list() == [3, 1, 1, 1]
