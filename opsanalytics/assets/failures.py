"""Errors of the domain as Dagster failures: one clear message, retried only if that can help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from opsanalytics.lake.locks import LockHeldError
from opsanalytics.sources.errors import CredentialError, InboxError, RequestError, SourceError

NEEDS_A_PERSON = (CredentialError, RequestError, InboxError)


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turn a SourceError or a held lock into a failed step whose message is the error's own.

    A wrong password, a refused request or an unreadable file is not retried: it needs a person.
    """
    try:
        yield
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=not isinstance(error, NEEDS_A_PERSON)) from error
    except LockHeldError as error:
        raise dg.Failure(str(error), allow_retries=True) from error


def reason_of(event: dg.DagsterEvent) -> str:
    """Why a step failed, in the words of what failed: of a Failure its description, else the first cause."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description.strip()
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.message if error is not None else event.message or "no message").strip()
