"""User profiles of the sources that ask for them."""

import os
from datetime import UTC, datetime

import dagster as dg

from opsanalytics.assets import keys
from opsanalytics.assets.failures import clear_failures
from opsanalytics.assets.ingestion import RETRY
from opsanalytics.assets.launch import AGAIN
from opsanalytics.cleaning.profiles import clean_profiles
from opsanalytics.config import Settings
from opsanalytics.sources.mixpanel import MixpanelSettings
from opsanalytics.sources.mixpanel.profiles import fetch_profiles

PROFILES = dg.AssetKey("profiles")


def sources_with_profiles(settings: Settings) -> list[MixpanelSettings]:
    """Sources whose profiles are wanted."""
    return [
        source
        for source in settings.event_sources
        if isinstance(source, MixpanelSettings) and source.profiles
    ]


def profiles(settings: Settings) -> list[dg.AssetsDefinition]:
    """The asset of the user profiles; none if no source wants them."""
    sources = sources_with_profiles(settings)
    if not sources:
        return []

    @dg.asset(
        key=PROFILES,
        group_name=keys.EVENTS_GROUP,
        kinds={"json", "parquet"},
        owners=list(settings.project.owners),
        retry_policy=RETRY,
        description=(
            "User profiles: what the vendors know of users themselves, fetched once a day. The newest fetch "
            "says who there is; a property that a profile no longer has keeps its last value."
        ),
    )
    def profiles(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        metadata: dict[str, int] = {}
        total = 0
        with clear_failures():
            for source in sources:
                fetched = fetch_profiles(
                    source,
                    settings.home,
                    environ=os.environ,
                    now=datetime.now(UTC),
                    progress=context.log.info,
                    force=AGAIN in context.run.tags,
                )
                rules = settings.privacy_rules(os.environ).get(source.name)
                cleaned = clean_profiles(source, settings.home, privacy=rules)
                total += cleaned.profiles
                metadata[f"{source.name}: requests"] = fetched.requests
                metadata[f"{source.name}: names of properties"] = cleaned.properties
                metadata[f"{source.name}: quarantined"] = cleaned.quarantined
        return dg.MaterializeResult(metadata={"dagster/row_count": total, **metadata})

    return [profiles]
