"""Which replies people like most: what is expected of a reply, and the replies that lead an event.

Owns the curve of likes that is learnt per source (`expected_likes`) and the ranking of an event's
real replies as they arrive (`ranking`). Pure and cheap; it ignores where replies come from.
"""
