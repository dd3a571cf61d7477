"""What the lake holds of sources that are no longer configured is taken out of it.

The landing area keeps their bytes: with the source back in the configuration, the next run cleans
them again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from opsanalytics.lake.locks import exclusive
from opsanalytics.lake.paths import Home

ANY = "*"


@dataclass(frozen=True)
class Retired:
    """A source that was taken out of the lake."""

    source: str
    days: int
    """Days of events (or files of feedback) that no longer count."""

    def __str__(self) -> str:
        return (
            f"source {self.source} is not in the configuration any more: {self.days} files of it were taken "
            f"out of the lake. Its landed bytes are kept; put the source back and run again to have it back."
        )


def retire(home: Home, configured: Iterable[str]) -> list[Retired]:
    """Remove the lake's files of every source but the `configured` ones. Running it again does nothing.

    Raises:
        LockHeldError: another process cleans such a source for more than ten minutes.
    """
    kept = set(configured)
    found: dict[str, list[Path]] = {}
    day_areas = (home.events, home.duplicates_file(ANY, date.min).parent.parent)
    for area in day_areas:
        for path in sorted(area.glob("day=*/*.parquet")):
            found.setdefault(path.stem, []).append(path)
        for path in sorted(area.glob("day=*/.*.parquet.*.tmp")):  # left by a killed process
            found.setdefault(path.name.split(".")[1], []).append(path)
    for path in (
        *sorted(home.profiles_file(ANY).parent.glob("*.parquet")),
        *sorted(home.feedback.glob("*.parquet")),
        *sorted(home.feedback_duplicates_file(ANY).parent.glob("*.parquet")),
    ):
        found.setdefault(path.stem, []).append(path)
    for area in (home.cleaned(ANY).parent, home.quarantine(ANY).parent):
        for folder in sorted(area.glob("*/")):
            found.setdefault(folder.name, []).extend(sorted(folder.iterdir()))
    retired = []
    for source in sorted(name for name in found if name.split(".")[0] not in kept):
        # in this order a kill leaves nothing that counts as cleaned but is not there
        with exclusive(home, f"clean-{source}"):
            for path in sorted(found[source], key=lambda path: path.suffix != ".json"):
                path.unlink(missing_ok=True)
                remove_if_empty(path.parent)
        counted = sum(
            path.is_relative_to(home.events) or path.parent == home.feedback for path in found[source]
        )
        retired.append(Retired(source, counted))
    return retired


def remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
