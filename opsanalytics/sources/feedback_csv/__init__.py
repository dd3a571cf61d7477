"""Feedback as CSV from anywhere: surveys, reviews, tickets, posts, mapped by column names."""

from opsanalytics.sources.feedback_csv.source import ColumnMap, FeedbackCsvSettings

SETTINGS = FeedbackCsvSettings

__all__ = ["SETTINGS", "ColumnMap", "FeedbackCsvSettings"]
