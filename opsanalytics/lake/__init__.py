"""Where data lies on disk and how it is written: paths, schemas, atomic files, manifests, publishing.

Nothing here knows a vendor, a metric or Dagster.
"""
