"""A stand-in for what the source `mastodon` reads."""
