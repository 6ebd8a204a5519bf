"""What the responder counts; `docs/replies-in-the-stream.md` says how to read it."""

from __future__ import annotations

from core.metrics.declared import counter, gauge, histogram
from core.metrics.worker import SCORER_BUCKETS_S


class ResponderMetrics:
    """The metrics of a responder: what it follows, what it shows, what it had to leave out."""

    responder_active = gauge("1 while this responder follows events, 0 while it stands by")
    responder_catching_up = gauge("1 while it reads what came before it was there")
    responder_lag_seconds = gauge("Age of the oldest record not yet taken, 0 if none", "topic")
    responder_followed_events = gauge("Posts that take off and are followed")
    responder_remembered_posts = gauge("Posts remembered")
    responder_remembered_bytes = gauge("Bytes of their texts and ids")
    responder_evicted_posts = counter(
        "Posts forgotten before their time, for want of: posts, bytes", "limit"
    )
    responder_replies = counter(
        "Replies of followed events: ranked, dropped (the least expected of too many), deleted",
        "outcome",
    )
    responses = counter("Responses acknowledged, by state", "state")
    response_replies = counter("Replies in responses acknowledged, by kind", "kind")
    response_left_out = counter(
        "What a response could not have: event, reply, edit, quoted, generated, crowd or "
        "crowd_model (usual shares stand in), by reason (late: past what is remembered)",
        "what",
        "reason",
    )
    response_texts_removed = counter(
        "Texts removed: deleted; whole events: events (too many), unsure (deletions missed)", "why"
    )
    response_generate_seconds = histogram(
        "From asking for generated replies to the answer", SCORER_BUCKETS_S
    )
    responder_gave_way_seconds = counter("Seconds of rest while posts waited to be counted")
    response_refused_candidates = counter("Generated candidates refused by the model", "reason")
    responder_learnt_replies = counter("Replies whose likes come no more, learnt from", "source")
    responder_missed_deletions = counter(
        "Offsets of post-events that the topic no longer held: all texts were removed"
    )
    responder_begun_anew = counter(
        "Times that Redis had lost what it had acknowledged, and all was read anew"
    )
    responder_retries = counter("Turns made again because something was away")
    crowd_answers = counter(
        "Sentiments of replies to followed events: counted, copy, unrated, dropped (of too many), "
        "forgotten (for want of memory), deleted, "
        "edit_of_unknown (of posts not remembered as such)",
        "outcome",
    )
    crowd_log_score = gauge(
        "Mean log score (natural) of the next answer: average, forecast, counts, posterior; of "
        "events of which the crowd model said something: model, topic",
        "source", "system",
    )  # fmt: skip
    crowd_strength = gauge("How many answers a forecast of the crowd counts for", "source")
    crowd_share = gauge(
        "Shares of sentiment, expected and observed, means over followed events with answers",
        "source", "what", "label",
    )  # fmt: skip
    crowd_turn_evidence = gauge(
        "How much speaks for a crowd having turned, the most of followed events (natural log)",
        "source",
    )
    crowd_turns = counter("Turns of crowds acknowledged, by state: firing, resolved", "state")
    crowd_turns_firing = gauge("Turns of crowds that were told and are not over", "query")
    crowd_turn_budget_used = gauge("Turns of crowds told in the last hour", "query")
    crowd_turns_held_back = counter(
        "Turns of crowds not told when they came, as the hour's budget was spent", "query"
    )
