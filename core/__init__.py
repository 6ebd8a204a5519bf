"""Words that every part of Groundswell shares: records, settings, errors, time, metric names.

This package owns the schemas on the wire and the protocols between packages. It refuses to know
Kafka, Redis, Triton, Faust or torch: it imports the standard library, msgspec, structlog and
prometheus_client, and nothing of ours.
"""
