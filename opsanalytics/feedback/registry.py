"""Themes as they came about: week by week, each known by its id from the week it was first seen.

The registry is not a file that runs add to: it is what comes out when the messages are gone through week by
week, so it is the same for the same messages whenever it is computed, and what it says of a week depends on
no later message. A message that is in a theme stays there unless the theme is split or merged, which is
recorded. Each week:

- Messages go to the known theme whose centre is nearest, if it is near enough.
- What is left is grouped by itself; a group that is large enough is a new theme.
- When texts have become `GROWTH` times as many, the space they lie in is fitted anew, all are grouped again,
  and the groups are matched to the known themes (`matching.match`): what has no match is new, a part of a
  theme (a split) or several themes that are one (a merger).
- Once, when `SETTLED` texts are known, and when another encoder comes into force, messages go where the new
  groups put them: themes found in a handful of messages, or by other means, are too rough to keep for ever.
  Ids and names stay also then.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from opsanalytics.feedback.clusters import Labels, Vectors
from opsanalytics.feedback.communities import communities
from opsanalytics.feedback.labels import counted, label, ranked_phrases
from opsanalytics.feedback.matching import match
from opsanalytics.feedback.placing import chosen, place
from opsanalytics.feedback.sentences import Sentences
from opsanalytics.feedback.spaces import SentenceSpace, TextSpace, WordSpace
from opsanalytics.feedback.terms import Terms
from opsanalytics.feedback.walked import WEEKS_KEPT, Event, State, Theme, Walked

GROWTH = 1.5
SETTLED = 250
FITTED_TEXTS = 5_000
"""The space is fitted to at most so many texts."""
FAMILIAR = 0.6
"""The space is fitted anew also when it knows a smaller share of the words of new themes."""
WORTH_FITTING = 1.1
"""That is done when texts have become so many times as many, not each week."""
RESIDUE = 1_500
"""New themes are looked for in the newest so many texts without one."""


@dataclass(frozen=True)
class Said:
    """Distinct texts in order of their first message, and who said them when.

    `week` numbers the weeks of `ends` (their ends, or the moment up to which data is complete, UTC).
    """

    ids: list[str]
    words: list[list[str]]
    week: Labels
    ends: list[datetime]
    voice_text: Labels
    """For each author of a text: the row of the text."""
    voice_week: Labels
    """The week in which the author first said it."""
    titles: list[list[str]] | None = None
    """The words of the title of each text, none if it has none."""
    sentences: Sentences | None = None
    """Embeddings of the texts, if any week uses them."""
    by_sentences: tuple[bool, ...] = ()
    """Whether `sentences` are in force: before the first week, and at the end of each. Empty: never."""


class Limits(Protocol):
    """The part of `themes.ThemeSettings` that says how themes are found."""

    @property
    def min_messages(self) -> int: ...

    @property
    def max_distance(self) -> float: ...

    @property
    def min_similarity(self) -> float: ...

    @property
    def sample(self) -> int: ...

    @property
    def resolution(self) -> float: ...


@dataclass
class Registry:
    """Themes, the theme of each text (-1: none) and its similarity to the theme's centre, what happened."""

    themes: list[Theme] = field(default_factory=list)
    theme: Labels = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    similarity: Vectors = field(default_factory=lambda: np.empty(0))
    history: list[Event] = field(default_factory=list)


def theme_id(oldest: str) -> str:
    """Id of the theme that was found with `oldest` as its oldest message."""
    return "TH-" + hashlib.sha256(oldest.encode()).hexdigest()[:8]


def register(
    said: Said, limits: Limits, protected: Collection[str] = (), walked: Walked | None = None
) -> Registry:
    """Go through all weeks; themes whose ids are `protected` lose nothing to others.

    With `walked` from the newest week on whose state is kept there.
    """
    keys = walked.keys(_rules(limits, protected), _told(said)) if walked else []
    # More threads than one cost several times the CPU on matrices as small as these, and another number of
    # cores would give other last bits.
    with threadpool_limits(1):
        run = _Run(said, limits, frozenset(protected))
        first, state = 0, None
        for week in reversed(range(len(keys))):
            if walked and (state := walked.read(keys[week])):
                run.go_on(week, state)
                first = week + 1
                break
        for week in range(first, len(said.ends)):
            run.take_in(week)
            state = None
            if walked and week >= len(keys) - 1 - WEEKS_KEPT:
                state = run.state()
                walked.keep(keys[week], state)
        if walked:
            walked.forget_old()
        state = state or run.state()
    theme = np.full(len(said.ids), -1, dtype=np.int64)
    similarity = np.zeros(len(said.ids))
    theme[: len(state.theme)], similarity[: len(state.theme)] = state.theme, state.similarity
    return Registry(list(state.themes), theme, similarity, list(state.history))


def _rules(limits: Limits, protected: Collection[str]) -> str:
    told = (
        limits.min_messages,
        limits.max_distance,
        limits.min_similarity,
        limits.sample,
        limits.resolution,
        sorted(protected),
    )
    return repr(told)


def _told(said: Said) -> Iterator[list[bytes]]:
    """Of each week all that themes depend on."""
    bounds = np.searchsorted(said.week, np.arange(len(said.ends) + 1))
    titles = said.titles or [[]] * len(said.ids)
    for week, end in enumerate(said.ends):
        rows = range(bounds[week], bounds[week + 1])
        texts = [(said.ids[i], said.words[i], titles[i]) for i in rows]
        by_sentences = said.by_sentences[week : week + 2]
        parts = [repr((end, by_sentences, texts)), said.voice_text[said.voice_week == week].tolist()]
        vectors = said.sentences.vectors[rows.start : rows.stop].tobytes() if said.sentences else b""
        yield [*(str(part).encode("utf-8", "surrogatepass") for part in parts), vectors]


class _Run:
    """The registry while it is being built."""

    def __init__(self, said: Said, limits: Limits, protected: frozenset[str]) -> None:
        self.said, self.limits, self.protected = said, limits, protected
        self.theme = np.empty(0, dtype=np.int64)
        self.weights = np.zeros(len(said.ids), dtype=np.int64)
        self.themes: list[Theme] = []
        self.history: list[Event] = []
        self.founders: set[str] = set()
        self.space: TextSpace
        self.sentences: Sentences | None = None
        self.vectors: Vectors = np.empty((0, 0))
        self.fitted_to = 0
        self.space_of = 0
        self.looked_at = 0
        self.phrases: Counter[str] = Counter()
        self.at = datetime.min.replace(tzinfo=UTC)
        self.left: tuple[int, int] | None = None

    def take_in(self, week: int) -> None:
        """Take in the texts of a week."""
        self._resume()
        voices = self.said.voice_text[self.said.voice_week == week]
        np.add.at(self.weights, voices, 1)
        before, known = len(self.theme), int(np.searchsorted(self.said.week, week, side="right"))
        if not len(voices) or not known:
            return
        self.at = self.said.ends[week]
        self.theme = np.concatenate([self.theme, np.full(known - before, -1, dtype=np.int64)])
        self.phrases.update(counted(self.said.words[before:known]))
        then, now = self.said.by_sentences[week : week + 2] or (False, False)
        self.sentences = self.said.sentences if then else None
        if self.weights.sum() < self.limits.min_messages:
            return
        if not self.fitted_to or known >= GROWTH * self.fitted_to:
            self._reorganise(known)
        else:
            self.vectors = np.vstack([self.vectors, self.space.vectors(np.arange(before, known))])
        self._assign()
        new = self._find_new()
        unfamiliar = len(new) and self.space.known(new).mean() < FAMILIAR
        if unfamiliar and known >= WORTH_FITTING * self.space_of:
            self._fit(known)
        if now != then:
            # after the week was taken in as before: what it found keeps its ids too
            self.sentences = self.said.sentences if now else None
            self._reorganise(known, changed=True)
            self._assign()
            self._find_new()

    def state(self) -> State:
        """Where it stands."""
        similarity = np.zeros(len(self.theme))
        inside = np.flatnonzero(self.theme >= 0)
        if len(inside):
            centres = self._centres()
            similarity[inside] = np.einsum("ij,ij->i", self.vectors[inside], centres[self.theme[inside]])
        return State(
            self.theme.copy(),
            similarity,
            tuple(replace(each) for each in self.themes),
            tuple(self.history),
            frozenset(self.founders),
            self.fitted_to,
            self.space_of,
            self.looked_at,
        )

    def go_on(self, week: int, state: State) -> None:
        """Stand where it stood at the end of a week; spaces are fitted when the next week needs them."""
        self.theme = state.theme.copy()
        self.themes, self.history = [replace(each) for each in state.themes], list(state.history)
        self.founders = set(state.founders)
        self.fitted_to, self.looked_at = state.fitted_to, state.looked_at
        np.add.at(self.weights, self.said.voice_text[self.said.voice_week <= week], 1)
        self.left = (week, state.space_of)

    def _resume(self) -> None:
        """What is not kept of a state, since it follows from the texts."""
        if self.left is None:
            return
        week, space_of = self.left
        self.left = None
        known = len(self.theme)
        self.phrases.update(counted(self.said.words[:known]))
        now = (self.said.by_sentences[week + 1 : week + 2] or (False,))[0]
        self.sentences = self.said.sentences if now else None
        if space_of:
            self.space = self._space(chosen(self.said.ids[:space_of], FITTED_TEXTS))
            self.vectors = self.space.vectors(np.arange(known))
            self.space_of = space_of

    def _reorganise(self, known: int, *, changed: bool = False) -> None:
        """Fit the space anew, group everything, and follow what is a split, a merger, or new."""
        weights = self.weights[:known]
        settling = changed or self.fitted_to < SETTLED <= known
        self._fit(known)
        self.fitted_to = known
        self.looked_at = 0
        groups = self._group(np.arange(known), self.vectors)
        matching = match(
            groups,
            self.theme,
            weights,
            min_size=self.limits.min_messages,
            settling=settling,
            loyal=changed,
        )
        place_of = dict(matching.theme_of)
        for what, one, other in matching.changes:
            if what in ("new", "split"):
                split = other if what == "split" else None
                made = self._add((groups == one) & (self.theme == other), split=split)
                if made is not None:
                    place_of[one] = made
            elif not changed and not self._stays(self.themes[one]):
                self._merge(one, other)
        unplaced = self.theme < 0
        for group, theme in place_of.items():
            self.theme[unplaced & (groups == group)] = theme
        if settling:
            before = self.theme.copy()
            held = [at for at, theme in enumerate(self.themes) if theme.theme_id in self.protected]
            free = ~np.isin(self.theme, held)
            for group, theme in place_of.items():
                self.theme[free & (groups == group)] = theme
            if changed:
                self._keep_cores(before, groups)
            self._end_empty(before)

    def _fit(self, known: int) -> None:
        self.space = self._space(chosen(self.said.ids[:known], FITTED_TEXTS))
        self.vectors = self.space.vectors(np.arange(known))
        self.space_of = known

    def _space(self, rows: Labels) -> TextSpace:
        if self.sentences is None:
            return WordSpace(self.terms, rows)
        return SentenceSpace(self.terms, self.sentences, rows)

    @cached_property
    def terms(self) -> Terms:
        return Terms(self.said.words)

    def _among(self, rows: Labels) -> Vectors:
        """Vectors in a space of their own, in which what all of them have in common counts for little."""
        return self._space(rows).vectors(rows)

    def _keep_cores(self, before: Labels, groups: Labels) -> None:
        """A theme that is no group of its own any more keeps what it has in the group with most of it.

        By other means two themes may look like one; people know them as two all the same.
        """
        for name in np.setdiff1d(before[before >= 0], self.theme):
            rows = np.flatnonzero((before == name) & (groups >= 0))
            weights = np.bincount(groups[rows], weights=self.weights[rows], minlength=1)
            if weights.max() >= self.limits.min_messages:
                self.theme[rows[groups[rows] == weights.argmax()]] = name
                self.themes[name].apart = True

    def _stays(self, theme: Theme) -> bool:
        return theme.apart or theme.theme_id in self.protected

    def _end_empty(self, before: Labels) -> None:
        """End themes that have lost all texts; they are part of the theme that took most of them."""
        for name in np.setdiff1d(before[before >= 0], self.theme):
            rows = np.flatnonzero((before == name) & (self.theme >= 0))
            took = np.bincount(self.theme[rows], weights=self.weights[rows])
            self._end(int(name), int(took.argmax()), int(took.sum()))

    def _assign(self) -> None:
        """Put texts without a theme to the nearest one."""
        rows = np.flatnonzero(self.theme < 0)
        centres = self._centres()
        if not len(rows) or not len(centres):
            return
        known = self.space.known(rows)
        similarity = (self.vectors[rows] @ centres.T) * known[:, None]
        near = similarity.max(axis=1) >= self.limits.min_similarity
        self.theme[rows[near]] = similarity.argmax(axis=1)[near]

    def _find_new(self) -> Labels:
        """Look for themes in what is in none. Returns the rows of the texts that are in a new one."""
        rows = np.flatnonzero(self.theme < 0)[-RESIDUE:]
        size = int(self.weights[rows].sum())
        self.looked_at = min(self.looked_at, size)
        if size < self.looked_at + self.limits.min_messages:  # nothing that was not looked at before
            return rows[:0]
        groups = self._group(rows, self._among(rows))
        for group in range(int(groups.max(initial=-1)) + 1):
            members = np.zeros(len(self.theme), dtype=bool)
            members[rows[groups == group]] = True
            self._add(members)
        self.looked_at = int(self.weights[rows[groups < 0]].sum())
        return rows[groups >= 0]

    def _group(self, rows: Labels, vectors: Vectors) -> Labels:
        if self.sentences is not None:
            return communities(
                [self.said.ids[i] for i in rows],
                vectors,
                self.weights[rows],
                min_size=self.limits.min_messages,
                min_similarity=self.limits.min_similarity,
                resolution=self.limits.resolution,
            )
        return place(
            [self.said.ids[i] for i in rows],
            vectors,
            self.weights[rows],
            min_size=self.limits.min_messages,
            max_distance=self.limits.max_distance,
            min_similarity=self.limits.min_similarity,
            sample=self.limits.sample,
        ).label

    def _centres(self) -> Vectors:
        """Centre of each theme, zero for one that ended."""
        if len(self.themes):
            rows = np.flatnonzero(self.theme >= 0)
            members = csr_matrix(
                (np.ones(len(rows)), (self.theme[rows], rows)), shape=(len(self.themes), len(self.theme))
            )
            return np.asarray(normalize(members @ self.vectors))
        return np.empty((0, self.vectors.shape[1]))

    def _add(self, members: np.ndarray, *, split: int | None = None) -> int | None:
        """Make a theme of texts; None if no phrase says what they have in common."""
        rows = np.flatnonzero(members)
        ranked = self._ranked(rows)
        if not ranked:
            return None
        founder = next((self.said.ids[i] for i in rows if self.said.ids[i] not in self.founders), None)
        # every text founded a theme before: named after all of them
        founder = founder or " ".join(self.said.ids[i] for i in rows)
        self.founders.add(founder)
        name = theme_id(founder)
        taken = {theme.label for theme in self.themes}
        self.themes.append(Theme(name, label(ranked, taken), self.at))
        self.theme[rows] = len(self.themes) - 1
        origin = self.themes[split].theme_id if split is not None else None
        what: Literal["new", "split"] = "split" if split is not None else "new"
        self.history.append(Event(self.at, what, origin, name, int(self.weights[rows].sum())))
        return len(self.themes) - 1

    def _ranked(self, rows: Labels) -> list[str]:
        """The phrases that set texts apart, best first."""
        titles = [self.said.titles[i] for i in rows if self.said.titles[i]] if self.said.titles else []
        return ranked_phrases(
            counted(self.said.words[i] for i in rows),
            len(rows),
            self.phrases,
            len(self.theme),
            titles=counted(titles),
            titled=len(titles),
        )

    def _merge(self, theme: int, into: int) -> None:
        rows = self.theme == theme
        moved = int(self.weights[: len(rows)][rows].sum())
        self.theme[rows] = into
        self._end(theme, into, moved)

    def _end(self, theme: int, into: int, moved: int) -> None:
        self.themes[theme].ended = True
        self.history.append(
            Event(self.at, "merged", self.themes[theme].theme_id, self.themes[into].theme_id, moved)
        )
