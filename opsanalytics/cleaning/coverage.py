"""Which days delivered files cover whose names do not tell it: only their events can."""

from datetime import timedelta

from opsanalytics.cleaning.parsing import read_summary
from opsanalytics.lake.manifests import deliveries
from opsanalytics.lake.paths import Home
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.windows import Window, merged, midnight


def windows_of_undated(settings: EventSourceSettings, home: Home) -> list[Window]:
    """The span, vendor's clock, from the first to the last event of deliveries without a day of their own.

    Days between are taken as covered: there is nothing that more could be asked of. The last day
    counts as whole if the file was last written after its end, else up to when it was.
    """
    windows = []
    for manifest in deliveries(home, settings.name):
        if manifest.covers_from is not None or manifest.covers_until is None:
            continue
        summary = read_summary(home, settings.name, manifest.delivery)
        if summary is None or not summary.rows:
            continue
        start = midnight(min(summary.rows))
        end = min(midnight(max(summary.rows)) + timedelta(days=1), settings.to_wall(manifest.covers_until))
        if end > start:
            windows.append(Window(start, end))
    if not windows:
        return []
    return merged([Window(min(each.start for each in windows), max(each.end for each in windows))])
