"""What users did, folded per person: funnels, retention, their statistics and the engine below."""
