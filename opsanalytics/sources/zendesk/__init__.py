"""Zendesk Support tickets: incremental cursor export, and JSON dumps of tickets."""

from opsanalytics.sources.zendesk.source import ZendeskSettings

SETTINGS = ZendeskSettings

__all__ = ["SETTINGS", "ZendeskSettings"]
