"""Reviews of an iOS app, from tools whose columns differ."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from opsanalytics.sources.base import FeedbackRow
from opsanalytics.sources.feedback_files.settings import FeedbackFileSettings, Layout, Names, Row, first_found
from opsanalytics.sources.feedback_files.table import Table
from opsanalytics.sources.values import digest

AUTHORS = (
    "Author",
    "Nickname",
    "Reviewer",
    "Reviewer Nickname",
    "reviewerNickname",
    "User Name",
    "userName",
    "Username",
    "User",
)
COUNTRIES = ("Territory", "Country", "Storefront", "Store", "Country Code", "Store Front", "App Store")


class AppStoreColumns(BaseModel):
    """Names of the columns; those of usual exports are known. Case and spacing do not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    created_at: Names = (
        "Date", "Created Date", "createdDate", "Review Date", "Published", "Published Date", "Created At",
        "Created", "Updated", "Time", "Timestamp",
    )  # fmt: skip
    rating: Names = ("Rating", "Stars", "Star Rating", "Score", "Review Rating")
    text: Names = (
        "Review",
        "Body",
        "Content",
        "Review Text",
        "Text",
        "Comment",
        "Review Body",
        "Review Content",
    )
    title: Names | None = ("Title", "Review Title", "Subject")
    id: Names | None = ("Review ID", "Review Id", "ReviewID", "ID", "Review Identifier")
    app_version: Names | None = ("App Version", "Version", "Version Reviewed", "appVersion")
    language: Names | None = ("Language", "Review Language", "Lang")
    url: Names | None = ("Review URL", "Review Link", "Permalink", "URL", "Link")
    updated_at: Names | None = ("Updated At", "Last Modified", "Last Update", "Edited")

    def required(self) -> dict[str, Names]:
        return {"created_at": self.created_at, "rating": self.rating, "text": self.text}


class AppStoreCsvSettings(FeedbackFileSettings):
    """One row a review. Without an id, a review is known by its author, country and first time.

    Nicknames are no ids of your users: they stay out of the lake.
    """

    kind: Literal["app_store_csv"] = "app_store_csv"
    columns: AppStoreColumns = AppStoreColumns()
    rating_scale: tuple[float, float] | Literal["nps", "csat"] | None = (1, 5)

    def layout(self, path: Path, table: Table) -> Layout:
        required = self.columns.required()
        chosen = self.columns.model_fields_set
        optional: dict[str, Names | None] = {
            field: names
            for field, names in self.columns.model_dump().items()
            if field not in required
            and names is not None
            # a name that you chose must be there; a usual one may be
            and (field in chosen or any(table.find(name) is not None for name in names))
        }
        fields = self.located(path, table, {**required, **optional}, setting="columns.{}")
        for field, names in (("author", AUTHORS), ("country", COUNTRIES)):
            position = first_found(table, names)
            if position is not None:
                fields[field] = position
        return Layout(fields, removed=table.positions(AUTHORS))

    def message(self, row: Row, layout: Layout, table: Table, **changes: Any) -> FeedbackRow:
        values = row.values
        if "id" not in values and "author" in values and "id" not in changes:
            moment = self.moment(values.get("created_at")).isoformat()
            changes["id"] = digest(values["author"], values.get("country", ""), moment)
        return super().message(row, layout, table, **changes)
