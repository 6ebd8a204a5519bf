"""Reddit: listings of chosen communities, polled within the rate limit."""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="reddit",
    title="New posts and comments of chosen communities, their edits and deletions.",
    needs=(
        "The options communities, client_id and user_agent.",
        "The client secret of a registered application, in ingest.source_secret.",
    ),
    limits=(
        "A listing shows the last thousand things: what is beyond is a counted gap.",
        "Requests keep to the rate-limit headers.",
    ),
    memory="reddit.held.sqlite",
    module="asyncpraw",
    extra="reddit",
)
