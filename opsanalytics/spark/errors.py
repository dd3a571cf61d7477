"""What Spark is not asked."""


class NotOnSparkError(ValueError):
    """The question cannot be answered person by person; nothing was read."""
