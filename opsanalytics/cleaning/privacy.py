"""`[privacy]`: which properties are dropped at cleaning, and which are kept as a keyed hash only.

A rule names a property as the column `properties` shows it: `email`, or `profile.email` for a member of
a member (lists add nothing to the path). `*` stands for any text. A rule that fits an object or list
takes all of it. Rules work on the record before its columns are read, so that a column made of a
dropped property (`url`, `platform`, `user_id`, ...) is dropped or hashed with it.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from opsanalytics.sources.errors import CredentialError
from opsanalytics.sources.values import id_of

Action = Literal["drop", "hash"]
UrlQuery = Literal["keep", "drop"]
REMEMBERED = 100_000
"""So many names and values are remembered with what becomes of them."""

URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|/(?=\S*\Z)).*", re.DOTALL)
QUERY = re.compile(r"\?[^#]*")
FRAGMENT_WITH_VALUES = re.compile(r"#[^#]*=.*", re.DOTALL)


class SourcePrivacy(BaseModel):
    """`[privacy.sources.NAME]`: what holds for one source besides what holds for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    url_query: UrlQuery | None = None


class PrivacySettings(BaseModel):
    """`[privacy]`: personal data that must not reach the lake. Landed files keep what was received."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop: tuple[str, ...] = ()
    """Properties (or fields of feedback) that are left out."""
    hash: tuple[str, ...] = ()
    """Those kept as HMAC-SHA256 of their text, hexadecimal: equal values stay equal."""
    url_query: UrlQuery = "keep"
    """`drop`: addresses lose what follows `?`, and fragments that hold values."""
    key_env: str | None = Field(default=None, min_length=1)
    """Environment variable with the key of the hashes."""
    sources: Mapping[str, SourcePrivacy] = {}

    @model_validator(mode="after")
    def _hashes_have_a_key(self) -> "PrivacySettings":
        hashed = [*self.hash, *(name for source in self.sources.values() for name in source.hash)]
        if hashed and self.key_env is None:
            raise ValueError(
                f"hash = {hashed} needs key_env, the name of the environment variable that holds the key"
            )
        return self

    def rules(self, source: str, environ: Mapping[str, str]) -> "PrivacyRules | None":
        """What holds for `source`; None: everything stays as it is.

        Raises:
            CredentialError: the variable that `key_env` names is not set or empty.
        """
        own = self.sources.get(source, SourcePrivacy())
        drop, hashed = (*self.drop, *own.drop), (*self.hash, *own.hash)
        strip = (own.url_query or self.url_query) == "drop"
        if not (drop or hashed or strip):
            return None
        key = environ.get(self.key_env, "") if self.key_env else ""
        if self.key_env and not key.strip():
            raise CredentialError(
                f"[privacy]: the environment variable {self.key_env} (key_env) is not set, so source "
                f"{source} cannot be cleaned. Set it, for example `export {self.key_env}=...`: a long random "
                "text, the same at every run."
            )
        return PrivacyRules(tuple(sorted(set(drop))), tuple(sorted(set(hashed))), strip, key.encode() or None)


@dataclass(frozen=True)
class PrivacyRules:
    """What becomes of the properties of one source."""

    drop: tuple[str, ...]
    hash: tuple[str, ...]
    strip_queries: bool
    key: bytes | None = field(repr=False)

    def fingerprint(self) -> dict[str, Any]:
        """All that the result depends on; of the key only a hash."""
        return {
            "drop": self.drop,
            "hash": self.hash,
            "url_query": "drop" if self.strip_queries else "keep",
            "key": self.keyed("fingerprint")[:16] if self.key else None,
        }

    def action(self, *names: str) -> Action | None:
        """What becomes of a property that has these names; dropping wins."""
        return self._action(names)

    @cached_property
    def _action(self) -> Callable[[tuple[str, ...]], Action | None]:
        drop, hashed = matcher(self.drop), matcher(self.hash)

        @lru_cache(maxsize=REMEMBERED)
        def decide(names: tuple[str, ...]) -> Action | None:
            if any(map(drop, names)):
                return "drop"
            return "hash" if any(map(hashed, names)) else None

        return decide

    @cached_property
    def deep(self) -> bool:
        """Whether a rule can fit a member of a member."""
        return any("." in name or "*" in name for name in (*self.drop, *self.hash))

    @cached_property
    def keyed(self) -> Callable[[str], str]:
        """HMAC-SHA256 of a text (UTF-8), 64 hexadecimal digits."""
        key = self.key or b""

        @lru_cache(maxsize=REMEMBERED)
        def digest(text: str) -> str:
            return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

        return digest

    def hashed(self, text: str, prefixes: Iterable[str] = ()) -> str:
        """The keyed hash of a value; words that mean "no id" stay, and so do prefixes that tell its kind."""
        if id_of(text) is None:
            return text
        for prefix in prefixes:
            if text.startswith(prefix):
                return prefix + self.keyed(text.removeprefix(prefix))
        return self.keyed(text)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name is one of `patterns`; `*` in them stands for any text, all else for itself."""
    exact = {pattern for pattern in patterns if "*" not in pattern}
    globs = [
        ".*".join(map(re.escape, pattern.split("*"))) for pattern in sorted(set(patterns)) if "*" in pattern
    ]
    expression = re.compile("|".join(globs), re.DOTALL) if globs else None
    return lambda name: name in exact or (expression is not None and expression.fullmatch(name) is not None)


def without_query(text: str) -> str:
    """An address (`scheme://...`, or a path without spaces) without its query; other text as it is."""
    if ("?" not in text and "#" not in text) or URL.fullmatch(text) is None:
        return text
    return FRAGMENT_WITH_VALUES.sub("", QUERY.sub("", text))
