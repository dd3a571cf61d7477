"""Issues in GitHub, Jira and Linear: made once whatever gets lost, kept up to date, read back."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from opsanalytics.improvement.decisions import DecisionError
from opsanalytics.improvement.trackers.connect import connect
from opsanalytics.improvement.trackers.document import Facts, Paragraph, Quotes
from opsanalytics.improvement.trackers.errors import TrackerError
from opsanalytics.improvement.trackers.evidence import Draft, issue_key
from opsanalytics.improvement.trackers.outbox import read_lines
from opsanalytics.improvement.trackers.settings import AnyTracker, TrackerSettings
from opsanalytics.improvement.trackers.sync import Step, plan, sync
from opsanalytics.lake.paths import Home
from opsanalytics.sources.limiter import Limit
from opsanalytics_tests.simulators.trackers import FakeGitHub, FakeJira, FakeLinear, FakeTracker, served

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ENVIRON = {
    "GITHUB_TOKEN": "gh-secret",
    "JIRA_EMAIL": "ann@example.com",
    "JIRA_API_TOKEN": "jira-secret",
    "LINEAR_API_KEY": "linear-secret",
}
KINDS: dict[str, tuple[type[FakeTracker], dict[str, Any]]] = {
    "github": (FakeGitHub, {"repository": "acme/shop"}),
    "jira": (FakeJira, {"project_key": "WEB", "index_lag_seconds": 0}),
    "linear": (FakeLinear, {"team_id": "11111111-1111-4111-8111-111111111111"}),
}
A, B = "PP-aaaaaaaa", "PP-bbbbbbbb"
CREATE = {"github": "POST .*/issues ", "jira": "POST .*/issue ", "linear": "issueCreate"}
Decisions = list[tuple[str, str, Mapping[str, Any]]]


def parsed(kind: str, url: str, **changes: Any) -> TrackerSettings:
    given_ = {
        "name": "team",
        "kind": kind,
        "base_url": url,
        "backoff_seconds": 0,
        **KINDS[kind][1],
        **changes,
    }
    found: TrackerSettings = TypeAdapter(AnyTracker).validate_python(given_)
    return found


@dataclass
class World:
    """A tracker on this machine, and the home of what is known of it."""

    kind: str
    fake: FakeTracker
    home: Home
    settings: TrackerSettings
    decisions: Decisions
    refuse: bool = False

    def draft(self, item: str = A, text: str = "10 conversions a week") -> Draft:
        key = issue_key("Shop", self.settings.name, self.settings.project, item)
        return Draft(item, key, f"Error at {item}", (Paragraph(text), Facts((("Cost", text),))))

    def decide(self, item: str, action: str, details: Mapping[str, Any]) -> bool:
        if self.refuse:
            raise DecisionError(f"{item} is new: {action} does not follow")
        self.decisions.append((item, action, details))
        return True

    def sync(self, *drafts: Draft, now: datetime = NOW) -> list[Step]:
        return sync(
            self.home,
            self.settings,
            connect(self.settings, self.home, ENVIRON, sleep=lambda _: None),
            lambda: drafts,
            self.decide,
            now=now,
            zone=ZoneInfo("Europe/Berlin"),
        )

    def text(self, number: int = 1) -> str:
        issue = self.fake.issues[number - 1]
        return str(
            issue.get("body") or issue.get("description") or issue.get("fields", {}).get("description")
        )


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    kind = request.param
    with served(KINDS[kind][0]()) as fake:
        chosen = parsed(kind, fake.url)
        monkeypatch.setattr(type(chosen), "limits", ())
        monkeypatch.setattr(type(chosen), "read_limits", ())
        yield World(kind, fake, Home(tmp_path / "data"), chosen, [])


def what(steps: list[Step]) -> list[str]:
    return [step.what for step in steps]


def test_an_issue_is_made_once_and_left_alone_while_nothing_changes(world: World) -> None:
    assert what(world.sync(world.draft(), world.draft(B))) == ["create", "create"]
    writes = world.fake.writes
    assert what(world.sync(world.draft(), world.draft(B))) == ["same", "same"]
    assert (len(world.fake.issues), world.fake.writes) == (2, writes)
    assert "10 conversions a week" in world.text()


def test_new_evidence_takes_the_place_of_the_old_one_and_no_other_text(world: World) -> None:
    world.sync(world.draft())
    issue = world.fake.issues[0]
    if world.kind == "jira":
        mine = {"type": "paragraph", "content": [{"type": "text", "text": "Do not touch this."}]}
        issue["fields"]["description"]["content"].insert(0, mine)
    else:
        name = "body" if world.kind == "github" else "description"
        issue[name] = f"Do not touch this.\n\n{issue[name]}\n\nNor this."
    assert what(world.sync(world.draft(text="12 conversions a week"))) == ["update"]
    text = world.text()
    assert "12 conversions" in text
    assert "10 conversions" not in text
    assert "Do not touch this." in text
    assert ("Nor this." in text) == (world.kind != "jira")


def test_a_title_that_people_changed_stays(world: World) -> None:
    world.sync(world.draft())
    issue = world.fake.issues[0]
    place, name = (issue["fields"], "summary") if world.kind == "jira" else (issue, "title")
    place[name] = "Better words"
    world.sync(world.draft(text="other"))
    assert place[name] == "Better words"


@pytest.mark.parametrize("fault", ["lost", 500, 502])
def test_an_answer_that_is_lost_makes_no_second_issue(world: World, fault: Any) -> None:
    world.fake.faults.append((CREATE[world.kind], fault))
    first = world.sync(world.draft())
    made = len(world.fake.issues)
    assert made == (1 if fault == "lost" else 0)
    assert what(first) == (["found"] if made else ["waiting"])
    # Jira would not be sure before its search has had time to hear of it.
    world.sync(world.draft(), now=NOW + timedelta(hours=1))
    assert len(world.fake.issues) == 1
    assert [line.standing for line in read_lines(world.home)] == ["linked"]


def test_an_issue_that_the_search_does_not_know_yet_is_waited_for(world: World) -> None:
    world.fake.faults.append((CREATE[world.kind], "lost"))
    world.fake.hidden = 2
    first = world.sync(world.draft())
    second = world.sync(world.draft(), now=NOW + timedelta(minutes=1))
    third = world.sync(world.draft(), now=NOW + timedelta(minutes=2))
    assert len(world.fake.issues) == 1
    expected = (
        [["waiting"], ["waiting"], ["found"]] if world.kind == "jira" else [["found"], ["same"], ["same"]]
    )
    assert [what(first), what(second), what(third)] == expected


def test_a_process_that_dies_before_it_hears_makes_no_second_issue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = connect(world.settings, world.home, ENVIRON)
    real = tracker.create

    def killed(draft: Draft) -> Any:
        real(draft)
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker, "create", killed)
    with pytest.raises(KeyboardInterrupt):
        sync(
            world.home, world.settings, tracker, lambda: [world.draft()], world.decide,
            now=NOW, zone=ZoneInfo("UTC"),
        )  # fmt: skip
    assert [line.standing for line in read_lines(world.home)] == ["pending"]
    assert what(plan(world.settings, read_lines(world.home), [world.draft()])) == ["waiting"]
    assert what(world.sync(world.draft())) == ["found"]
    assert len(world.fake.issues) == 1


def test_asked_too_often_is_waited_for(world: World) -> None:
    world.fake.faults += [(CREATE[world.kind], "limited")] * 2
    assert what(world.sync(world.draft())) == ["create"]
    assert len(world.fake.issues) == 1


def test_a_tracker_that_never_has_time_is_told(world: World) -> None:
    world.fake.faults += [(CREATE[world.kind], "limited")] * 10
    steps = world.sync(world.draft())
    assert what(steps) == ["problem"]
    assert "try again later" in steps[0].detail
    world.fake.faults.clear()
    assert what(world.sync(world.draft())) == ["create"]
    assert len(world.fake.issues) == 1


def test_what_people_do_in_the_tracker_is_decided_here_once(world: World) -> None:
    world.sync(world.draft())
    close(world, "2026-03-05T23:30:00Z")
    # Half past eleven in the evening, UTC, is the next day in Berlin.
    assert what(world.sync(world.draft())) == ["decide", "same"]
    item, action, details = world.decisions.pop()
    assert (item, action, details["on"]) == (A, "ship", "2026-03-06")
    assert what(world.sync(world.draft())) == ["same"]
    assert world.decisions == []


def test_what_is_dropped_will_not_be_fixed(world: World) -> None:
    world.sync(world.draft())
    close(world, "2026-03-05T12:00:00Z", dropped=True)
    world.sync(world.draft())
    assert [action for _, action, _ in world.decisions] == ["wont_fix"]


def test_a_decision_that_does_not_follow_is_told_and_not_repeated(world: World) -> None:
    world.sync(world.draft())
    close(world, "2026-03-05T12:00:00Z")
    world.refuse = True
    steps = world.sync(world.draft())
    assert what(steps) == ["problem", "same"]
    assert "does not follow" in steps[0].detail
    assert what(world.sync(world.draft())) == ["same"]


def test_an_issue_that_was_deleted_is_told_once_and_not_made_again(world: World) -> None:
    world.sync(world.draft())
    world.fake.issues.clear()
    assert what(world.sync(world.draft())) == ["problem", "same"]
    assert what(world.sync(world.draft())) == ["same"]
    assert world.fake.issues == []


def test_one_refused_issue_stops_no_other(world: World) -> None:
    world.fake.faults.append((CREATE[world.kind], 422))
    steps = world.sync(world.draft(), world.draft(B))
    assert what(steps) == ["problem", "create"]
    assert "422" in steps[0].detail
    # After the cause is mended it is made.
    assert what(world.sync(world.draft(), world.draft(B))) == ["create", "same"]


def test_a_dry_run_asks_nobody(world: World) -> None:
    assert what(plan(world.settings, read_lines(world.home), [world.draft()])) == ["create"]
    world.sync(world.draft())
    asked = len(world.fake.requests)
    lines = read_lines(world.home)
    assert what(plan(world.settings, lines, [world.draft()])) == ["same"]
    assert what(plan(world.settings, lines, [world.draft(text="other")])) == ["update"]
    assert len(world.fake.requests) == asked


def test_secrets_are_in_no_message(world: World) -> None:
    world.fake.faults.append((".", 401))
    said = repr(world.sync(world.draft())) + repr(read_lines(world.home))
    assert "401" in said
    assert not re.search("gh-secret|jira-secret|linear-secret", said)


def test_a_credential_that_is_not_set_is_named(world: World) -> None:
    with pytest.raises(TrackerError, match=r"tracker team: the environment variable \w+ .* is not set"):
        connect(world.settings, world.home, {})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "lost", "dead", 500, "limited", 403]), st.integers(1, 4)), max_size=8
    )
)
def test_whatever_gets_lost_each_item_has_one_issue_in_the_end(
    world: World, tmp_path_factory: pytest.TempPathFactory, schedule: list[tuple[Any, int]]
) -> None:
    world.home = Home(tmp_path_factory.mktemp("home"))
    world.fake.issues.clear()
    drafts = [world.draft(), world.draft(B)]
    now = NOW
    for fault, times in schedule:
        world.fake.faults[:] = [(".", fault)] * times if fault else []
        now += timedelta(minutes=7)
        try:
            world.sync(*drafts, now=now)
        except TrackerError:
            continue
    world.fake.faults.clear()
    for _ in range(3):
        now += timedelta(hours=1)
        steps = world.sync(*drafts, now=now)
    assert what(steps) == ["same", "same"]
    assert len(world.fake.issues) == 2


def close(world: World, on: str, *, dropped: bool = False) -> None:
    if isinstance(world.fake, FakeGitHub):
        world.fake.close(1, on, "not_planned" if dropped else "completed")
    elif isinstance(world.fake, FakeJira):
        world.fake.close(1, on.replace("Z", ".000+0000"), "Won't Do" if dropped else "Done")
    else:
        kind, name = ("canceled", "canceledAt") if dropped else ("completed", "completedAt")
        world.fake.issues[0] |= {"state": {"type": kind}, name: on.replace("Z", ".123Z")}


def test_started_and_opened_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeJira()) as fake:
        chosen = parsed("jira", fake.url)
        monkeypatch.setattr(type(chosen), "limits", ())
        world = World("jira", fake, Home(tmp_path), chosen, [])
        world.sync(world.draft())
        assert isinstance(fake, FakeJira)
        fake.start(1)
        world.sync(world.draft())
        close(world, "2026-03-05T12:00:00Z")
        world.sync(world.draft())
        fake.start(1)
        world.sync(world.draft())
        assert [action for _, action, _ in world.decisions] == ["start", "ship", "reopen"]


def test_labels_that_github_drops_are_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeGitHub(drop_labels=True)) as fake:
        chosen = parsed("github", fake.url)
        monkeypatch.setattr(type(chosen), "limits", ())
        world = World("github", fake, Home(tmp_path), chosen, [])
        assert "no push access" in world.sync(world.draft())[0].detail


def test_credentials_are_sent_as_each_tracker_wants_them(world: World) -> None:
    world.sync(world.draft())
    sent = world.fake.headers[0]["authorization"]
    expected = {"github": "Bearer gh-secret", "jira": "Basic ", "linear": "linear-secret"}[world.kind]
    assert sent.startswith(expected)


def test_writes_are_spaced(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeGitHub()) as fake:
        chosen = parsed("github", fake.url)
        monkeypatch.setattr(type(chosen), "limits", (Limit(1, 0.2),))
        world = World("github", fake, Home(tmp_path), chosen, [])
        world.sync(*(world.draft(f"PP-{at:08x}") for at in range(3)))
        made = [at for (method, _, _), at in zip(fake.requests, fake.times, strict=True) if method == "POST"]
        assert all(later - before >= 0.2 for before, later in itertools.pairwise(made))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("github", {"repository": "acme"}, "repository"),
        ("github", {"base_url": "http://example.com"}, "in the clear"),
        ("jira", {"site": "acme"}, "one of them"),
        ("jira", {"labels": ["two words"]}, "has a space"),
        ("linear", {"team_id": "ENG"}, "not the UUID of a team"),
    ],
)
def test_wrong_settings_are_named(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(kind, "http://127.0.0.1:1", **changes)


def test_quotes_are_part_of_what_changes() -> None:
    one = Draft(A, "k", "t", (Quotes(("a",)),))
    assert one.digest != Draft(A, "k", "t", (Paragraph("a"),)).digest
