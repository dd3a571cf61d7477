"""CSV files and workbooks whose columns the configuration maps."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from opsanalytics.sources.feedback_files.settings import FeedbackFileSettings, Layout, Names
from opsanalytics.sources.feedback_files.table import Table


class ColumnMap(BaseModel):
    """Which column of the file holds what: a name, or several of which a file may have any.

    Columns not named here are kept as raw fields. Of columns with the same name the first counts; the
    others are called `name#position`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Names
    created_at: Names
    id: Names | None = None
    """Without one, a message is known by its whole content."""
    title: Names | None = None
    user_id: Names | None = None
    email: Names | None = None
    rating: Names | None = None
    app_version: Names | None = None
    url: Names | None = None
    language: Names | None = None
    tags: Names | None = None
    votes: Names | None = None
    """Whole numbers, negative where more are against."""
    updated_at: Names | None = None
    """When it was last changed: of two with the same id the later one counts, whichever came first."""

    def named(self) -> dict[str, Names]:
        """Field to column, for those that are set."""
        return {field: column for field, column in self.model_dump().items() if column is not None}


class FeedbackCsvSettings(FeedbackFileSettings):
    """Files with one message a row."""

    tags_from: ClassVar[str] = "columns.tags, the column that holds the tags"

    kind: Literal["feedback_csv"] = "feedback_csv"
    columns: ColumnMap

    @model_validator(mode="after")
    def _rating_has_scale(self) -> "FeedbackCsvSettings":
        if self.columns.rating is not None and self.rating_scale is None:
            raise ValueError("columns.rating needs rating_scale, for example 'nps', 'csat' or [1, 5]")
        return self

    @property
    def has_tags(self) -> bool:
        return self.columns.tags is not None

    def layout(self, path: Path, table: Table) -> Layout:
        return Layout(self.located(path, table, self.columns.named(), setting="columns.{}"))
