"""The sources, by name. A new one is a file here and a line below; the shared checks find it."""

from __future__ import annotations

from typing import Final

from core.registry import Registry

SOURCES: Final = Registry("source")
SOURCES.add("replay", "services.ingest.sources.replay.source:ReplaySource")
SOURCES.add("synthetic", "services.ingest.sources.synthetic.source:SyntheticSource")
SOURCES.add("mastodon", "services.ingest.sources.mastodon.source:MastodonSource")
SOURCES.add("bluesky", "services.ingest.sources.bluesky.source:BlueskySource")
SOURCES.add("rss", "services.ingest.sources.rss.source:RssSource")
SOURCES.add("webhook", "services.ingest.sources.webhook.source:WebhookSource")
SOURCES.add("reddit", "services.ingest.sources.reddit.source:RedditSource")
