"""Texts and names of properties as DuckDB reads them."""


def sql_text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def json_pointer(name: str) -> str:
    """JSON pointer (RFC 6901) to a property, whatever characters its name has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
