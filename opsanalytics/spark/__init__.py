"""Funnels and retention on Apache Spark: the local engine's code, on persons that Spark brings together.

Needs the extra `opsanalytics[spark]` and Java 17 or later. See `docs/spark.md`.
"""

from opsanalytics.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
