"""Is the data fit to be reported: expectation suites, reconciliation, and the record of results."""
