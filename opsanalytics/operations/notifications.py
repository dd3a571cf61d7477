"""Telling people about a failed run: always in a file, and by webhook where one is configured."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

import requests
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from opsanalytics.lake.paths import Home

TIMEOUT_SECONDS = 10
FIRST_PAUSE_SECONDS = 1.0


class NotificationError(RuntimeError):
    """The webhook did not take the message. Names no URL: it is a secret."""


@dataclass(frozen=True)
class Notification:
    """One message; `key` tells repeated deliveries of the same message apart from new ones."""

    key: str
    title: str
    text: str
    at: datetime


def record(home: Home, notification: Notification) -> None:
    """Append the message to `notifications.jsonl` in the home folder."""
    home.root.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(notification), default=str, ensure_ascii=False)
    with (home.root / "notifications.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def post(webhook: str, notification: Notification) -> None:
    """Send the message to an incoming webhook that takes `{"text": ...}`, as Slack's does.

    Server errors, 429 and a broken network are tried three times; a message may then arrive twice,
    because incoming webhooks know no idempotency key.

    Raises:
        NotificationError: not delivered.
    """
    body = {"text": f"*{escape_slack(notification.title)}*\n{escape_slack(notification.text)}"}
    try:
        for attempt in Retrying(
            stop=stop_after_attempt(3),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE_SECONDS, max=10, jitter=FIRST_PAUSE_SECONDS),
            retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout, _Temporary)),
        ):
            with attempt:
                answer = requests.post(webhook, json=body, timeout=TIMEOUT_SECONDS)
                if answer.status_code == 429 or answer.status_code >= 500:
                    raise _Temporary(answer.status_code)
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise NotificationError(
            f"the webhook did not answer: {type(cause).__name__} {_status(cause)}"
        ) from None
    except requests.RequestException as error:
        raise NotificationError(f"the webhook cannot be used: {type(error).__name__}") from None
    if answer.status_code >= 400:
        raise NotificationError(
            f"the webhook refused the message with status {answer.status_code}; "
            "check the URL in the variable that [notify] webhook_env names"
        )


def escape_slack(text: str) -> str:
    """Make text harmless in Slack's mrkdwn: no links, no mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Temporary(Exception):  # noqa: N818  an answer worth another try
    pass


def _status(cause: BaseException | None) -> str:
    return str(cause) if isinstance(cause, _Temporary) else ""
