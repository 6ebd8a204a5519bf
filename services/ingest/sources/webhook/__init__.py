"""The webhook: signed requests that others push, answered once Kafka has them."""

from typing import Final

from services.ingest.sources.options import Manifest

MANIFEST: Final = Manifest(
    name="webhook",
    title="Posts and events that others push: signed requests, answered when Kafka has them.",
    needs=("The signing key in ingest.source_secret, or the option secret_file.",),
    limits=("Its senders keep a request until it is accepted; what is put off comes again.",),
    memory="webhook.requests.sqlite",
)
