"""RSS and Atom feeds: fetched politely and safely, each entry once."""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="rss",
    title="Entries of RSS and Atom feeds, each once, and their changes.",
    needs=("The option feeds.",),
    limits=(
        "A feed shows its newest entries: one that moved on past all that is known is a "
        "counted gap.",
        "A server that asks to be left alone for longer is.",
    ),
)
