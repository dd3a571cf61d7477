"""What users said: themes with quotes and numbers."""
