"""Bluesky by Jetstream, versions 1 and 2.

`wire` turns bytes into events and `mapping` turns events into posts, both pure; `connection` owns
the socket, `position` where to go on, and `source` puts them together.
"""
