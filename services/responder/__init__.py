"""The responder: how people answer what takes off, and how they answered the like of it.

It joins `events`, `posts` and `post-events` with the ranking of `models.popalm`; it owns what is
remembered, followed, shown and left out, and neither arithmetic of likes nor a model.
"""
