"""Amplitude: the raw event export.

`SETTINGS` is what configuration reads; the contract with the vendor is in `source`, reading its
lines in `rows`.
"""

from opsanalytics.sources.amplitude.source import AmplitudeSettings

SETTINGS = AmplitudeSettings

__all__ = ["SETTINGS", "AmplitudeSettings"]
