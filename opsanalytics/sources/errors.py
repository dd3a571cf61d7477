"""What can go wrong at a source. Every message says who, which window, what came back and what to do."""


class SourceError(RuntimeError):
    """A source could not deliver. The message is complete for a reader who knows only their config."""


class CredentialError(SourceError):
    """A credential is missing, wrong, or not allowed to do this. Never retried."""


class RequestError(SourceError):
    """The vendor refuses this request as such (parameters, plan, region). Never retried."""


class ProjectChangedError(SourceError):
    """The landing area of a source holds days of another project than the configured one."""


class LimitError(SourceError):
    """The vendor's rate limit stayed exhausted for longer than we are told to wait."""


class UnavailableError(SourceError):
    """Server errors or a broken network, after all attempts."""


class IncompleteExportError(SourceError):
    """Every attempt at a window ended before its end, and it cannot be made smaller."""


class InboxError(SourceError):
    """A file in the inbox cannot be used as it is."""
