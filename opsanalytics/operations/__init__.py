"""Watching the pipeline itself: who is told when a run fails."""
