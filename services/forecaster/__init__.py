"""The forecaster: how far will each post go, and what came of it.

It joins what the stream says (`scored-posts`, `post-events`) with the forecasts of
`models.engagement`; it owns when something is read, asked, published and kept, and no arithmetic.
"""
