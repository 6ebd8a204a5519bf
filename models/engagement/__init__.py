"""How far a post goes: what is known of its author, what is expected, what came of it.

Owns the arithmetic of forecasts: features as of a post, floors, models and their training, the
hedge between them, intervals, what early counts say, and what all that was worth. Knows no broker
and no store; `services.forecaster` runs it on the stream, `evaluation.forecasts` on recorded posts.
"""
