"""Ingest: takes posts from a source and brings them to Kafka, none lost, in an author's order.

Owns the sources and their cursors. It refuses to know Redis, Triton, Faust, windows and scores: a
post is taken, mapped, encoded and sent.
"""
