"""Thin Dagster adapters over the domain: no analysis in here."""
