"""Backlog items as issues of GitHub, Jira and Linear: sent once, kept up to date, and read back."""
