"""A stand-in for what the source `bluesky` reads."""
