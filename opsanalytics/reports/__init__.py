"""Figures and pages for people who decide."""
