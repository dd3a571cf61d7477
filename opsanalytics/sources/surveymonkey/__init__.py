"""SurveyMonkey: the "All responses" export, CSV or XLSX, with its two rows of headings."""

from opsanalytics.sources.surveymonkey.source import SurveyMonkeySettings

SETTINGS = SurveyMonkeySettings

__all__ = ["SETTINGS", "SurveyMonkeySettings"]
