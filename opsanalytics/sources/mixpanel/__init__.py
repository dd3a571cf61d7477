"""Mixpanel: the raw event export.

`SETTINGS` is what configuration reads; the contract with the vendor is in `source`, reading its
lines in `rows`.
"""

from opsanalytics.sources.mixpanel.source import MixpanelSettings

SETTINGS = MixpanelSettings

__all__ = ["SETTINGS", "MixpanelSettings"]
