"""The configuration applied to the lake: every mart, as of any moment.

Nothing is computed in here; each function reads what it needs, calls the domain and returns marts.
The daily assets use it as of the latest complete data, a weekly report as of the end of its week.
"""
