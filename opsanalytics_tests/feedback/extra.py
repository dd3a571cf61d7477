"""The optional sentence encoder, for tests."""

from functools import cache

from opsanalytics.feedback.sentences import SentenceEncoder, missing_packages
from opsanalytics_tests.conftest import skip_or_fail


@cache
def encoder() -> SentenceEncoder:
    """The real model; without the extra the test is skipped, on CI it fails."""
    missing = missing_packages()
    if missing:
        skip_or_fail(f"{', '.join(missing)} cannot be imported: pip install '.[embeddings]'")
    return SentenceEncoder()
