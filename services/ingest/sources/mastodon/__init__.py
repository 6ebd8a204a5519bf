"""Mastodon: the streams of one server, and what was missed while none was open."""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="mastodon",
    title="Public posts, edits and deletions of one Mastodon server, live.",
    needs=(
        "The option server.",
        "An access token in ingest.source_secret; anonymous=true where a server needs none.",
    ),
    limits=(
        "Timelines are fetched within the rate limit of the server; what is beyond "
        "fill_max_posts is a counted gap.",
    ),
    memory="mastodon.held.sqlite",
)
