"""The store on other Redis servers than the embedded one: `make test-redis`.

A server is a folder with a program `redis-server` in it, which goes in front of the search path of
the tests: whatever they start is then that server, single or in a cluster.
"""
