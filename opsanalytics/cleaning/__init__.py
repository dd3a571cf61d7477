"""From landed bytes to canonical rows: parsing, deduplication, quarantine."""
