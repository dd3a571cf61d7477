"""Privacy rules applied to user profiles: by the names of their properties, as in events."""

from opsanalytics.cleaning.privacy import PrivacyRules
from opsanalytics.cleaning.private_records import RecordRedactor, members_of, written
from opsanalytics.sources.base import EventSourceSettings
from opsanalytics.sources.values import digest

IDS = ("$distinct_id", "distinct_id", "$user_id")
"""Names by which rules speak of the id of a profile: an event has the same id under any of them."""
PROPERTIES = "$properties"


class ProfileRedactor:
    """Applies the rules of one source to its profiles."""

    def __init__(self, rules: PrivacyRules, settings: EventSourceSettings) -> None:
        self._rules = rules
        self._prefixes = settings.id_prefixes
        self._properties = RecordRedactor(rules, settings)

    def profile(self, record: bytes) -> bytes:
        """The profile with its properties under the rules; its id stays.

        Raises:
            NotRedactableError: it is no JSON object, or nested too deep.
        """
        members = members_of(self._properties.checked(record))
        if PROPERTIES in members:
            raw = bytes(members[PROPERTIES])
            left = self._properties.record(raw)
            if left is not raw:
                members[PROPERTIES] = type(members[PROPERTIES])(left)
                return written(members)
        return record

    def distinct_id(self, identifier: str) -> str:
        """The id under the rules: hashed as in events, so that both still meet; one that is dropped is a
        digest, because a row must have one."""
        action = self._rules.action(*IDS)
        if action == "drop":
            return digest("profile", identifier)
        return identifier if action is None else self._rules.hashed(identifier, self._prefixes)
