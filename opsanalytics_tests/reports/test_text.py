import json

from hypothesis import given
from hypothesis import strategies as st

from opsanalytics.cleaning.printable import clean, one_line
from opsanalytics.reports.text import anchor, plotly_label, script_json
from opsanalytics_tests.reports.samples import HOSTILE


@given(st.text())
def test_a_plotly_label_holds_no_markup_and_no_formula(text: str) -> None:
    label = plotly_label(text)
    assert not set("<>$\n\r\t") & set(label)


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_cut_label_is_cut_before_it_is_escaped(text: str, limit: int) -> None:
    assert len(one_line(text, limit)) <= limit
    assert plotly_label(text, limit).count("&") == sum(one_line(text, limit).count(c) for c in "&<>$")


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner), max_leaves=8))
def test_script_json_reads_back_and_cannot_end_its_element(value: object) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_control_characters_and_direction_overrides_are_dropped() -> None:
    assert clean("a\u0000b\u202ec\u2066d\r\ne\tf") == "abcd\ne\tf"


def test_an_id_fit_for_an_anchor_stays_as_it_is() -> None:
    assert anchor("", "pp-3fa94c01") == "pp-3fa94c01"


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_names_have_different_anchors(one: str, other: str) -> None:
    ids = anchor("item", one), anchor("item", other)
    assert (ids[0] == ids[1]) == (one == other)
    assert all(id_.replace("-", "").isalnum() and id_.isascii() for id_ in ids)


def test_hostile_text_makes_a_harmless_anchor() -> None:
    assert set(anchor("item", HOSTILE)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
