"""Questions asked of events from notebooks, scripts and the command line, and the answers to them."""
