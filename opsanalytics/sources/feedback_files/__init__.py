"""What all kinds of feedback files share: reading tables, times and ratings, and turning rows into messages.

No source kind itself. A kind subclasses `FeedbackFileSettings` (one message a row) or `SurveySettings`
(one message for each open answer) and says which column holds what.
"""
