import dataclasses
import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise

import polars as pl
import pytest

from opsanalytics.reports.data import ReportData
from opsanalytics.reports.page import render_week
from opsanalytics_tests.reports import samples


class Page(HTMLParser):
    """Text, ids, links, headings and outside references of a page, scripts and styles left out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []
        self.words: list[str] = []
        self._raw = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("td", "th"):
            self.words.append(" ")
        self._raw += tag in ("script", "style")
        if id_ := given.get("id"):
            self.ids.append(id_)
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        self.loaded += [given[name] or "" for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "link":
            self.loaded.append(given.get("href") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        self._raw -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words)).replace("\u202f", " ")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_week(samples.sample()))


SAMPLES = [samples.sample, samples.empty, samples.hostile, samples.withheld, samples.long_history]


@pytest.mark.parametrize("make", SAMPLES)
def test_every_fragment_link_meets_one_id(make: object) -> None:
    page = Page(render_week(make()))  # type: ignore[operator]
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


@pytest.mark.parametrize("make", SAMPLES)
def test_headings_skip_no_level(make: object) -> None:
    levels = Page(render_week(make())).headings  # type: ignore[operator]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))


@pytest.mark.parametrize("make", SAMPLES)
def test_nothing_is_loaded_from_anywhere(make: object) -> None:
    page = Page(render_week(make()))  # type: ignore[operator]
    assert set(page.loaded) == {"data:,"}
    assert {link for link in page.links if not link.startswith("#")} == {"../../index.html"}


def test_equal_input_gives_equal_bytes() -> None:
    data = samples.sample()
    shuffled = dataclasses.replace(
        data, backlog=data.backlog.reverse(), funnel_trend=data.funnel_trend.reverse()
    )
    assert render_week(data) == render_week(shuffled)


def test_evidence_links_of_the_backlog_resolve(page: Page) -> None:
    assert {link.removeprefix("#") for link in samples.backlog()["evidence"].to_list()} <= set(page.ids)


def test_findings_come_first_with_cost_reach_and_confidence(page: Page) -> None:
    start = page.text.index("What to fix next")
    first = page.text[start : page.text.index("CSV import fails")]
    assert "Card form rejects valid cards" in first
    assert "Costs about 23 final conversions a week (17 to 30)" in first
    assert "About 34 persons a week meet it, 31.5 % of those who could (29.0 to 34.0 %, n 1,310)" in first
    assert "Confidence 0.94" in first


def test_items_on_watch_are_no_headline(page: Page) -> None:
    before, after = page.text.split("Where people get stuck", 1)
    assert "Opening a large project" not in before
    assert "On watch" in after
    assert "Opening a large project" in after


def test_no_detectable_change_is_said_plainly(page: Page) -> None:
    assert "No detectable change: 15.7 % to 11.1 %." in page.text
    assert "Difference −4.6 points, interval −9.3 to +0.0 points." in page.text


def test_immature_entrants_stand_apart(page: Page) -> None:
    assert "312 more entered in the last 7 days and still have time" in page.text
    assert "They are not counted as drop-off." in page.text


def test_rates_of_few_persons_are_flagged() -> None:
    data = samples.sample()
    assert "small n" in Page(render_week(data)).text.split("How to read")[0]
    strict = dataclasses.replace(
        data,
        small_n=1,
        pain_points=data.pain_points.clear(),
    )
    assert "small n" not in Page(render_week(strict)).text.split("How to read")[0]


def test_a_breakdown_is_a_finding_only_below_five_per_cent(page: Page) -> None:
    assert "platform: 2 values differ from the others" in page.text
    assert "country: no detectable difference" in page.text


def test_withheld_sections_show_the_reason_and_none_of_their_numbers() -> None:
    page = Page(render_week(samples.withheld()))
    assert (
        "Withheld this week: funnels, retention, backlog measured in conversions, friction signals."
        in page.text
    )
    assert page.text.count("Every event_id occurs once. Failed for 2026-10-14.") >= 5
    for number in ("4,812", "Card form rejects", "15.7 %", "card_declined_client"):
        assert number not in page.text
    assert "Asked for: dark mode" in page.text


def test_charts_of_withheld_sections_are_not_in_the_file() -> None:
    html = render_week(samples.withheld())
    assert "Onboarding done" not in html
    assert "themes-share-figure" in html


def test_an_empty_page_says_what_is_missing_and_what_to_do() -> None:
    text = Page(render_week(dataclasses.replace(samples.empty(), feedback_inbox="inbox/feedback/nps"))).text
    assert "No feedback has been collected yet: drop CSV files into inbox/feedback/nps" in text
    assert "No funnel has been computed yet. Define one under [[funnels]]" in text
    assert "No events have been fetched yet" in text
    assert "checks passed" not in text


def test_signals_that_are_not_available_say_why(page: Page) -> None:
    assert "Rage click: No event carries click positions." in page.text


def test_the_ledger_adds_up_by_source(page: Page) -> None:
    told = re.search(
        r"appmixpanel, 84 deliveries,.*?00:00 ([\d,]+) ([\d,]+) ([\d,]+) ([\d,]+) yes", page.text
    )
    assert told is not None
    ledger = samples.ledger(84).filter(pl.col("source") == "app")
    names = ("landed", "canonical", "duplicates", "quarantined")
    assert [int(text.replace(",", "")) for text in told.groups()] == [ledger[name].sum() for name in names]


def test_a_ledger_that_does_not_add_up_says_so() -> None:
    data = samples.sample()
    lost = pl.when(pl.int_range(pl.len()) == 0).then(pl.col("canonical") - 3).otherwise("canonical")
    broken = dataclasses.replace(data, ingestion_ledger=data.ingestion_ledger.with_columns(canonical=lost))
    assert "1 day off by 3" in Page(render_week(broken)).text


def test_twelve_years_stay_a_page_one_can_open() -> None:
    html = render_week(samples.long_history())
    page = Page(html)
    assert "598 older weeks: table funnel_trend" in page.text
    assert "608 older cohorts: table retention_cells" in page.text
    assert len(html) < 6_000_000


def test_hostile_text_is_text() -> None:
    html = render_week(samples.hostile())
    assert "<img src=x" not in html
    assert "window.hacked=1</script>" not in html
    shown = samples.HOSTILE.replace("\u202e", "").replace("\u0000", "").replace("\u202f", " ")
    assert Page(html).text.count(shown) > 30


def test_a_pain_point_without_rank_is_still_shown() -> None:
    data = samples.sample()
    assert (
        "Opening a large project"
        in Page(
            render_week(
                dataclasses.replace(data, backlog=data.backlog.filter(pl.col("item_id") != "pp-slow"))
            )
        ).text
    )


def test_what_is_seen_first_this_week_is_new() -> None:
    data: ReportData = samples.sample()
    text = Page(render_week(data)).text
    assert "CSV import fails during onboarding new this week" in text
    later = dataclasses.replace(
        data, first_day=data.first_day + timedelta(days=7), last_day=data.last_day + timedelta(days=7)
    )
    assert "new this week" not in Page(render_week(later)).text


def test_a_change_between_a_few_persons_is_too_little_to_tell(page: Page) -> None:
    assert "Too few to tell: 40.0 % to 33.3 %." in page.text


def test_years_come_first_where_the_last_cohorts_are_small() -> None:
    data = dataclasses.replace(samples.long_history(), small_n=1_000)
    text = Page(render_week(data)).text
    assert text.index("All cohorts, by year") < text.index(
        "The last 16 cohorts: most have fewer than 1000 persons"
    )
    usual = Page(render_week(samples.long_history())).text
    assert usual.index("Who came back, by cohort") < usual.index("All cohorts, by year")


def test_many_findings_are_folded_and_none_is_lost() -> None:
    data = samples.sample()
    more = pl.concat(
        data.pain_points.filter(pl.col("item_id") == "pp-card").with_columns(
            item_id=pl.lit(f"pp-more-{number:02}"), title=pl.lit(f"Another problem {number:02}")
        )
        for number in range(30)
    )
    page = Page(render_week(dataclasses.replace(data, pain_points=pl.concat([data.pain_points, more]))))
    assert {f"pp-more-{number:02}" for number in range(30)} <= set(page.ids)
    assert "26 more findings" in page.text


def with_votes() -> ReportData:
    """The sample, its voice item an open request with votes, its first theme settled, its second open."""
    data = samples.sample()
    asks = pl.col("item_id") == "pp-dark-mode"
    theme = pl.col("rank")
    return dataclasses.replace(
        data,
        pain_points=data.pain_points.with_columns(
            status=pl.when(asks).then(pl.lit("watch")).otherwise("status"),
            kind=pl.when(asks).then(pl.lit("request")),
            votes=pl.when(asks).then(41),
            open=pl.when(asks).then(20),
        ),
        backlog=data.backlog.with_columns(status=pl.when(asks).then(pl.lit("watch")).otherwise("status")),
        feedback_themes=data.feedback_themes.with_columns(
            open=pl.when(theme == 1).then(0).when(theme == 2).then(50).otherwise("open"),
            votes=pl.when(theme == 2).then(7).otherwise("votes"),
            requests=pl.when(theme == 2).then(2).otherwise("requests"),
            bugs=pl.when(theme == 2).then(1).otherwise("bugs"),
            example=pl.when(theme == 2).then(pl.lit("Import my CSV")),
        ),
        friction=data.friction.with_columns(
            title=pl.when(pl.col("signal") == "error").then(pl.lit("Something broke")).otherwise("title")
        ),
    )


def test_what_people_ask_for_stands_beside_the_findings() -> None:
    text = Page(render_week(with_votes())).text
    start = text.index("Asked for, not measured")
    assert "Asked for: dark mode 41 votes, 23 authors, last on 17 Oct 2026" in text[start:]
    assert start < text.rindex("What changed")


def test_nothing_asked_for_needs_no_heading(page: Page) -> None:
    assert "Asked for, not measured" not in page.text


def test_themes_say_what_is_open_and_of_what_kind() -> None:
    text = Page(render_week(with_votes())).text
    assert "settled All messages are resolved." in text
    assert "50 open, 7 settled, 7 votes. In the last 52 weeks: 1 bug report, 2 requests." in text
    assert "Such as “Import my CSV”" in text


def test_signals_go_by_their_titles() -> None:
    text = Page(render_week(with_votes())).text
    assert "Signal: Something broke at card_declined_client at /checkout" in text
    assert "Something broke Events whose name" in text
