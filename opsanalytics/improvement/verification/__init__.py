"""Whether a fix worked: what was promised before it shipped, and what the days after it show."""
