"""What runs when, and who is told when it fails."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from opsanalytics.assets.automation import failure_sensor, inbox_sensor, schedules
from opsanalytics.config import Settings, load_settings

CONFIG = """
[project]
name = "Shop"
timezone = "Europe/Berlin"
start = 2026-09-01
{extra}

[[sources]]
kind = "feedback_csv"
name = "survey"
columns = {{ created_at = "created_at", text = "text" }}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return configured(tmp_path)


def configured(folder: Path, extra: str = "") -> Settings:
    path = folder / "opsanalytics.toml"
    path.write_text(CONFIG.format(extra=extra))
    return load_settings(path)


def request(settings: Settings, name: str, at: datetime) -> Any:
    """What the schedule `name` asks for at a tick."""
    (schedule,) = [each for each in schedules(settings) if each.name == name]
    with dg.build_schedule_context(scheduled_execution_time=at) as context:
        return schedule(context)


def tags(answer: dg.RunRequest) -> tuple[str, str]:
    return (
        answer.tags["dagster/asset_partition_range_start"],
        answer.tags["dagster/asset_partition_range_end"],
    )


def test_the_daily_run_covers_yesterday_and_the_late_days_before_it(settings: Settings) -> None:
    answer = request(settings, "daily", datetime(2026, 11, 23, 5, tzinfo=UTC))
    assert tags(answer) == ("2026-11-17", "2026-11-22")


def test_the_daily_run_does_not_reach_before_the_first_day(settings: Settings) -> None:
    answer = request(settings, "daily", datetime(2026, 9, 3, 4, tzinfo=UTC))
    assert tags(answer) == ("2026-09-01", "2026-09-02")


def test_yesterday_is_a_day_of_utc_whatever_the_zone(settings: Settings) -> None:
    # 00:30 on the 23rd in Berlin is still the 22nd in UTC, so the last whole day is the 21st.
    answer = request(settings, "daily", datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    assert tags(answer)[1] == "2026-11-21"


def test_a_product_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    answer = request(configured(tmp_path, "end = 2026-10-01"), "daily", datetime(2026, 11, 23, 5, tzinfo=UTC))
    assert isinstance(answer, dg.SkipReason)
    assert "2026-10-01" in str(answer.skip_message)


def test_months_are_named_by_their_first_day(tmp_path: Path) -> None:
    settings = configured(tmp_path, 'partitions = "month"')
    answer = request(settings, "daily", datetime(2026, 11, 3, 5, tzinfo=UTC))
    assert tags(answer) == ("2026-10-01", "2026-11-01")


def test_the_intraday_run_covers_today(settings: Settings) -> None:
    answer = request(settings, "intraday", datetime(2026, 11, 23, 13, 30, tzinfo=UTC))
    assert tags(answer) == ("2026-11-23", "2026-11-23")


def test_the_report_is_of_the_last_whole_week_of_the_zone(settings: Settings) -> None:
    # Monday 07:00 in Berlin.
    answer = request(settings, "report_weekly", datetime(2026, 11, 23, 6, tzinfo=UTC))
    assert answer.partition_key == "2026-11-16"


def test_the_inbox_starts_one_run_for_each_state_of_its_files(settings: Settings) -> None:
    sensor = inbox_sensor(settings)
    inbox = settings.home.inbox("survey")

    def tick(cursor: str | None) -> tuple[Any, str | None]:
        with dg.build_sensor_context(cursor=cursor) as context:
            return sensor(context), context.cursor

    answer, cursor = tick(None)
    assert isinstance(answer, dg.SkipReason)
    inbox.mkdir(parents=True)
    (inbox / "a.csv").write_text("created_at,text\n2026-09-02,hello\n")
    first, cursor = tick(cursor)
    assert isinstance(first, dg.RunRequest)
    again, cursor = tick(cursor)
    assert isinstance(again, dg.SkipReason)
    (inbox / "b.csv").write_text("created_at,text\n2026-09-03,hello\n")
    second, _ = tick(cursor)
    assert isinstance(second, dg.RunRequest)
    assert second.run_key != first.run_key


def test_the_inbox_looks_at_what_a_run_would_take(settings: Settings) -> None:
    sensor = inbox_sensor(settings)
    inbox = settings.home.inbox("survey")

    def asked(cursor: str | None) -> tuple[bool, str | None]:
        with dg.build_sensor_context(cursor=cursor) as context:
            return isinstance(sensor(context), dg.RunRequest), context.cursor

    (inbox / ".hidden").mkdir(parents=True)
    for name in (".~lock.a.csv#", "~$a.xlsx", "a.csv.crdownload", ".hidden/a.csv"):
        (inbox / name).write_text("half")
    assert asked(None) == (False, None)
    (inbox / "2026").mkdir()
    (inbox / "2026" / "a.csv").write_text("created_at,text\n2026-09-02,hello\n")
    first, cursor = asked(None)
    (inbox / "nowhere.csv").symlink_to(inbox / "gone.csv")
    second, cursor = asked(cursor)
    (inbox / "2026" / "a.csv").chmod(0o600)
    third, cursor = asked(cursor)
    assert (first, second, third, asked(cursor)[0]) == (True, True, True, False)


def test_a_failed_run_is_recorded_with_the_steps_own_message(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPSANALYTICS_WEBHOOK", raising=False)

    @dg.op
    def landing() -> None:
        raise dg.Failure("source web: 401. Check MIXPANEL_SECRET.", allow_retries=False)

    @dg.job
    def daily() -> None:
        landing()

    with dg.DagsterInstance.ephemeral() as instance:
        result = daily.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        failure_sensor(settings)(context)
    (line,) = (settings.home.root / "notifications.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told["title"] == "Shop: run of daily failed"
    assert "source web: 401. Check MIXPANEL_SECRET." in told["text"]
    assert "Traceback" not in told["text"]
    assert os.linesep.join(["steps: landing"]) in told["text"]
