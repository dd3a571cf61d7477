"""What Jira understands of a query, and what it refuses of an issue."""

import re
from collections.abc import Mapping, Sequence
from typing import Any


def matching(issues: Sequence[dict[str, Any]], jql: str) -> list[dict[str, Any]]:
    """Issues with the project and label that a query names."""
    found = re.fullmatch(r'project = "(\w+)" AND labels = "([^"\s]+)" ORDER BY created ASC', jql)
    if not found:
        raise AssertionError(f"Jira would not understand {jql}")
    return [
        issue
        for issue in issues
        if issue["fields"]["project"]["key"] == found[1] and found[2] in issue["fields"]["labels"]
    ]


def wrong(fields: Mapping[str, Any]) -> str | None:
    """The first field that Jira would refuse."""
    if not fields["summary"] or len(fields["summary"]) > 255 or "\n" in fields["summary"]:
        return "summary"
    if not is_document(fields["description"]):
        return "description"
    if any(re.search(r"\s", label) for label in fields["labels"]):
        return "labels"
    return None


def is_document(node: Any) -> bool:
    """Whether it is a document in Atlassian's format, without an empty text node."""
    if not isinstance(node, dict) or "type" not in node:
        return False
    if node["type"] == "text":
        return isinstance(node.get("text"), str) and node["text"] != ""
    if node["type"] == "doc" and node.get("version") != 1:
        return False
    return all(is_document(child) for child in node.get("content", []))
