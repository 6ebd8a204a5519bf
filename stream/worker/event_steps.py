"""The steps of `post-events`: what has happened to posts, as one apply.

Deletions go to the store as they are; edits are scored like posts and replace what their post
added. Other kinds are counted and move the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.clock import epoch_ms
from core.codec import encode
from core.schemas import ScoredPost
from stream.store.increments import DELETED, ApplyBatch, CountedPost
from stream.topics import POST_EVENTS
from stream.windows.increments import counter_matrix, to_micro
from stream.windows.strata import LanguageFold, stratum
from stream.worker.intake import AcceptedEvents, DeadLetter, id_hash
from stream.worker.pipeline import Outcome
from stream.worker.scoring import Scored


def events_outcome(
    run: AcceptedEvents,
    matches: Sequence[tuple[int, ...]],
    names: Sequence[str],
    scored: Scored,
    apply: ApplyBatch,
    fold: LanguageFold,
) -> Outcome:
    """Return what a run of post events does.

    Args:
        run: the accepted events.
        matches: queries matched by the new text of each edit, in order.
        names: names of the queries.
        scored: scores of the new texts.
        apply: filled with deletions and edits in the order they came.
        fold: folds languages for strata.
    """
    outcome = Outcome(apply, dead=run.dead)
    apply.told_ms = max((epoch_ms(event.ingested_at) for event in run.events), default=-1)
    edits = _edits(run, matches, names, scored, outcome, fold)
    edit_number = 0
    for event in run.events:
        outcome.kinds[event.kind] += 1
        hashed = id_hash(event.source, event.post_id)
        if event.kind == "delete":
            apply.operations.append((hashed, DELETED))
            outcome.deleted_ms.append(int(event.ingested_at.timestamp() * 1000))
        elif event.kind == "edit":
            blob = edits.get(edit_number)
            edit_number += 1
            if blob is not None:
                apply.operations.append((hashed, blob))
    apply.totals["events"] = len(run.events) - len(scored.unscored)
    apply.totals[f"dead:{POST_EVENTS}"] = len(run.dead)
    return outcome


def _edits(
    run: AcceptedEvents,
    matches: Sequence[tuple[int, ...]],
    names: Sequence[str],
    scored: Scored,
    outcome: Outcome,
    fold: LanguageFold,
) -> dict[int, bytes]:
    """Return number of the edit -> its packed contribution.

    An edit without scores becomes a letter, and what its post added before stands.
    """
    rows = [i for i, event in enumerate(run.events) if event.kind == "edit"]
    for number, (reason, detail) in scored.unscored.items():
        row = rows[number]
        letter = DeadLetter(run.offsets[row], reason, detail, encode(run.events[row]))
        outcome.dead.append(letter)
    if scored.scores is None:
        return {}
    scores = to_micro(scored.scores)
    counters = counter_matrix(scores).tolist()
    accepted = [number for number in range(len(rows)) if number not in scored.unscored]
    blobs: dict[int, bytes] = {}
    for row, number in enumerate(accepted):
        event = run.events[rows[number]]
        where = stratum(event.source, fold(event.lang), scores.topics[row])
        queries = [names[q] for q in matches[number]]
        # The store puts in the pane of the post itself: an edit does not move it.
        blobs[number] = CountedPost(0, where, counters[row], queries).packed()
        post = ScoredPost(
            id=event.post_id,
            source=event.source,
            author=event.author,
            event_at=event.claimed_at or event.ingested_at,
            claimed_at=event.claimed_at,
            ingested_at=event.ingested_at,
            model_version=scores.model_version,
            rated=bool(scores.rated[row]),
            scores={head: values[row].tolist() for head, values in scores.heads.items()},
            queries=queries,
            stratum=where,
            lang=event.lang,
            edit=True,
        )
        outcome.scored.append((event.author.encode(), encode(post), run.offsets[rows[number]]))
    return blobs
