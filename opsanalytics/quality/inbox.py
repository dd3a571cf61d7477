"""The record of files that lay in an inbox and could not be used."""

from datetime import datetime

from opsanalytics.cleaning.redaction import redact
from opsanalytics.lake.paths import Home
from opsanalytics.quality.results import CheckOutcome, record
from opsanalytics.sources.collecting import CollectReport
from opsanalytics.sources.values import digest

FILES_USABLE = "files_usable"
INBOX = "inbox"
SHOWN = 5


def record_inbox(home: Home, report: CollectReport, *, checked_at: datetime) -> None:
    """Keep in `quality_results` whether every file of a source could be used, and the messages if not.

    Table `inbox`, the source as partition; a warning, because files that can be used are not held up.

    Raises:
        LockHeldError: another process held the record for ten minutes.
    """
    outcome = CheckOutcome(
        table=INBOX,
        check=FILES_USABLE,
        partition=report.source,
        passed=not report.refused,
        severity="warning",
        description="Every file in the inbox can be used; others stay there and are tried again.",
        checked=len(report.landed) + len(report.known) + len(report.refused),
        unexpected=len(report.refused),
        examples=tuple(redact(message) for message in report.refused[:SHOWN]),
    )
    # not which files were new: the next run, which knows them all, must find the same
    version = digest(str(outcome.checked), *report.refused)
    record(home, [outcome], producer=INBOX, checked_at=checked_at, data_version=version)
