"""The local stack: real Kafka, Redis and Triton as plain child processes, and their supervisor.

Owns how each server is found, configured, started, judged ready, killed and started again on
one machine without Docker, Java, Maven or root. Knows nothing of posts, windows or models: the
processes of Groundswell itself are started here by their command line like any other program.
"""
