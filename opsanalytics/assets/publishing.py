"""The published DuckDB file."""

import dagster as dg

from opsanalytics.analysis.catalogue import published_tables
from opsanalytics.assets import keys
from opsanalytics.assets.failures import clear_failures
from opsanalytics.config import Settings
from opsanalytics.lake.publish import publish

OPEN = "```python\nimport duckdb\nduckdb.connect({path!r}, read_only=True)\n```"


def database(settings: Settings, deps: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """Builds `opsanalytics.duckdb` anew from the marts and replaces it."""

    @dg.asset(
        key=keys.DATABASE,
        deps=deps,
        group_name=keys.REPORTING,
        kinds={"duckdb"},
        owners=list(settings.project.owners),
        description=(
            f"`{settings.home.published}`: all marts as tables, the lake as view `events`, a comment on "
            "every table and column. Nobody writes to it: each run builds a new file and replaces the old "
            "one, so open it read-only for as long as you like and open it again for newer data."
        ),
    )
    def opsanalytics_duckdb() -> dg.MaterializeResult:
        with clear_failures():
            report = publish(settings.home, published_tables(settings.home))
        rows = "\n".join(f"| {name} | {count:,} |" for name, count in sorted(report.rows.items()))
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(settings.home.published),
                "bytes": report.bytes,
                "tables": dg.MetadataValue.md("| table | rows |\n| --- | ---: |\n" + rows),
                "open": dg.MetadataValue.md(OPEN.format(path=str(settings.home.published))),
            }
        )

    return opsanalytics_duckdb
