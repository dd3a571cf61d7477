"""Google Analytics 4: the files of its BigQuery export.

`SETTINGS` is what configuration reads; which file holds which day is in `source`, reading records in
`rows`.
"""

from opsanalytics.sources.ga4.source import Ga4Settings

SETTINGS = Ga4Settings

__all__ = ["SETTINGS", "Ga4Settings"]
