"""Where data comes from: one module a vendor or dump format, and what they share."""
