"""What a tracker can do, and an issue as a tracker knows it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from opsanalytics.improvement.trackers.evidence import Draft

RemoteStatus = Literal["open", "started", "done", "dropped"]
"""Not begun, begun, closed as done, closed without being done."""


@dataclass(frozen=True)
class Issue:
    """An issue as read from a tracker."""

    remote_id: str
    """How the tracker's interface calls it."""
    name: str
    """How people call it: #12, WEB-7."""
    url: str
    status: RemoteStatus
    closed_at: datetime | None = None
    """When it was closed, UTC."""
    warning: str | None = None
    """What the tracker did not do as asked."""


class Tracker(ABC):
    """A tracker, reached with the credentials of its settings."""

    @abstractmethod
    def create(self, draft: Draft) -> Issue:
        """Make the issue; one request, never sent twice.

        Raises:
            UnclearError: it may or may not have been made: ask `find`.
            TrackerError, UnavailableTrackerError: it was not made.
        """

    @abstractmethod
    def find(self, draft: Draft, since: datetime) -> Issue | None:
        """The issue of the draft's key, if there is one; its creation was tried first at `since`.

        Raises:
            TrackerError, UnavailableTrackerError: it cannot be told.
        """

    @abstractmethod
    def absent(self, since: datetime, now: datetime) -> bool:
        """Whether an issue that `find` does not find cannot exist: nobody tried to make it, or not lately."""

    @abstractmethod
    def read(self, remote_ids: Sequence[str]) -> dict[str, Issue]:
        """Issues by id; those that are gone are not in it.

        Raises:
            TrackerError, UnavailableTrackerError: they cannot be read.
        """

    @abstractmethod
    def update(self, remote_id: str, draft: Draft) -> None:
        """Put the draft's evidence in place of the evidence in the issue; what people wrote around it stays.

        May be repeated without harm.

        Raises:
            IssueGoneError, TrackerError, UnavailableTrackerError: it was not changed, or may have been.
        """


def between_marks(body: str, begin: str, end: str, text: str) -> str:
    """`body` with `text` between two marks; at its end if it has no such marks."""
    managed = f"{begin}\n{text}\n{end}"
    start = body.find(begin)
    if start < 0:
        return f"{body.rstrip()}\n\n{managed}".lstrip()
    stop = body.find(end, start)
    return body[:start] + managed + (body[stop + len(end) :] if stop >= 0 else "")
