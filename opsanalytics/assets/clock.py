"""Check of the vendors' clocks: a wrong zone in the configuration moves every event."""

import dagster as dg

from opsanalytics.assets import keys
from opsanalytics.config import Settings
from opsanalytics.quality.clock import CHECK, DESCRIPTION, clock_finding


def project_clock(settings: Settings) -> dg.AssetChecksDefinition:
    """Warns when the zone of a source does not agree with when its events were received."""

    @dg.asset_check(asset=keys.EVENTS, name=CHECK, description=DESCRIPTION)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        findings = [
            found
            for source in settings.event_sources
            if (found := clock_finding(settings.home, source)) is not None
        ]
        for finding in findings:
            context.log.warning(str(finding))
        return dg.AssetCheckResult(
            passed=not findings,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={finding.source: str(finding) for finding in findings},
        )

    return check
