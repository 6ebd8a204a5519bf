"""Believable conversations that nobody had: pure generation, deterministic from a seed.

Owns the words, the authors, the schedule of shifts and the stream of items in order of arrival. It
refuses to know Kafka, cursors on disk and the wall clock. Every stretch of event time (a tick) is
made from the seed and its own number alone, so a stopped run goes on anywhere without a replay.
"""
