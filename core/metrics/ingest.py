"""What ingest counts."""

from __future__ import annotations

from core.metrics.declared import counter, gauge


class IngestMetrics:
    """The metrics of an ingest process."""

    posts_in = counter("Posts taken from a source", "source")
    posts_acknowledged = counter("Posts that Kafka acknowledged", "source")
    source_items_unmappable = counter("Items of a source that could not become a post", "source")
    source_up = gauge("1 while the source delivers or waits", "source")
    ingest_buffered_posts = gauge("Posts sent to Kafka and not yet acknowledged")
    ingest_waits = counter("Times the source was slowed because the buffer was full", "source")
    source_gap_items = counter(
        "Items lost because a source that cannot wait met a full buffer", "source"
    )
    source_lag_seconds = gauge("Ingest time less claimed time of the last post", "source")
    source_near_duplicates = counter("Posts that repeat another, to the letter or nearly", "source")
    source_languages = counter(
        "Texts by how their language is known: told, detected or unsure", "source", "found"
    )
    source_counts_withheld = counter(
        "Posts whose counts a file has and a replay does not send, by why", "source", "reason"
    )


class NetworkSourceMetrics:
    """What sources that read a network count beside it."""

    source_messages = counter("Messages received from the platform", "source")
    source_items_ignored = counter("Items of a source that are none of ours", "source")
    source_duplicates = counter("Messages that came again and were left out", "source")
    webhook_requests = counter(
        "Requests to the webhook, by what signs them and what became of it", "scheme", "outcome"
    )
    source_gaps = counter("Times that items were missed for good", "source", "cause")
    source_gap_seconds = counter("Time of the stream that was missed for good", "source")
    source_reconnects = counter("Sessions that ended, by why", "source", "cause")
    source_reader_waits = counter("Times the reader stopped reading for want of room", "source")
    source_connected = gauge("1 while a session with the platform is open", "source")
    source_buffered_items = gauge("Items read from the network and not yet taken", "source")
    source_position_lag_seconds = gauge("Present less the stream's own time where we are", "source")
    source_idle_limit_seconds = gauge("Silence after which a session is given up", "source")
