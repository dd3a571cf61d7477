import pytest
from pydantic import ValidationError

from opsanalytics.sources.amplitude import AmplitudeSettings
from opsanalytics.sources.base import source_kinds
from opsanalytics.sources.errors import CredentialError
from opsanalytics.sources.event_files import EventFilesSettings
from opsanalytics.sources.feedback_csv import FeedbackCsvSettings
from opsanalytics.sources.ga4 import Ga4Settings
from opsanalytics.sources.mixpanel import MixpanelSettings
from opsanalytics_tests.sources.support import mixpanel


def test_every_kind_is_found() -> None:
    known = {
        "amplitude": AmplitudeSettings,
        "event_files": EventFilesSettings,
        "feedback_csv": FeedbackCsvSettings,
        "ga4": Ga4Settings,
        "mixpanel": MixpanelSettings,
    }
    assert known.items() <= source_kinds().items()


def test_each_kind_says_its_family() -> None:
    families = {kind: settings.family for kind, settings in source_kinds().items()}
    assert {
        "amplitude": "events",
        "event_files": "events",
        "feedback_csv": "feedback",
        "ga4": "events",
        "mixpanel": "events",
    }.items() <= families.items()


@pytest.mark.parametrize("name", ["Product", "1st", "a-b", "", "a/b"])
def test_names_that_are_no_folder_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        mixpanel("http://x", name=name)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="regoin"):
        mixpanel("http://x", regoin="eu")


def test_unknown_zones_are_refused() -> None:
    with pytest.raises(ValidationError, match="IANA"):
        mixpanel("http://x", project_timezone="CET/Berlin")


def test_numeric_project_ids_are_taken_as_text() -> None:
    assert mixpanel("http://x", project_id=42).project_id == "42"


@pytest.mark.parametrize("environ", [{}, {"MIXPANEL_SECRET": ""}, {"MIXPANEL_SECRET": "  "}])
def test_a_missing_secret_names_variable_and_source(environ: dict[str, str]) -> None:
    with pytest.raises(
        CredentialError, match=r"source product: .* MIXPANEL_SECRET \(secret_env\) is not set"
    ):
        mixpanel("http://x").secret(environ, "secret_env")


def test_settings_never_show_a_secret() -> None:
    request = mixpanel("http://x")
    assert "secret" not in repr(request).replace("secret_env=", "").replace("'MIXPANEL_SECRET'", "").lower()


def test_only_settings_that_matter_change_the_cleaning_fingerprint() -> None:
    plain = mixpanel("http://x")
    assert plain.cleaning_fingerprint() == mixpanel("http://y", lookback_days=9).cleaning_fingerprint()
    assert (
        plain.cleaning_fingerprint()
        != mixpanel("http://x", project_timezone="Asia/Tokyo").cleaning_fingerprint()
    )
