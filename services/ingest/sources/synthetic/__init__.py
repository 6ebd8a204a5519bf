"""The source `synthetic`: what it says is made in `services.ingest.synthetic`."""
