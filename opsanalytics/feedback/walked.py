"""How far the messages were gone through before, so that only what is new is gone through again.

The state of the registry at the end of a week depends on the messages up to then, on how themes are found
and on the program, and on nothing else. It is kept under a hash of all that: pages of earlier weeks and later
runs go on from the newest week whose hash is known. Files can be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from opsanalytics.lake.files import replacing

if TYPE_CHECKING:
    # scikit-learn takes a second to import
    from opsanalytics.feedback.clusters import Labels, Vectors

WEEKS_KEPT = 8
"""The states of so many weeks before the last one are kept of one walk: reports look back four."""
FILES_KEPT = 40


class Event(NamedTuple):
    """Something that happened to a theme."""

    at: datetime
    """End of the week, UTC."""
    what: Literal["new", "split", "merged"]
    from_id: str | None
    """The theme that was split or that ended; None: new."""
    to_id: str
    messages: int
    """Messages (texts, by author) that it was about."""


@dataclass
class Theme:
    """A theme from the week it was found."""

    theme_id: str
    label: str
    since: datetime
    ended: bool = False
    apart: bool = False
    """Whether another encoder than it was found with takes it for a part of another theme."""


@dataclass(frozen=True)
class State:
    """The registry at the end of a week."""

    theme: "Labels"
    similarity: "Vectors"
    themes: tuple[Theme, ...]
    history: tuple[Event, ...]
    founders: frozenset[str]
    fitted_to: int
    space_of: int
    looked_at: int


@dataclass(frozen=True)
class Walked:
    """States in a folder, of one version of the program."""

    folder: Path
    version: str

    def read(self, key: str) -> State | None:
        """The state that was kept under `key`, if there is one."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as kept:
                told: dict[str, Any] = json.loads(str(kept["told"]))
                theme, similarity = kept["theme"], kept["similarity"]
            os.utime(path)
        except FileNotFoundError:
            return None
        return State(
            theme,
            similarity,
            tuple(Theme(**{**each, "since": _moment(each["since"])}) for each in told["themes"]),
            tuple(Event(_moment(at), *rest) for at, *rest in told["history"]),
            frozenset(told["founders"]),
            told["fitted_to"],
            told["space_of"],
            told["looked_at"],
        )

    def keep(self, key: str, state: State) -> None:
        """Keep a state, and no more than `FILES_KEPT` of those used last."""
        told = {
            "themes": [{**asdict(each), "since": each.since.isoformat()} for each in state.themes],
            "history": [(at.isoformat(), *rest) for at, *rest in state.history],
            "founders": sorted(state.founders),
            "fitted_to": state.fitted_to,
            "space_of": state.space_of,
            "looked_at": state.looked_at,
        }
        with replacing(self._path(key)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, theme=state.theme, similarity=state.similarity, told=np.array(json.dumps(told))
            )

    def forget_old(self) -> None:
        """Remove what was not used for longest."""
        for path in sorted(self.folder.glob("*.npz"), key=_used)[:-FILES_KEPT]:
            path.unlink(missing_ok=True)

    def keys(self, rules: str, weeks: Iterable[Iterable[bytes]]) -> list[str]:
        """A key for the end of each of `weeks`, of all that came before it too.

        Args:
            rules: how themes are found.
            weeks: what was said in each week.
        """
        digest = hashlib.sha256(f"{self.version}\n{rules}\n".encode())
        found = []
        for week in weeks:
            for part in week:
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
            found.append(digest.hexdigest()[:32])
        return found

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process removed it
        return 0.0
