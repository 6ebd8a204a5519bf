"""The source `replay`: recorded posts from a file; `services.ingest.replay` reads files."""
