"""The closer: `process` follows `progress`, `closing` decides what is published, and when."""
