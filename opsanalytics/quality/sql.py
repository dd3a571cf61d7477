"""DuckDB as a calculator: how it is opened, and texts and names of properties as it reads them."""

import duckdb


def calculator(memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to nothing: no file, no network, no progress bar."""
    con = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    con.execute("SET enable_progress_bar = false")
    if memory_limit is not None:
        con.execute(f"SET memory_limit = {sql_text(memory_limit)}")
    return con


def sql_text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def json_pointer(name: str) -> str:
    """JSON pointer (RFC 6901) to a property, whatever characters its name has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
