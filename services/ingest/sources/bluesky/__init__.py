"""Bluesky by Jetstream, versions 1 and 2.

`wire` turns bytes into events and `parse` turns events into posts, both pure; `client` owns the
socket, `position` where to go on, and `source` puts them together.
"""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="bluesky",
    title="All of Bluesky as it happens, from public Jetstream servers; no account, no key.",
    limits=("A server keeps the last hours or days; what is older is a counted gap.",),
    memory="bluesky.posts.sqlite",
)
