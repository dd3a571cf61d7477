"""A generated product with planted problems, and a local server that exports it as the vendors do."""
