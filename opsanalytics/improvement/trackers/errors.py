"""What can go wrong at a tracker. Every message says which tracker, what it answered and what to do."""


class TrackerError(RuntimeError):
    """The tracker cannot be used, or refused a request. Sending the same again would not help."""


class UnclearError(TrackerError):
    """Nobody knows whether the request was carried out: look before sending it again."""


class UnavailableTrackerError(TrackerError):
    """The tracker did not answer, or kept saying that it is asked too often; nothing was changed."""


class IssueGoneError(TrackerError):
    """The issue was deleted, or moved to where this token cannot see it."""
