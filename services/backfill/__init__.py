"""Gives a new query its past: what would have been counted had it been there.

It reads `posts` for the texts and `scored-posts` for the scores, asks no model, and adds to the
panes that the store still keeps. `docs/queries.md` has the rules by which the result is exact.
"""
