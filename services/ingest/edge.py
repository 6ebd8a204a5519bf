"""What is done to every post at the edge, before Kafka.

The address of a hidden author's post is left out, its language is found, copies are marked.

Here and not in the workers, because here all authors of a source pass one place in one order, and
because what is written into the record is the same for whoever reads it, whenever, in whatever
batches. Decision 0011.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from core.errors import ConfigError
from core.logs import get_logger
from core.metrics import Metrics
from core.schemas import Post, PostEvent
from core.settings import IngestSettings
from models.serving.language import LanguageDetector, count_letters
from models.serving.normalise import normalise
from services.ingest.near_duplicates import NearDuplicates
from services.ingest.sources.base import Source, SourceItem

SURE_SHARE: Final = 0.8
"""A language is written down from this share on. The model's own gate admits a text without a tag
if its languages have 0.2 together: with 0.8 here, tagged or not, it decides the same."""

MIN_LETTERS: Final = 12
"""Of shorter texts the identifier is often sure and wrong."""


class Edge:
    """Takes addresses off, finds languages and marks copies in what a source delivers, in order.

    Args:
        source: The source whose items they are.
        settings: Which sources it is done for, and how many posts are remembered.
        metrics: The metrics of this process.
    """

    def __init__(self, source: Source, settings: IngestSettings, metrics: Metrics) -> None:
        name = source.name
        # The address of a post names its author on most platforms.
        self._hides_addresses = bool(settings.author_key) and not is_public(source.options)
        self._copies: NearDuplicates | None = None
        self._detector: LanguageDetector | None = None
        if _is_for(settings.mark_copies, source) and settings.copies_remembered:
            self._copies = NearDuplicates(settings.copies_remembered)
        if _is_for(settings.detect_language, source):
            try:
                self._detector = LanguageDetector()
            except ConfigError as error:
                get_logger(__name__).warning("languages stay unknown", reason=str(error))
        self._near_duplicates = metrics.source_near_duplicates.labels(source=name)
        self._languages = {
            outcome: metrics.source_languages.labels(source=name, found=outcome)
            for outcome in ("told", "detected", "unsure")
        }

    def __call__(self, items: Sequence[SourceItem]) -> Sequence[SourceItem]:
        """Return the items with their languages and marks, without what names a hidden author."""
        if self._hides_addresses:
            items = [_without_address(item) for item in items]
        if self._detector is not None:
            items = [self._with_language(item) for item in items]
        if self._copies is not None:
            items = self._with_marks(items, self._copies)
        return items

    def _with_language(self, item: SourceItem) -> SourceItem:
        record = item.record
        if not isinstance(record, Post | PostEvent) or not record.text:
            return item
        if record.lang:
            self._languages["told"].inc()
            return item
        found = self._language(record.text)
        self._languages["detected" if found else "unsure"].inc()
        if not found:
            return item
        return msgspec.structs.replace(item, record=msgspec.structs.replace(record, lang=found))

    def _language(self, text: str) -> str:
        normalised = normalise(text)
        if self._detector is None or count_letters(normalised) < MIN_LETTERS:
            return ""
        found = self._detector.likeliest(normalised, most=1)
        return found[0][0] if found and found[0][1] >= SURE_SHARE else ""

    def _with_marks(self, items: Sequence[SourceItem], copies: NearDuplicates) -> list[SourceItem]:
        # What the source itself knows to have delivered before would be a copy of itself.
        rows = [
            row
            for row, item in enumerate(items)
            if isinstance(item.record, Post) and not item.duplicate
        ]
        posts = [record for row in rows if isinstance(record := items[row].record, Post)]
        marked = list(items)
        for row, post, is_copy in zip(
            rows, posts, copies.mark([post.text for post in posts]), strict=True
        ):
            if is_copy or post.repost_of is not None:
                self._near_duplicates.inc()
                record = msgspec.structs.replace(post, near_duplicate=True)
                marked[row] = msgspec.structs.replace(items[row], record=record)
        return marked


def is_public(options: msgspec.Struct) -> bool:
    """Tell whether a source's options say that its authors are public figures only."""
    return getattr(options, "authors", "") == "public"


def _without_address(item: SourceItem) -> SourceItem:
    record = item.record
    if not isinstance(record, Post) or record.url is None:
        return item
    return msgspec.structs.replace(item, record=msgspec.structs.replace(record, url=None))


def _is_for(which: Literal["live", "all", "none"], source: Source) -> bool:
    return which == "all" or (which == "live" and source.is_live)
