"""Days and weeks as Dagster partitions, and back."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from opsanalytics.config import Settings
from opsanalytics.config.settings import Report


@dataclass(frozen=True)
class Days:
    """UTC days `first` to `last`, inclusive."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    def __len__(self) -> int:
        return (self.last - self.first).days + 1


def of_days(settings: Settings) -> dg.TimeWindowPartitionsDefinition:
    """Partitions of UTC days from `project.start` to `project.end` or today.

    One a day, or one a calendar month (`project.partitions`). The current one is a partition too, for
    the intraday job; it is complete only when it is over.
    """
    project = settings.project
    after = project.end + timedelta(days=1) if project.end else None
    if project.partitions == "month":
        return dg.MonthlyPartitionsDefinition(
            start_date=project.start.replace(day=1).isoformat(),
            end_date=_next_month(after - timedelta(days=1)).isoformat() if after else None,
            end_offset=0 if after else 1,
        )
    return dg.DailyPartitionsDefinition(
        start_date=project.start.isoformat(),
        end_date=after.isoformat() if after else None,
        end_offset=0 if after else 1,
    )


def key_of(settings: Settings, day: date) -> str:
    """Key of the partition that holds `day`."""
    return (day.replace(day=1) if settings.project.partitions == "month" else day).isoformat()


def weekly(settings: Settings) -> dg.WeeklyPartitionsDefinition:
    """One partition a week of the reporting zone, named by its first day."""
    project = settings.project
    sunday_first = (project.week_start_number + 1) % 7
    first = first_week(project.start, project.week_start_number)
    end = None
    if project.end is not None:
        end = first_week(project.end, project.week_start_number) + timedelta(days=7)
    return dg.WeeklyPartitionsDefinition(
        start_date=first.isoformat(),
        end_date=end.isoformat() if end else None,
        day_offset=sunday_first,
        timezone=project.timezone,
    )


def first_week(day: date, week_start: int) -> date:
    """First day of the week that holds `day`."""
    return day - timedelta(days=(day.weekday() - week_start) % 7)


def days_of(context: dg.AssetExecutionContext, settings: Settings) -> Days:
    """The days of the run's partition key or range that the configuration covers."""
    window, project = context.partition_time_window, settings.project
    last = (window.end - timedelta(days=1)).date()
    return Days(max(window.start.date(), project.start), min(last, project.end or last))


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def weeks_to_report(settings: Settings, report: Report, complete: datetime) -> list[date]:
    """First days of the last complete weeks, as many as `report.history`, from the first week on.

    `complete`: up to when events are landed, UTC.
    """
    project = settings.project
    current = first_week(complete.astimezone(project.zone).date(), project.week_start_number)
    earliest = first_week(project.start, project.week_start_number)
    weeks = [current - timedelta(weeks=back) for back in range(report.history, 0, -1)]
    return [week for week in weeks if week >= earliest]
