"""What a reader probably meant by a name that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, existing: Iterable[str]) -> str:
    """` (nearest: 'x')`, or nothing where nothing is near. Upper and lower case are one."""
    folded = {each.strip().casefold(): each for each in existing}
    found = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.5)
    if not found:
        # a short name inside a longer one: 'rating' in 'Your rating (1-5)'
        wanted = name.strip().casefold()
        found = [each for each in folded if wanted and (wanted in each or (each and each in wanted))][:1]
    return f" (nearest: {folded[found[0]]!r})" if found else ""
