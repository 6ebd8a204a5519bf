"""What a worker counts."""

from __future__ import annotations

from typing import Final

from core.metrics.declared import LATENCY_BUCKETS_S, counter, gauge, histogram

SCORER_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 30.0)
BATCH_BUCKETS: Final = (1, 4, 16, 32, 64, 128, 256, 512, 1024)


class WorkerMetrics:
    """The metrics of a worker."""

    records_fetched = counter("Records taken from Kafka", "topic", "partition")
    posts_applied = counter("Posts counted in panes by this worker", "partition")
    posts_refused = counter(
        "Applies refused because the cursor had moved", "partition", name="applies_refused"
    )
    state_set_aside = counter(
        "Stored values that could not be read and were set aside", "partition"
    )
    quarantine_expired = counter("Entries of the quarantine that retention took unrepaired")
    increments_refused = counter("Batches refused, as they would add what is no integer")
    posts_unrated = counter("Posts on which the model abstained")
    events_applied = counter("Post events applied by this worker", "kind")
    batch_posts = histogram("Posts in a scored batch", BATCH_BUCKETS)
    scorer_latency_seconds = histogram("From sending a batch to its scores", SCORER_BUCKETS_S)
    scorer_up = gauge("1 while the scorer answers")
    scorer_retries = counter("Batches sent to the scorer again")
    scorer_timeouts = counter("Batches that the scorer did not answer in time")
    scorer_invalid_answers = counter("Answers of the scorer that were refused as a whole")
    cascade_read_posts = counter("Posts that a model with a student read")
    cascade_sent_posts = counter("Of those, answered by the encoder: the student was not sure")
    cascade_audited_posts = counter("Posts that the encoder is asked about to check the student")
    cascade_agreed_posts = counter("Of those, decided alike by student and encoder", "head")
    cascade_seconds = counter("Seconds of the networks of a model with a student", "network")
    scorer_server_up = gauge("1 while a server of several is in use", "server")
    scorer_server_in_flight_posts = gauge("Posts that a server of several has to answer", "server")
    scorer_server_left_out = counter(
        "Times that a server of several was left out: sick, slow, or of another version",
        "server", "cause",
    )  # fmt: skip
    scorer_server_asked_again = counter(
        "Batches sent to another server too, as a server of several took long; the first answer "
        "is used and the other one discarded",
        "server",
    )
    step_seconds = counter("Seconds in a step of the chain, waiting included", "topic", "step")
    step_absent = counter(
        "Batches without what an optional step adds: late or failed", "topic", "step", "cause"
    )
    store_retries = counter("Store calls made again")
    count_latency_seconds = histogram("From ingest time to counted in its pane", LATENCY_BUCKETS_S)
    removal_latency_seconds = histogram(
        "From a deletion's ingest to its removal", LATENCY_BUCKETS_S
    )
    in_flight_posts = gauge("Posts between fetch and apply")
    in_flight_limit_posts = gauge("Posts that may be in scoring, by the measured rate")
    seeks = counter("Seeks to the stored cursor", "cause")
    offset_gap_posts = counter("Offsets that the topic no longer held when asked for", "partition")
    scored_posts_out = counter("Scored posts acknowledged")
    cursor = gauge("Last applied offset", "topic", "partition")
    watermark_seconds = gauge("Watermark of a partition, seconds since 1970", "partition")
    model_info = gauge(
        "1 for the model version that scores, with its engine", "model_version", "engine"
    )
    queries_loaded = gauge("Queries in use, `all` included")


class ShadowMetrics:
    """What a worker with a second model counts of it."""

    shadow_info = gauge("1 for the two models that are compared", "model_version", "shadow_version")
    shadow_posts = counter("Posts that the shadow model scored too")
    shadow_skipped_posts = counter("Sampled posts not compared: busy, failed or invalid", "cause")
    shadow_rating_disagreements = counter("Posts that one model rates and the other does not")
    shadow_compared_posts = counter("Posts compared, rated by both", "head")
    shadow_distance = counter("Sum of the total variation distances of compared posts", "head")
    shadow_label_disagreements = counter("Compared posts whose likeliest class differs", "head")
    shadow_latency_seconds = histogram(
        "From sending a sample to the shadow's scores", SCORER_BUCKETS_S
    )
