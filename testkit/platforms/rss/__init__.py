"""A stand-in for what the source `rss` reads."""
