"""Typeform: the CSV or XLSX of a form's results."""

from opsanalytics.sources.typeform_csv.source import TypeformCsvSettings

SETTINGS = TypeformCsvSettings

__all__ = ["SETTINGS", "TypeformCsvSettings"]
