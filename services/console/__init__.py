"""The console: the read API under `/api/v1`, and one page for people, on the same port.

It owns keys, roles, sessions, cursors and how an answer looks. It ignores how anything is counted
or judged: all it says is read from Redis, Kafka and the catalog of queries, as the command line
reads it. The only importer of FastAPI, uvicorn, pydantic and Jinja2.
"""
