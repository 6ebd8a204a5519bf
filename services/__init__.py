"""Processes: ingest, worker, closer, exporter, the local stack and the command line.

Each process has a `main(settings)`. `services.bootstrap` is the one place that turns settings into
real parts; everything else takes them as arguments.
"""
