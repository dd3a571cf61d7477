"""What to fix next: friction, pain points and the ranked backlog."""
