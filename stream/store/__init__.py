"""The state of every partition in Redis: cursor, panes, ids seen, contributions.

`redis_store` is the only module that imports redis. All that a partition owns lives under its hash
tag `{p}`, so it sits in one slot of a cluster and one script changes it atomically.
"""
